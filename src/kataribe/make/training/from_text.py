"""Encoders and encoder-decoders from a corpus, and students of a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kataribe.base.errors import InputError
from kataribe.base.workspace import Workspace
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig, StackConfig
from kataribe.make.model.encoder import Encoder
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.model.encoder_decoder_fresh import draw_source_weights
from kataribe.make.model.weights.checkpoint import open_any
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.masked_rows import MaskedRows, padding_id
from kataribe.make.tokens.masked_rows import Masking as Hiding
from kataribe.make.tokens.span_rows import Noise, SpanRows
from kataribe.make.tokens.stream_rows import StreamRows
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.tokens.token_writer import make_token_data
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.make.training.asked import Denoising, Distilling, Masking
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.denoising import denoising_loss
from kataribe.make.training.dial import Given, by_size, parse_size
from kataribe.make.training.distillation import Distillation, check_teacher
from kataribe.make.training.encoding import labelled_loss, labels_right
from kataribe.make.training.fresh import draw_weights, fresh_decoder
from kataribe.make.training.model_files import read_decoder, read_model
from kataribe.make.training.overrides import Overrides
from kataribe.make.training.places import check_fit, find_corpus, find_model, find_tokenizer
from kataribe.make.training.prediction import Say
from kataribe.make.training.pretraining import bytes_per_token, words_of
from kataribe.make.training.record import Words
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.session import Setup
from kataribe.make.training.short_plans import parts_of_plan, short_loop

RATE = 2e-3
"""Largest learning rate of new models of these kinds, with Muon or AdamW, at widths of some 256."""
HEAD = 64


def plan_from_text(
    asked: Masking | Denoising | Distilling, given: Overrides, workspace: Workspace, say: Say
) -> dict[str, Any]:
    """Everything that the run will do, settled, and what to expect of it."""
    base = find_model(workspace, asked.base) if asked.base else None
    teacher = None
    if isinstance(asked, Distilling):
        assert asked.teacher is not None  # `Distilling` sees to it
        source = teacher = find_model(workspace, asked.teacher)
    elif asked.tokenizer is not None:
        source = find_tokenizer(workspace, asked.tokenizer)
    else:
        assert base is not None  # `Masking` and `Denoising` see to it
        source = base
    corpus = find_corpus(workspace, asked.corpus)
    say(f"Reading {corpus.name} as tokens.")
    data = make_token_data(corpus, load_tokenizer(source), workspace.datasets)
    about = {
        "corpus": str(corpus), "dataset": str(data.path), "tokenizer": str(source),
        "context": asked.context, "teacher": teacher and str(teacher),
    }  # fmt: skip
    model: dict[str, Any] = {"base": base and str(base)}
    if isinstance(asked, Distilling):
        model |= {"size": asked.size, "teacher": str(teacher)}
        about |= {"temperature": asked.temperature, "share": asked.share}
    else:
        model |= {"width": asked.width, "layers": asked.layers}
    model["kind"] = type(asked).__name__
    rows = _rows(model["kind"], data, "train", asked.context, load_tokenizer(source))
    batch_rows = max(1, asked.batch_tokens // asked.context)
    unique = len(data.tokens("train"))
    times = 1.0 if isinstance(asked, Distilling) else 4.0
    epochs = asked.tokens / unique if asked.tokens else times
    chosen = {"optimiser": "muon", **given}
    loop = short_loop(len(rows), batch_rows, epochs, asked.seed, chosen, rate=RATE)
    built = _build({"data": about, "model": model}, loop)
    return parts_of_plan(built, about, model)


def build_from_text(plan: Mapping[str, Any]) -> Setup:
    """The plan as what the loop works with."""
    return _build(plan, LoopConfig.from_values(plan["loop"]))


def _build(plan: Mapping[str, Any], loop: LoopConfig) -> Setup:
    about, source = plan["data"], Path(plan["data"]["tokenizer"])
    kind, context = plan["model"]["kind"], plan["data"]["context"]
    tokenizer = load_tokenizer(source)
    data = TokenData.open(Path(about["dataset"]), tokenizer=tokenizer, verify=False)
    model = _model(kind, plan["model"], tokenizer, context, loop.seed)
    check_fit(model.config, tokenizer)
    held = "valid" in data.splits and len(data.tokens("valid")) >= context
    judged = _rows(kind, data, "valid", context, tokenizer) if held else None
    known = held and kind == "Distilling"
    rows = RowsData(
        _rows(kind, data, "train", context, tokenizer), loop.batch_rows, loop.seed, judged,
        eval_rows=loop.watching.eval_rows,
        bytes_per_token=bytes_per_token(data) if known else None,
    )  # fmt: skip
    if kind == "Masking":
        objective = RowsObjective(rows, labelled_loss, "masked", right=labels_right)
    elif kind == "Denoising":
        objective = RowsObjective(rows, denoising_loss, "denoise")
    else:
        teacher = read_decoder(Path(about["teacher"]))
        check_teacher(model.config.vocab_size, teacher.config.vocab_size)
        loss = Distillation(teacher, about["temperature"], about["share"])
        return Setup(
            model, RowsObjective(rows, loss, "distill"), loop, context,
            words_of(tokenizer, source, loop, data),
        )  # fmt: skip
    return Setup(model, objective, loop, context, Words(tokenizer, source))


def _rows(kind: str, data: TokenData, split: str, context: int, tokenizer: Tokenizer) -> Any:
    if kind == "Masking":
        return MaskedRows(data, split, context, Hiding.of(tokenizer))
    if kind == "Denoising":
        return SpanRows(data, split, context, Noise.of(tokenizer))
    return StreamRows(data, split, context)


def _model(
    kind: str, about: Mapping[str, Any], tokenizer: Tokenizer, context: int, seed: int
) -> Any:
    if about["base"]:
        return _checked(kind, Path(about["base"]))
    vocabulary = -(-tokenizer.vocab_size // HEAD) * HEAD
    if kind == "Distilling":
        rows = open_any(Path(about["teacher"])).config.vocab_size  # whose tokenizer it has
        return fresh_decoder(by_size(Given(rows, context), parse_size(about["size"])).model, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pad = padding_id(tokenizer)
        model = (_encoder if kind == "Masking" else _encoder_decoder)(
            about, vocabulary, context, pad
        )
        if isinstance(model, EncoderDecoder):
            draw_source_weights(model)
        else:
            draw_weights(model, about["layers"])
    return model.train()


def _checked(kind: str, folder: Path) -> nn.Module:
    model = read_model(folder)
    wanted = {"Masking": Encoder, "Denoising": EncoderDecoder}.get(kind)
    if wanted is not None and not isinstance(model, wanted):
        raise InputError(
            f"{folder.name} is a {type(model).__name__}, but this training needs an "
            f"{wanted.__name__}.",
            param="base",
        )
    if isinstance(model, Encoder) and model.config.head != "masked":
        raise InputError(f"{folder.name} has no head for masked words.", param="base")
    return model


def _encoder(about: Mapping[str, Any], vocabulary: int, context: int, pad: int) -> nn.Module:
    width = about["width"]
    config = EncoderConfig(
        family="bert", vocab_size=vocabulary, hidden_size=width, layers=about["layers"],
        heads=width // HEAD, intermediate_size=4 * width, context_length=context,
        head="masked", head_activation="gelu", padding_id=pad,
    )  # fmt: skip
    return Encoder(config)


def _encoder_decoder(
    about: Mapping[str, Any], vocabulary: int, context: int, pad: int
) -> nn.Module:
    width = about["width"]
    stack = StackConfig(about["layers"], width // HEAD, HEAD, 4 * width, 1.0)
    config = EncoderDecoderConfig(
        family="t5", vocab_size=vocabulary, hidden_size=width, encoder=stack, decoder=stack,
        source_length=context, target_length=context, positions="relative",
        relative_buckets=32, relative_distance=128, norm="rms", norm_eps=1e-6,
        norm_first=True, final_norm=True, activation="relu", bias=False,
        output_scale=width**-0.5, start_id=pad, pad_id=pad,
    )  # fmt: skip
    return EncoderDecoder(config)
