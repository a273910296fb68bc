"""Texts with labels: classification (one for a text), tagging (one for a word or a span), pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError, InputError
from kataribe.make.tokens.batches import IGNORED, Batch, PairBatch, Pick
from kataribe.make.tokens.chat_data import TooLong
from kataribe.make.tokens.collation import marked, padded
from kataribe.make.tokens.corpus_files import Progress, read_rows
from kataribe.make.tokens.document_marks import document_marks
from kataribe.make.tokens.masked_rows import padding_id
from kataribe.make.tokens.tokenizer import Tokenizer

OUTSIDE = "O"


@dataclass(frozen=True)
class LabelledText:
    """A text and what is said of it.

    Attributes:
        text: The text.
        label: Its label, for classification.
        spans: First character, one past the last, and type, for tagging.
        words: The spans are words: only the first piece of each teaches, its type is its tag.
    """

    text: str
    label: str = ""
    spans: tuple[tuple[int, int, str], ...] = ()
    words: bool = False


def read_classes(path: Path, progress: Progress | None = None) -> Iterator[LabelledText]:
    """JSON lines `{"text": str, "label": str or int}`.

    Raises:
        FormatError: A line lacks one of the two.
    """
    for number, row in enumerate(read_rows(path, progress), start=1):
        text, label = row.get("text"), row.get("label")
        if not isinstance(text, str) or not text.strip():
            raise FormatError(f"Line {number} of {path} has no words in its field `text`.")
        if not isinstance(label, str | int) or isinstance(label, bool):
            raise FormatError(
                f"Line {number} of {path} has no label: its field `label` is {label!r}, but has "
                "to be a text or a number."
            )
        yield LabelledText(text, str(label))


def read_tags(path: Path, progress: Progress | None = None) -> Iterator[LabelledText]:
    """JSON lines `{"text", "entities": [{"span": [first, end], "type"}]}` or `{"words", "tags"}`.

    Raises:
        FormatError: A line is neither, or a span lies outside of its text.
    """
    for number, row in enumerate(read_rows(path, progress), start=1):
        where = f"Line {number} of {path}"
        if isinstance(row.get("words"), list):
            yield _tagged_words(row, where)
        else:
            yield _tagged_text(row, where)


def _tagged_words(row: dict[str, Any], where: str) -> LabelledText:
    words, tags = row["words"], row.get("tags")
    if not isinstance(tags, list) or len(tags) != len(words) or not words:
        found = len(tags) if isinstance(tags, list) else "no"
        raise FormatError(f"{where} has {len(words)} words and {found} tags; each word needs one.")
    spans: list[tuple[int, int, str]] = []
    at = 0
    for word, tag in zip(words, tags, strict=True):
        if not isinstance(word, str) or not word or not isinstance(tag, str):
            raise FormatError(f"{where} has the word {word!r} with the tag {tag!r}; give texts.")
        spans.append((at, at + len(word), tag))
        at += len(word) + 1
    return LabelledText(" ".join(words), spans=tuple(spans), words=True)


def _tagged_text(row: dict[str, Any], where: str) -> LabelledText:
    text, entities = row.get("text"), row.get("entities")
    if not isinstance(text, str) or not text or not isinstance(entities, list):
        raise FormatError(
            f"{where} has no tags; it needs `text` and `entities` (with `span` and `type`), or "
            "`words` and `tags`."
        )
    spans: list[tuple[int, int, str]] = []
    for entity in entities:
        span = entity.get("span") if isinstance(entity, dict) else None
        kind = entity.get("type") if isinstance(entity, dict) else None
        first, last = span if isinstance(span, list) and len(span) == 2 else (0, 0)
        numbers = type(first) is int and type(last) is int
        if not numbers or not isinstance(kind, str) or not 0 <= first < last <= len(text):
            raise FormatError(
                f"{where} has the entity {entity!r}; its `span` has to be the first character and "
                f"one past the last of {len(text)}, its `type` a text."
            )
        spans.append((first, last, kind))
    return LabelledText(text, spans=tuple(sorted(spans)))


def class_labels(
    examples: Iterable[LabelledText], wanted: Sequence[str] | None = None
) -> list[str]:
    """The labels in the order of their numbers: `wanted`, or all that occur, sorted.

    Raises:
        InputError: `wanted` has a label that no example has, or lacks one that some have.
    """
    return _labels(Counter(each.label for each in examples), wanted)


def tag_labels(examples: Iterable[LabelledText], wanted: Sequence[str] | None = None) -> list[str]:
    """As `class_labels` for tags: `O`, and for types of spans `B-TYPE` and `I-TYPE`."""
    found: Counter[str] = Counter()
    for example in examples:
        for _, _, kind in example.spans:
            found.update([kind] if example.words else [f"B-{kind}", f"I-{kind}"])
        if not example.words:
            found[OUTSIDE] += 1
    return _labels(found, wanted)


def _labels(found: Counter[str], wanted: Sequence[str] | None) -> list[str]:
    if not found:
        raise InputError("There is no example with a label.")
    if wanted is None:
        known = sorted(found.keys() - {OUTSIDE})
        return [OUTSIDE, *known] if OUTSIDE in found else known
    lacking = [each for each in wanted if each not in found]
    if lacking:
        raise InputError(
            f"The data lack the label {lacking[0]!r}; they have {_listed(found)}. Leave it out, "
            "or add examples of it."
        )
    unknown = sorted(found.keys() - set(wanted))
    if unknown:
        raise InputError(
            f"The data have the label {unknown[0]!r} ({found[unknown[0]]} times), but the labels "
            f"are to be {', '.join(wanted)}. Add it, or leave its examples out."
        )
    return list(wanted)


def _listed(found: Counter[str]) -> str:
    return ", ".join(f"{label} ({count})" for label, count in sorted(found.items())[:20])


class LabelledRows:
    """Rows of one text each, with labels as targets, filled up to the longest of the batch."""

    def __init__(self, rows: Sequence[tuple[list[int], list[int]]], pad_id: int) -> None:
        if not rows:
            raise InputError("There is no example to learn from.")
        self._rows = rows
        self._pad = pad_id

    def __len__(self) -> int:
        """Rows in an epoch."""
        return len(self._rows)

    def take(self, picks: Sequence[Pick]) -> Batch:
        """These rows."""
        rows = [self._rows[pick.index] for pick in picks]
        return padded([row[0] for row in rows], [row[1] for row in rows], pad_id=self._pad)


def class_rows(
    examples: Iterable[LabelledText],
    labels: Sequence[str],
    tokenizer: Tokenizer,
    length: int,
    *,
    too_long: TooLong = "refuse",
    at_end: bool = False,
) -> LabelledRows:
    """Rows for classification: the label's number is the target of the first place.

    `at_end` makes it that of the last place, which is the one of a decoder that has read all.
    """
    marks = document_marks(tokenizer)
    numbers = {label: index for index, label in enumerate(labels)}
    rows: list[tuple[list[int], list[int]]] = []
    sizes = _Sizes(length, too_long)
    for example in examples:
        if example.label not in numbers:
            raise InputError(
                f"The data have the label {example.label!r}, but the labels are "
                f"{', '.join(labels)}."
            )
        room = sizes.room(2, tokenizer.encode_texts([example.text])[0])
        if room is None:
            continue
        ids = marked(room, marks)
        targets = [IGNORED] * len(ids)
        targets[-1 if at_end else 0] = numbers[example.label]
        rows.append((ids, targets))
    sizes.check()
    return LabelledRows(rows, padding_id(tokenizer))


def tag_rows(
    examples: Iterable[LabelledText],
    labels: Sequence[str],
    tokenizer: Tokenizer,
    length: int,
    *,
    too_long: TooLong = "refuse",
) -> LabelledRows:
    """Rows for tagging: the tag's number is the target of pieces.

    Of words only the first piece teaches. In texts with spans every piece does: `B-TYPE` where a
    span begins, `I-TYPE` inside, `O` elsewhere.
    """
    marks = document_marks(tokenizer)
    numbers = {label: index for index, label in enumerate(labels)}
    rows: list[tuple[list[int], list[int]]] = []
    sizes = _Sizes(length, too_long)
    for example in examples:
        pieces = sizes.room(2, tokenizer.encode_spans(example.text))
        if pieces is None:
            continue
        tags = _word_tags(example, pieces) if example.words else _span_tags(example, pieces)
        unknown = next((tag for tag in tags if tag is not None and tag not in numbers), None)
        if unknown is not None:
            raise InputError(
                f"The data have the tag {unknown!r}, but tags are {', '.join(labels)}."
            )
        targets = [IGNORED if tag is None else numbers[tag] for tag in tags]
        rows.append((marked([each for each, _, _ in pieces], marks), [IGNORED, *targets, IGNORED]))
    sizes.check()
    return LabelledRows(rows, padding_id(tokenizer))


def _word_tags(example: LabelledText, pieces: Sequence[tuple[int, int, int]]) -> list[str | None]:
    first = {at: kind for start, end, kind in example.spans for at in range(start, end)}
    begun: set[int] = set()
    starts = {at: start for start, end, _ in example.spans for at in range(start, end)}
    tags: list[str | None] = []
    for _, start, end in pieces:
        # A piece may begin with the space before its word.
        at = next((each for each in range(start, end) if each in first), None)
        new = at is not None and starts[at] not in begun
        tags.append(first[at] if at is not None and new else None)
        if at is not None:
            begun.add(starts[at])
    return tags


def _span_tags(example: LabelledText, pieces: Sequence[tuple[int, int, int]]) -> list[str | None]:
    inside = {at: span for span in example.spans for at in range(span[0], span[1])}
    begun: set[tuple[int, int, str]] = set()
    tags: list[str | None] = []
    for _, start, end in pieces:
        span = next((inside[at] for at in range(start, max(end, start + 1)) if at in inside), None)
        if span is None:
            tags.append(OUTSIDE)
            continue
        tags.append(f"{'I' if span in begun else 'B'}-{span[2]}")
        begun.add(span)
    return tags


class _Sizes:
    """Keeps texts to a length, as was decided, and counts those that are longer."""

    def __init__(self, length: int, too_long: TooLong) -> None:
        self._length, self._too_long = length, too_long
        self._count = self._longer = self._longest = 0

    def room(self, around: int, ids: list[Any]) -> list[Any] | None:
        """What is kept of ids; None for nothing."""
        whole = len(ids) + around
        self._count += 1
        self._longest = max(self._longest, whole)
        if whole <= self._length:
            return ids
        self._longer += 1
        return ids[: self._length - around] if self._too_long == "cut" else None

    def check(self) -> None:
        """Raises `InputError` when there are longer ones and nobody decided about them."""
        if self._longer and self._too_long == "refuse":
            raise InputError(
                f"{self._longer} of {self._count} texts are longer than a row of {self._length} "
                f"tokens (the longest has {self._longest}). Take longer rows, or say what "
                "becomes of them (--too-long drop, or --too-long cut)."
            )


class PairRows:
    """Questions and the passages that answer them, for training an embedder.

    A row's passage belongs to its question; those of other rows of the batch are what it must be
    told apart from. Nothing is taught by ids, so all targets are `IGNORED`.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        tokenizer: Tokenizer,
        length: int,
        *,
        prefixes: tuple[str, str] = ("query: ", "passage: "),
        too_long: TooLong = "refuse",
    ) -> None:
        """Encodes all; raises what `class_rows` raises about lengths, and for no pair at all."""
        marks = document_marks(tokenizer)
        sizes = _Sizes(length, too_long)
        self._rows: list[tuple[list[int], list[int]]] = []
        self._pad = padding_id(tokenizer)
        for pair in pairs:
            texts = [prefix + text for prefix, text in zip(prefixes, pair, strict=True)]
            both = [sizes.room(2, ids) for ids in tokenizer.encode_texts(texts)]
            if both[0] is not None and both[1] is not None:
                self._rows.append((marked(both[0], marks), marked(both[1], marks)))
        sizes.check()
        if not self._rows:
            raise InputError("There is no pair to learn from.")

    def __len__(self) -> int:
        """Pairs in an epoch."""
        return len(self._rows)

    def take(self, picks: Sequence[Pick]) -> PairBatch:
        """These pairs."""
        sides = zip(*(self._rows[pick.index] for pick in picks), strict=True)
        source, target = (
            padded(side, [[IGNORED] * len(ids) for ids in side], pad_id=self._pad) for side in sides
        )
        return PairBatch(source, target)


def read_pairs(path: Path, progress: Progress | None = None) -> Iterator[tuple[str, str]]:
    """JSON lines `{"query": str, "passage": str}`; `FormatError` for a line that lacks one."""
    for number, row in enumerate(read_rows(path, progress), start=1):
        query, passage = row.get("query"), row.get("passage")
        for name, text in (("query", query), ("passage", passage)):
            if not isinstance(text, str) or not text.strip():
                raise FormatError(f"Line {number} of {path} has no words in its field `{name}`.")
        yield str(query), str(passage)
