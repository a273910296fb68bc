"""One batch of any kind of data, to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kataribe.base.errors import InputError
from kataribe.make.tokens.batches import IGNORED, Batch, Batches, PairBatch, Rows
from kataribe.make.tokens.chat_data import TooLong, chat_examples, read_conversations
from kataribe.make.tokens.corpus_files import CorpusFiles, Progress
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
from kataribe.make.tokens.masked_rows import MaskedRows, Masking, padding_id
from kataribe.make.tokens.packing import PackedRows
from kataribe.make.tokens.shown import shown_pieces
from kataribe.make.tokens.span_rows import Noise, SpanRows
from kataribe.make.tokens.stream_rows import StreamRows
from kataribe.make.tokens.token_writer import make_token_data
from kataribe.make.tokens.tokenizer import Tokenizer

Objective = Literal["pretrain", "masked", "denoise", "chat", "classify", "tag", "embed"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@dataclass(frozen=True)
class BatchQuestion:
    """Which batch to look at.

    Attributes:
        data: A corpus, or the file of conversations, labelled texts or pairs.
        objective: What the batch is for.
        length: Places in a row.
        rows: Rows in the batch.
        step: Which batch; counts from 0.
        seed: The run's.
        too_long: What becomes of examples longer than a row.
        datasets: Where token data lie.
    """

    data: Path
    objective: Objective
    length: int
    rows: int
    step: int
    seed: int
    too_long: TooLong
    datasets: Path

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"{self.objective!r} is no objective; take one of {', '.join(OBJECTIVES)}.",
                param="objective",
            )


@dataclass(frozen=True)
class Cell:
    """One place of a row.

    Attributes:
        id: The token.
        text: What it stands for.
        special: It is a control token.
        target: What is to be predicted here; None where nothing is taught.
        says: The target as text: a token's, or a label.
        position: Counted in its document.
        document: Its document's number in the row; -1 for padding.
    """

    id: int
    text: str
    special: bool
    target: int | None
    says: str
    position: int
    document: int


@dataclass(frozen=True)
class ShownBatch:
    """A batch as it lies in memory.

    Attributes:
        sides: `batch`, or `source` and `target`; each a list of rows.
        epoch: How often the data were seen up to here.
        rows_in_all: Rows in an epoch.
        waste: Share of the batch's places that padding takes.
    """

    sides: dict[str, tuple[tuple[Cell, ...], ...]]
    epoch: float
    rows_in_all: int
    waste: float


def look(question: BatchQuestion, tokenizer: Tokenizer, told: Progress | None = None) -> ShownBatch:
    """The batch of a step, as a run with these settings gets it."""
    rows, labels = _rows(question, tokenizer, told)
    plan = Batches(len(rows), question.rows, seed=question.seed)
    batch = rows.take(plan.picks(question.step))
    sides = (
        {"source": batch.source, "target": batch.target}
        if isinstance(batch, PairBatch)
        else {"batch": batch}
    )
    filled = sum(each.filled for each in sides.values())
    places = sum(each.ids.size for each in sides.values())
    return ShownBatch(
        {name: cells(each, tokenizer, labels) for name, each in sides.items()},
        plan.epochs(question.step + 1),
        len(rows),
        1 - filled / places,
    )


def cells(
    batch: Batch, tokenizer: Tokenizer, labels: Sequence[str] | None = None
) -> tuple[tuple[Cell, ...], ...]:
    """Every place of a batch; with `labels`, targets are numbers of these."""

    def said(target: int) -> str:
        if target == IGNORED:
            return ""
        return labels[target] if labels else shown_pieces(tokenizer, [target])[0].text

    rows: list[tuple[Cell, ...]] = []
    for index in range(batch.rows):
        pieces = shown_pieces(tokenizer, batch.ids[index].tolist())
        places = zip(
            pieces,
            batch.targets[index].tolist(),
            batch.positions[index].tolist(),
            batch.documents[index].tolist(),
            strict=True,
        )
        rows.append(
            tuple(
                Cell(
                    piece.id,
                    piece.text,
                    piece.special,
                    None if target == IGNORED else target,
                    said(target),
                    position,
                    document,
                )
                for piece, target, position, document in places
            )
        )
    return tuple(rows)


def _rows(
    question: BatchQuestion, tokenizer: Tokenizer, told: Progress | None
) -> tuple[Rows[Batch] | Rows[PairBatch], list[str] | None]:
    path, length = _file(question), question.length
    if question.objective == "chat":
        found = read_conversations(path, told)
        examples, _ = chat_examples(found, tokenizer, length, too_long=question.too_long)
        return PackedRows(examples, length, pad_id=padding_id(tokenizer)), None
    if question.objective == "embed":
        return PairRows(read_pairs(path, told), tokenizer, length, too_long=question.too_long), None
    if question.objective in ("classify", "tag"):
        return _labelled(question, tokenizer, told)
    data = make_token_data(path, tokenizer, question.datasets, told)
    if question.objective == "masked":
        return MaskedRows(data, "train", length, Masking.of(tokenizer)), None
    if question.objective == "denoise":
        return SpanRows(data, "train", length, Noise.of(tokenizer)), None
    return StreamRows(data, "train", length), None


def _file(question: BatchQuestion) -> Path:
    """What is read: token data are made of whole folders, all else is what a folder trains on."""
    if question.objective in ("pretrain", "masked", "denoise") or not question.data.is_dir():
        return question.data
    return CorpusFiles.find(question.data).splits["train"]


def _labelled(
    question: BatchQuestion, tokenizer: Tokenizer, told: Progress | None
) -> tuple[Rows[Batch], list[str]]:
    read: Callable[..., object] = read_classes if question.objective == "classify" else read_tags
    examples: list[LabelledText] = list(read(_file(question), told))  # type: ignore[call-overload]
    if question.objective == "classify":
        labels = class_labels(examples)
        return (
            class_rows(examples, labels, tokenizer, question.length, too_long=question.too_long),
            labels,
        )
    labels = tag_labels(examples)
    return (
        tag_rows(examples, labels, tokenizer, question.length, too_long=question.too_long),
        labels,
    )
