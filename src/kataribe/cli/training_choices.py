"""What a workspace has to train from, and what each kind of run takes of it. No PyTorch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError, KataribeError
from kataribe.make.model.configs.encoder_decoder_config import SOURCE_FAMILIES
from kataribe.make.model.families.encoder import ENCODER_MODEL_TYPES
from kataribe.make.training.runs import read_object
from kataribe.serve.shapes.training import NewRun, Objective, TrainingChoices

if TYPE_CHECKING:
    from kataribe.base.workspace import Workspace

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""One file, or what lists the several of a large model."""
FIRST = 1 << 20
"""Bytes in which the first line of a corpus, and the added tokens of a tokenizer, are looked for;
both stand first in their files."""
_SHAPES: tuple[tuple[str, frozenset[str]], ...] = (
    ("chats", frozenset({"messages"})),
    ("pairs", frozenset({"query", "passage"})),
    ("tagged", frozenset({"words", "tags"})),
    ("tagged", frozenset({"text", "entities"})),
    ("labelled", frozenset({"text", "label"})),
    ("corpora", frozenset({"text"})),
)
"""What a line of each kind of data has; the first that fits counts."""


@dataclass(frozen=True)
class Needs:
    """What a kind of run takes from the form.

    Attributes:
        data: Which of the choices it learns from.
        asked: Field of the form -> field of what the command asks for.
        tokenizers: Which of the choices its tokenizer is of.
        models: Which of the choices its model is of.
        fixed: What the form does not ask.
    """

    data: str
    asked: Mapping[str, str]
    tokenizers: str = ""
    models: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)


_TEXT = {"corpus": "corpus", "tokenizer": "tokenizer", "tokens": "tokens"}
_ROWS = {"context": "context", "batch": "batch_tokens", "seed": "seed"}
_TUNED = {"model": "base", "epochs": "epochs", "context": "context", "seed": "seed"}
_LABELLED = {"corpus": "examples", "batch": "batch_rows", **_TUNED}
# What is longer than the model's context is left out, counted, and said in the log.
_DROP = {"too_long": "drop"}
NEEDS: Mapping[Objective, Needs] = {
    "pretrain": Needs(
        "corpora",
        {**_TEXT, **_ROWS, "model": "base", "minutes": "minutes", "size": "size"},
        "tokenizers",
        "models",
    ),
    "instruct": Needs(
        "chats", {"corpus": "chats", **_TUNED, **_ROWS}, models="models", fixed=_DROP
    ),
    "masked": Needs("corpora", {**_TEXT, **_ROWS, "model": "base"}, "mask_tokenizers", "encoders"),
    "denoise": Needs("corpora", {**_TEXT, **_ROWS}, "gap_tokenizers"),
    "classify": Needs("labelled", _LABELLED, models="encoders", fixed=_DROP),
    "tag": Needs("tagged", _LABELLED, models="encoders", fixed=_DROP),
    "embed": Needs("pairs", {**_LABELLED, "corpus": "pairs"}, models="encoders", fixed=_DROP),
    "distill": Needs(
        "corpora",
        {"corpus": "corpus", "model": "teacher", "size": "size", "tokens": "tokens", **_ROWS},
        models="models",
    ),
}
"""By objective."""


def asked(wanted: NewRun, choices: TrainingChoices) -> dict[str, Any]:
    """The fields of what the command of that kind asks for.

    Raises `InputError` for a name that is none of the choices (a path could name any file of this
    machine) and for a field that means nothing for the objective.
    """
    needs = NEEDS[wanted.objective]
    given = wanted.model_dump(exclude_none=True, exclude={"objective", "name", "start"})
    for name in given:
        if name not in needs.asked:
            known = ", ".join(sorted(needs.asked))
            raise InputError(
                f"{name} means nothing for {wanted.objective}, which takes {known}. Leave it out.",
                param=name,
            )
    for name, kind in (
        ("corpus", needs.data), ("tokenizer", needs.tokenizers), ("model", needs.models),
    ):  # fmt: skip
        names = getattr(choices, kind) if kind else []
        if name in given and given[name] not in names:
            there = ", ".join(names) or "none"
            raise InputError(
                f"There is no {name} {given[name]!r} here; there is {there}.", param=name
            )
    return {needs.asked[name]: value for name, value in given.items()} | dict(needs.fixed)


def choices_of(workspace: Workspace) -> TrainingChoices:
    """Everything in the workspace that a run can be made of."""
    found: dict[str, list[str]] = {name: [] for name in TrainingChoices.model_fields}
    for name, file in sorted(_data(workspace.corpora)):
        if (kind := _kind_of_data(file)) is not None:
            found[kind].append(name)
    for path in sorted(_folders(workspace.tokenizers)):
        for kind in _kinds_of_tokenizer(path):
            found[kind].append(path.name)
    for path in sorted(_folders(workspace.models)):
        if (kind := _kind_of_model(path)) is not None:
            found[kind].append(path.name)
    return TrainingChoices(**found)


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")


def _data(root: Path) -> Iterator[tuple[str, Path]]:
    """Names and files: folders with train.jsonl, and files of lines by themselves."""
    for path in _folders(root):
        if (path / "train.jsonl").is_file():
            yield path.name, path / "train.jsonl"
    if root.is_dir():
        yield from ((path.name, path) for path in root.glob("[!.]*.jsonl") if path.is_file())


def _kind_of_data(file: Path) -> str | None:
    """By its first line; None for what cannot be read as any. Its run says more where it fails."""
    try:
        with file.open("rb") as lines:
            line = lines.readline(FIRST)
        values = json.loads(line)
    except (OSError, ValueError, RecursionError):
        # Of a first document beyond `FIRST` the beginning has to do: the text comes first or last.
        return "corpora" if file.name == "train.jsonl" and _is_long_text(file) else None
    if not isinstance(values, dict):
        return None
    return next((kind for kind, names in _SHAPES if names <= values.keys()), None)


def _is_long_text(file: Path) -> bool:
    with contextlib.suppress(OSError), file.open("rb") as lines:
        line = lines.readline(FIRST)
        return len(line) == FIRST and b'"text"' in line[:4096]
    return False


def _kinds_of_tokenizer(folder: Path) -> Iterator[str]:
    """What a tokenizer can be used for."""
    file = folder / "tokenizer.json"
    try:
        with file.open("rb") as start:
            head = start.read(FIRST)
    except OSError:
        return
    yield "tokenizers"
    with contextlib.suppress(KataribeError):
        if read_object(folder / "tokenizer_config.json").get("mask_token"):
            yield "mask_tokenizers"
    if b'"<extra_id_0>"' in head:
        yield "gap_tokenizers"


def _kind_of_model(folder: Path) -> str | None:
    """Whether it continues text or reads it; None for other kinds, and for a folder without."""
    if not any((folder / name).is_file() for name in WEIGHTS):
        return None
    try:
        named = read_object(folder / "config.json").get("model_type")
    except KataribeError:
        return None
    if named in ENCODER_MODEL_TYPES:
        return "encoders"
    return None if named in SOURCE_FAMILIES else "models"
