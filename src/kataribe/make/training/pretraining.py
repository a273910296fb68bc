"""Pre-training: a corpus and a tokenizer become a decoder that writes like the corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError
from kataribe.base.workspace import Workspace
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.model.families import config_from_hf, config_to_hf
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.tokens.document_marks import document_marks
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.stream_rows import StreamRows
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.tokens.token_writer import make_token_data
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.make.training.asked import Pretraining
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.dial import Choice, Given, by_size, by_time, choose, parse_size, shape
from kataribe.make.training.earlier import Recipe, earlier_runs
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.machine import compiler, settle
from kataribe.make.training.model_files import read_decoder
from kataribe.make.training.overrides import Overrides, loop_config
from kataribe.make.training.places import (
    check_fit,
    check_own_tokenizer,
    find_corpus,
    find_model,
    find_tokenizer,
)
from kataribe.make.training.prediction import Say, Text, predict, quick_flops
from kataribe.make.training.record import Words
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.sampling import Prompt
from kataribe.make.training.session import Setup

SHARE_OF_TIME = 0.95
"""Of the minutes given, what is planned for steps; the rest is for looks, samples, checkpoints."""


def plan_pretraining(
    asked: Pretraining, given: Overrides, workspace: Workspace, say: Say, owner: str
) -> dict[str, Any]:
    """Everything that the run will do, settled, and what to expect of it.

    Finished runs of the same `owner` tell what to expect.

    Raises `InputError` before anything long begins: a tokenizer that does not fit the model, data
    that do not fill one batch.
    """
    base = None if asked.base is None else find_model(workspace, asked.base)
    source = find_tokenizer(workspace, asked.tokenizer) if asked.tokenizer else base
    assert source is not None  # `Pretraining` sees to it
    tokenizer = load_tokenizer(source)
    if base is not None:
        check_fit(open_checkpoint(base).config, tokenizer)
        check_own_tokenizer(base, tokenizer)
    corpus = find_corpus(workspace, asked.corpus)
    say(f"Reading {corpus.name} as tokens.")
    data = make_token_data(corpus, tokenizer, workspace.datasets)
    unique = len(data.tokens("train"))
    text = Text(
        data, asked.context, bytes_per_token(data) if _held(data, asked.context) else None,
        prompts=len(given.get("prompts") or ()) or 3, fresh=base is None,
    )  # fmt: skip
    choice = _choose(asked, base, tokenizer, text, given, say)
    check_fit(choice.model, tokenizer)
    rows = choice.batch_tokens // asked.context
    if unique < rows * asked.context:
        raise InputError(
            f"{corpus.name} has {unique:,} tokens to learn from, but one batch takes "
            f"{rows * asked.context:,}. Take smaller batches (--batch-tokens), shorter rows "
            "(--context), or more text."
        )
    loop = loop_config(choice, rows, asked.seed, given)
    seconds = asked.minutes * 60 if asked.minutes else None
    loop = dataclasses.replace(loop, work=settle(loop.work, seconds))
    how = loop.optimisation
    recipe = Recipe.of(choice.model, asked.context, how.optimiser, how.learning_rate)
    found = earlier_runs(workspace.runs, data.path, recipe, owner)
    text = dataclasses.replace(text, earlier=found)
    prediction, loop = predict(choice, loop, text, seconds=seconds, say=say, given=given)
    return {
        "model": {"config": config_to_hf(choice.model), "base": base and str(base)},
        "data": {
            "corpus": str(corpus), "dataset": str(data.path), "tokenizer": str(source),
            "tokenizer_sha256": data.meta.tokenizer_sha256, "context": asked.context,
            "unique_tokens": unique,
        },
        "loop": asdict(loop),
        "prediction": prediction,
    }  # fmt: skip


def build_pretraining(plan: Mapping[str, Any]) -> Setup:
    """The plan as what the loop works with."""
    about, loop = plan["data"], LoopConfig.from_values(plan["loop"])
    source = Path(about["tokenizer"])
    tokenizer = load_tokenizer(source)
    data = TokenData.open(Path(about["dataset"]), tokenizer=tokenizer, verify=False)
    base = plan["model"]["base"]
    if base is None:
        model = fresh_decoder(config_from_hf(plan["model"]["config"]), loop.seed)
    else:
        model = read_decoder(Path(base))
    check_fit(model.config, tokenizer)
    held = _held(data, about["context"])
    objective = RowsObjective(
        RowsData(
            rows=StreamRows(data, "train", about["context"]),
            batch_rows=loop.batch_rows,
            seed=loop.seed,
            held_out=StreamRows(data, "valid", about["context"]) if held else None,
            eval_rows=loop.watching.eval_rows,
            bytes_per_token=bytes_per_token(data) if held else None,
        ),
        causal_loss,
        "next-token",
    )
    return Setup(model, objective, loop, about["context"], words_of(tokenizer, source, loop, data))


def _held(data: TokenData, context: int) -> bool:
    """Whether there is held-out text enough to look at."""
    return "valid" in data.splits and len(data.tokens("valid")) >= context


def bytes_per_token(data: TokenData, split: str = "valid") -> float:
    """Bytes of a split's text for each taught token: ends that are tokens teach nothing more."""
    silent = len(data.starts(split)) if data.meta.marks.writes_end else 0
    return data.text_bytes(split) / (len(data.tokens(split)) - silent)


def words_of(
    tokenizer: Tokenizer, folder: Path, loop: LoopConfig, data: TokenData | None = None
) -> Words:
    """How the model reads and writes.

    Without prompts of one's own, samples go on from nothing and from the first words of held-out
    documents.
    """
    marks = document_marks(tokenizer)
    prompts = [
        Prompt(text, (marks.begin, *tokenizer.encode(text, add_bos=False)))
        for text in loop.watching.prompts or ("",)
    ]
    if data is not None and "valid" in data.splits and not loop.watching.prompts:
        tokens = data.tokens("valid")
        for start in data.starts("valid")[:2]:
            ids = tuple(int(each) for each in tokens[start : start + 9])
            prompts.append(Prompt(tokenizer.decode(list(ids[1:])), ids))
    return Words(tokenizer, folder, tuple(prompts), frozenset({marks.end}) | tokenizer.eos_ids)


def _choose(
    asked: Pretraining,
    base: Path | None,
    tokenizer: Tokenizer,
    text: Text,
    given: Overrides,
    say: Say,
) -> Choice:
    seconds = asked.minutes * 60 * SHARE_OF_TIME if asked.minutes else None
    turned = Given(
        # Rows in multiples of 64 are faster to multiply; the ids beyond the tokenizer's never come.
        -(-tokenizer.vocab_size // 64) * 64, asked.context, asked.layers, asked.width,
    )  # fmt: skip
    if base is not None:
        model = open_checkpoint(base).config
        if asked.context > model.context_length:
            raise InputError(
                f"context is {asked.context}, but {base.name} was made for at most "
                f"{model.context_length} tokens.",
                param="context",
            )
        choice = choose(model, asked.tokens or text.unique, asked.context)
    elif asked.size is not None or seconds is None:
        size = parse_size(asked.size) if asked.size else parameter_count(by_width(turned))
        choice = by_size(turned, size, asked.tokens)
    else:
        say("Measuring this machine.")
        compiles = given.get("compile", "auto") != "off" and compiler() is not None
        flops = quick_flops(turned, compiles=compiles)
        choice = by_time(turned, seconds, flops, unique=text.unique)
    changes: dict[str, Any] = {"tokens": asked.tokens} if asked.tokens else {}
    if asked.batch_tokens:
        changes["batch_tokens"] = asked.batch_tokens // asked.context * asked.context
    return dataclasses.replace(choice, **changes)


def by_width(given: Given) -> ModelConfig:
    """The shape of a width that was given, or a small one."""
    return shape(given, given.width or 256)
