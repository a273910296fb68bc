"""Instruction tuning: a model that writes learns to answer, from conversations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

from kataribe.base.errors import InputError
from kataribe.base.messages import Message, TextPart, text_message
from kataribe.base.workspace import Workspace
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.tokens.apart import check_apart, hold_out
from kataribe.make.tokens.chat_data import Conversation, chat_examples, read_conversations
from kataribe.make.tokens.fingerprint import tokenizer_sha256
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.packing import Examples, PackedRows
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.make.training.asked import Instruction
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.devices import check_room, choose, held_now, taken
from kataribe.make.training.dial import Choice
from kataribe.make.training.machine import measure, settle
from kataribe.make.training.memory import decoder_memory
from kataribe.make.training.model_files import read_decoder
from kataribe.make.training.overrides import Overrides, loop_config
from kataribe.make.training.places import (
    check_fit,
    check_same_tokenizer,
    find_corpus,
    find_model,
    find_tokenizer,
)
from kataribe.make.training.prediction import Say, first_passes, seconds_of
from kataribe.make.training.record import Words
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.sampling import Prompt
from kataribe.make.training.session import Setup
from kataribe.make.training.short_plans import train_and_valid

QUESTIONS = 3
"""Held-out questions that samples answer where no prompts are given."""
RATE = 1e-3
"""Largest learning rate, a sixth of what pre-training takes at this width: the weights are good
already."""


def plan_instruction(
    asked: Instruction, given: Overrides, workspace: Workspace, say: Say
) -> dict[str, Any]:
    """Everything that the run will do, settled, and what to expect of it."""
    assert asked.base is not None  # `Instruction` sees to it
    base = find_model(workspace, asked.base)
    source = find_tokenizer(workspace, asked.tokenizer) if asked.tokenizer else base
    tokenizer = load_tokenizer(source)
    config = open_checkpoint(base).config
    check_fit(config, tokenizer)
    context = asked.context or config.context_length
    if context > config.context_length:
        raise InputError(
            f"context is {context}, but {base.name} was made for at most "
            f"{config.context_length} tokens.",
            param="context",
        )
    chats = find_corpus(workspace, asked.chats)
    say(f"Reading {chats.name}.")
    about = {
        "chats": str(chats), "tokenizer": str(source), "context": context,
        "tokenizer_sha256": tokenizer_sha256(tokenizer),
        "too_long": asked.too_long, "held_out": asked.held_out,
    }  # fmt: skip
    rows, held_out, examples = _rows(about, tokenizer)
    batch_rows = max(1, asked.batch_tokens // context)
    if len(rows) < batch_rows:
        raise InputError(
            f"{chats.name} fills {len(rows)} rows of {context} tokens, but one batch takes "
            f"{batch_rows}. Take smaller batches (--batch-tokens {len(rows) * context}), or more "
            "conversations."
        )
    steps = max(1, round(asked.epochs * len(rows) / batch_rows))
    choice = Choice(config, steps * batch_rows * context, batch_rows * context, RATE, steps // 20)
    loop = loop_config(choice, batch_rows, asked.seed, {"steps": steps, **given})
    loop = dataclasses.replace(loop, work=settle(loop.work, None))
    return {
        "model": {"base": str(base)},
        "data": {**about, "rows": len(rows), "taught_tokens": int(examples.taught.sum())},
        "loop": asdict(loop),
        "prediction": _predict(config, loop, (rows, held_out, examples), workspace.root, say),
    }


def build_instruction(plan: Mapping[str, Any]) -> Setup:
    """The plan as what the loop works with."""
    about, loop = plan["data"], LoopConfig.from_values(plan["loop"])
    source = Path(about["tokenizer"])
    tokenizer = load_tokenizer(source)
    check_same_tokenizer(tokenizer, about["tokenizer_sha256"], source)
    rows, held_out, _ = _rows(about, tokenizer)
    if len(rows) != about["rows"]:
        raise InputError(
            f"{about['chats']} fills {len(rows)} rows now, but {about['rows']} when the run began: "
            "its conversations were changed. Put them back, or start a new run."
        )
    model = read_decoder(Path(plan["model"]["base"]))
    check_fit(model.config, tokenizer)
    objective = RowsObjective(
        RowsData(rows, loop.batch_rows, loop.seed, held_out, eval_rows=loop.watching.eval_rows),
        causal_loss,
        "instruct",
    )
    return Setup(model, objective, loop, about["context"], _words(tokenizer, source, loop, about))


def _predict(
    config: ModelConfig,
    loop: LoopConfig,
    data: tuple[PackedRows, PackedRows | None, Examples],
    folder: Path,
    say: Say,
) -> dict[str, Any]:
    rows, held_out, examples = data
    context = rows.length
    device = choose(loop.work.device)
    check_room(taken(decoder_memory(config, loop, context), device), device)
    say("Measuring the speed of a step.")
    cost = measure(config, loop, first_passes(rows, loop, context), folder)
    asked = len(loop.watching.prompts) or QUESTIONS
    seconds = seconds_of(
        loop, cost,
        held_rows=len(held_out) if held_out is not None else 0,
        said_tokens=asked * min(loop.watching.sample_tokens, context - 1),
    )  # fmt: skip
    return {
        "parameters": parameter_count(config),
        "tokens": round(loop.steps * loop.batch_rows * len(examples.ids) / len(rows)),
        "seconds": round(seconds, 1),
        "memory_bytes": cost.memory + held_now(device),
        "bits_per_byte": None,
        "bits_per_byte_low": None,
        "bits_per_byte_high": None,
    }


def _rows(
    about: Mapping[str, Any], tokenizer: Tokenizer
) -> tuple[PackedRows, PackedRows | None, Examples]:
    """Rows to learn from, held-out rows, and the examples of the first."""
    train, valid = _conversations(Path(about["chats"]), about["held_out"])
    length = about["context"]
    pad = min(tokenizer.eos_ids) if tokenizer.pad_id is None else tokenizer.pad_id
    too_long = cast("Literal['refuse', 'drop', 'cut']", about["too_long"])
    examples, _ = chat_examples(train, tokenizer, length, too_long=too_long)
    rows = PackedRows(examples, length, pad_id=pad)
    if not valid:
        return rows, None, examples
    held, _ = chat_examples(valid, tokenizer, length, too_long=too_long)
    return rows, PackedRows(held, length, pad_id=pad), examples


def _conversations(path: Path, share: float) -> tuple[list[Conversation], list[Conversation]]:
    """To learn from, and held out: by hash, or a file of its own that shares nothing."""
    file, apart = train_and_valid(path)
    train = list(read_conversations(file))
    if apart is None:
        return hold_out(train, share, _said)
    valid = list(read_conversations(apart))
    check_apart(map(_said, train), map(_said, valid), str(file), str(apart))
    return train, valid


def _said(conversation: Conversation) -> str:
    """Everything that is said in a conversation."""
    return "\n".join(_plain(message) for message in conversation.messages)


def _plain(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def _words(tokenizer: Tokenizer, folder: Path, loop: LoopConfig, about: Mapping[str, Any]) -> Words:
    """Samples answer prompts of one's own, or the first held-out questions."""
    texts = list(loop.watching.prompts) or list(_questions(about))
    prompts = [
        Prompt(each, tuple(tokenizer.encode_chat([text_message("user", each)]))) for each in texts
    ]
    return Words(tokenizer, folder, tuple(prompts), tokenizer.eos_ids)


def _questions(about: Mapping[str, Any]) -> Iterator[str]:
    train, valid = _conversations(Path(about["chats"]), about["held_out"])
    for conversation in (valid or train)[:QUESTIONS]:
        first = next(each for each in conversation.messages if each.role == "user")
        yield _plain(first)
