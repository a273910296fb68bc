"""What a run learns from and what it is judged by have nothing in common.

Texts are the same here when they differ in white space and case only, as they are where corpora
are made.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from kataribe.base.errors import InputError

T = TypeVar("T")
_SHOWN = 60  # characters of the example in an error


def number_of(text: str) -> int:
    """64 bits that stand for a text, white space and case aside (BLAKE2b).

    A million texts against fifty thousand meet by chance once in 400 million times.
    """
    compared = " ".join(text.lower().split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(compared, digest_size=8).digest(), "little")


class Apart:
    """Refuses training texts that are validation texts too, while both stream by.

    Keeps 64 bits of each validation text (about 100 bytes in all), nothing of the others.
    """

    def __init__(self, valid: str, train: str) -> None:
        self._names = valid, train
        self._valid: set[int] = set()
        self._common: set[int] = set()
        self._example = ""

    def valid(self, texts: Iterable[str]) -> Iterator[str]:
        """The validation texts as they come; all must have passed before the others do."""
        for text in texts:
            if text.strip():
                self._valid.add(number_of(text))
            yield text

    def train(self, texts: Iterable[str]) -> Iterator[str]:
        """The training texts as they come; `InputError` at their end when any is in both."""
        for text in texts:
            if self._valid and (number := number_of(text)) in self._valid:
                self._common.add(number)
                self._example = self._example or text
            yield text
        if self._common:
            raise self._error()

    def _error(self) -> InputError:
        valid, train = self._names
        shown = " ".join(self._example.split())
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        return InputError(
            f"{len(self._common)} of the {len(self._valid)} different examples of {valid} stand "
            f"in {train} too, such as {shown!r}. A score on them would say nothing: take them out "
            "of one of the two.",
            param="valid",
            code="validation_overlaps",
        )


def check_apart(
    train: Iterable[str], valid: Iterable[str], train_name: str, valid_name: str
) -> None:
    """Raises `InputError` (`validation_overlaps`) when an example is on both sides."""
    apart = Apart(valid_name, train_name)
    for _ in apart.valid(valid):
        pass
    for _ in apart.train(train):
        pass


def _no_labels(_: object) -> Iterable[str]:
    return ()


def hold_out(
    items: Sequence[T],
    share: float,
    text: Callable[[T], str],
    labels: Callable[[T], Iterable[str]] = _no_labels,
) -> tuple[list[T], list[T]]:
    """To learn from, and held out, both in their order.

    Items of the same text go to one side together, those with the lowest hashes are held out, so
    that it is the same each time; never more than `share` of all. An item that is the last with
    one of its labels is learned from, however its hash falls.
    """
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[number_of(text(item))].append(index)
    left = Counter(label for item in items for label in set(labels(item)))
    wanted = int(share * len(items) + 1e-9)
    held: set[int] = set()
    for number in sorted(groups):
        if len(held) == wanted:
            break
        group = groups[number]
        lost = Counter(label for index in group for label in set(labels(items[index])))
        fits = len(held) + len(group) <= wanted
        if fits and all(left[label] > count for label, count in lost.items()):
            held.update(group)
            left.subtract(lost)
    return (
        [item for index, item in enumerate(items) if index not in held],
        [item for index, item in enumerate(items) if index in held],
    )
