"""Labels and vectors: an encoder learns classes, tags, or which passage answers which question."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch

from kataribe.base.errors import InputError
from kataribe.base.workspace import Workspace
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.encoder import Encoder
from kataribe.make.model.weights.checkpoint import open_any
from kataribe.make.model.weights.encoder_shapes import encoder_shapes
from kataribe.make.tokens.apart import check_apart, hold_out
from kataribe.make.tokens.batches import Rows
from kataribe.make.tokens.chat_data import TooLong
from kataribe.make.tokens.labelled import (
    LabelledText,
    PairRows,
    class_labels,
    class_rows,
    read_classes,
    read_pairs,
    read_tags,
    tag_labels,
    tag_rows,
)
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.make.training.asked import Embedding, Labelling
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.encoding import contrastive_loss, labelled_loss, labels_right
from kataribe.make.training.fresh import draw_weights
from kataribe.make.training.model_files import read_weights
from kataribe.make.training.overrides import Overrides
from kataribe.make.training.places import check_fit, find_corpus, find_model
from kataribe.make.training.prediction import Say
from kataribe.make.training.record import Words
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.session import Setup
from kataribe.make.training.short_plans import (
    ENCODER_RATE,
    InOrder,
    parts_of_plan,
    short_loop,
    train_and_valid,
)

Kind = Literal["classify", "tag", "embed"]
T = TypeVar("T")
Planner = Callable[[Any, Overrides, Workspace, Say], dict[str, Any]]


def plan_labelling(kind: Kind) -> Planner:
    """The planner of one of the three."""

    def plan(
        asked: Labelling | Embedding, given: Overrides, workspace: Workspace, say: Say
    ) -> dict[str, Any]:
        assert asked.base is not None  # the dataclasses see to it
        base = find_model(workspace, asked.base)
        config = encoder_of(base)
        context = asked.context or config.context_length
        if context > config.context_length:
            raise InputError(
                f"context is {context}, but {base.name} was made for at most "
                f"{config.context_length} tokens.",
                param="context",
            )
        source = asked.pairs if isinstance(asked, Embedding) else asked.examples
        labels = () if isinstance(asked, Embedding) else asked.labels
        examples = find_corpus(workspace, source)
        say(f"Reading {examples.name}.")
        about = {
            "examples": str(examples), "tokenizer": str(base), "context": context,
            "too_long": asked.too_long, "held_out": asked.held_out, "labels": list(labels),
        }  # fmt: skip
        rows, _, found = _rows(kind, about, load_tokenizer(base))
        about["labels"] = found
        loop = short_loop(
            len(rows), asked.batch_rows, asked.epochs, asked.seed, given, rate=ENCODER_RATE
        )
        model = {"base": str(base)}
        built = _build(kind, {"data": about, "model": model}, loop)
        return parts_of_plan(built, about, model)

    return plan


def build_labelling(kind: Kind) -> Callable[[Mapping[str, Any]], Setup]:
    """The builder of one of the three."""
    return lambda plan: _build(kind, plan, LoopConfig.from_values(plan["loop"]))


def encoder_of(folder: Path) -> EncoderConfig:
    """An encoder's configuration; `InputError` for a model of another kind."""
    config = open_any(folder).config
    if not isinstance(config, EncoderConfig):
        raise InputError(
            f"{folder.name} is no encoder, which this training is for. Take one (for example what "
            "`kataribe train masked` makes).",
            param="base",
        )
    return config


def with_head(folder: Path, kind: Kind, labels: tuple[str, ...], seed: int) -> Encoder:
    """The encoder in a folder with the head that is wanted: its own where it fits, else drawn."""
    old = encoder_of(folder)
    head: Any = "none" if kind == "embed" else kind
    # The masked head's nonlinearity is another than that of poolers, which config.json cannot say.
    activation = old.head_activation if old.head == kind else "tanh"
    if old.family == "distilbert" and kind == "classify":
        activation = "relu"
    config = dataclasses.replace(
        old, head=head, labels=labels, pooler=kind == "classify", head_activation=activation,
        problem="single",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Encoder(config)
        draw_weights(model, config.layers)
    kept = read_weights(folder)
    same_labels = old.labels == labels
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name in encoder_shapes(config):
            wanted = name in kept and kept[name].shape == named[name].shape
            if wanted and (not name.startswith("head.") or same_labels):
                named[name].copy_(kept[name])
    return model.train()


def _build(kind: Kind, plan: Mapping[str, Any], loop: LoopConfig) -> Setup:
    about = plan["data"]
    folder = Path(plan["model"]["base"])
    tokenizer = load_tokenizer(folder)
    model = with_head(folder, kind, tuple(about["labels"]), loop.seed)
    check_fit(model.config, tokenizer)
    rows, held, _ = _rows(kind, about, tokenizer)
    data = RowsData(
        rows, loop.batch_rows, loop.seed, InOrder(held) if held is not None else None,
        eval_rows=loop.watching.eval_rows,
    )  # fmt: skip
    if kind == "embed":
        objective = RowsObjective(data, contrastive_loss, kind, whole=True)
    else:
        objective = RowsObjective(data, labelled_loss, kind, right=labels_right)
    return Setup(model, objective, loop, about["context"], Words(tokenizer, folder))


def _rows(
    kind: Kind, about: Mapping[str, Any], tokenizer: Tokenizer
) -> tuple[Rows[Any], Rows[Any] | None, list[str]]:
    """Rows to learn from, held-out rows, and the labels."""
    path, apart = train_and_valid(Path(about["examples"]))
    length, too_long = about["context"], cast("TooLong", about["too_long"])
    if kind == "embed":
        pairs, held = _parts(path, apart, about["held_out"], read_pairs, "\n".join)

        def paired(some: list[tuple[str, str]]) -> Rows[Any]:
            return PairRows(some, tokenizer, length, too_long=too_long)

        return paired(pairs), paired(held) if held else None, []
    read = read_classes if kind == "classify" else read_tags
    texts, others = _parts(path, apart, about["held_out"], read, _text_of, _labels_of)
    named = about["labels"] or None
    labels = class_labels(texts, named) if kind == "classify" else tag_labels(texts, named)
    rows = class_rows if kind == "classify" else tag_rows
    learned = rows(texts, labels, tokenizer, length, too_long=too_long)
    judged = rows(others, labels, tokenizer, length, too_long=too_long) if others else None
    return learned, judged, list(labels)


def _parts(
    path: Path,
    apart: Path | None,
    share: float,
    read: Callable[[Path], Iterable[T]],
    text: Callable[[T], str],
    labels: Callable[[T], Iterable[str]] = lambda _: (),
) -> tuple[list[T], list[T]]:
    """To learn from, and held out: by hash, or a file of its own that shares nothing."""
    examples = list(read(path))
    if apart is None:
        return hold_out(examples, share, text, labels)
    others = list(read(apart))
    check_apart(map(text, examples), map(text, others), str(path), str(apart))
    return examples, others


def _text_of(example: LabelledText) -> str:
    return example.text


def _labels_of(example: LabelledText) -> Iterable[str]:
    """Its label, or the types of its spans, which are the tags themselves where spans are words."""
    return [kind for _, _, kind in example.spans] or [example.label]
