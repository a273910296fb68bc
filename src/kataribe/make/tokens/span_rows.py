"""Rows for denoising: spans are cut out of a text and have to be written (T5).

Raffel et al. 2020, https://arxiv.org/abs/1910.10683: `Thank you <0> me to your <1> week` asks for
`<0> for inviting <1> last`, each sentinel standing for a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.make.tokens.batches import IGNORED, PairBatch, Pick
from kataribe.make.tokens.collation import joined, text_spans
from kataribe.make.tokens.masked_rows import padding_id
from kataribe.make.tokens.packing import cut
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.tokens.tokenizer import Tokenizer

_NEVER = 1 << 60
Part = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Noise:
    """How spans are cut out.

    Attributes:
        sentinels: Ids that stand for spans, in their order.
        pad_id: Fills rows up, and begins what the decoder reads.
        density: Share of a text that is cut out.
        span: Mean tokens of a span.
    """

    sentinels: tuple[int, ...]
    pad_id: int
    density: float = 0.15
    span: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.density < 1 or self.span < 1 or not self.sentinels:
            raise InputError(
                f"Cutting out {self.density} of a text in spans of {self.span} tokens for "
                f"{len(self.sentinels)} sentinels cannot be: the share lies between 0 and 1, a "
                "span has at least 1 token, and at least 1 sentinel is needed."
            )

    @classmethod
    def of(cls, tokenizer: Tokenizer, density: float = 0.15, span: float = 3.0) -> Noise:
        """For a tokenizer; `UnsupportedError` when it has no sentinels."""
        found: list[int] = []
        while (each := tokenizer.special_id(f"<extra_id_{len(found)}>")) is not None:
            found.append(each)
        if not found:
            raise UnsupportedError(
                "This tokenizer has no sentinels (<extra_id_0>, ...), which denoising needs. "
                "Train one with them (kataribe tokenizer train --sentinels 100)."
            )
        return cls(tuple(found), padding_id(tokenizer), density, span)

    def sizes(self, tokens: int) -> tuple[int, int]:
        """Tokens that are cut out of so many, and in how many spans."""
        noise = min(max(1, round(tokens * self.density)), tokens - 1)
        spans = min(max(1, round(noise / self.span)), noise, tokens - noise)
        return max(0, noise), max(0, spans)

    def cost(self, tokens: int) -> tuple[int, int]:
        """Places that a piece of so many tokens takes as source and as target."""
        if not tokens:
            return 0, 0
        noise, spans = self.sizes(tokens)
        if spans > len(self.sentinels):
            return _NEVER, _NEVER
        return tokens - noise + spans + 1, noise + spans + 1


class SpanRows:
    """Pairs of rows: texts with gaps, and what belongs into the gaps."""

    def __init__(
        self,
        data: TokenData,
        split: str,
        length: int,
        noise: Noise,
        *,
        target_length: int | None = None,
    ) -> None:
        """Cuts documents so that sources fill `length` and targets keep to theirs (a quarter)."""
        self._tokens = data.tokens(split)
        self._end = data.meta.marks.end
        self._noise = noise
        self.length = length
        self.target_length = target_length or max(8, length // 4)
        room = (length, self.target_length)
        self.pieces = cut(text_spans(data, split), room, noise.cost)

    def __len__(self) -> int:
        """Rows in an epoch."""
        return len(self.pieces)

    @property
    def waste(self) -> float:
        """Share of the sources' places that padding takes."""
        used = sum(self._noise.cost(tokens)[0] for tokens in self.pieces.lengths.tolist())
        return 1 - used / (len(self) * self.length)

    def take(self, picks: Sequence[Pick]) -> PairBatch:
        """These rows; the gaps are drawn anew in every epoch."""
        rows = [self._row(pick) for pick in picks]
        pad = self._noise.pad_id
        return PairBatch(
            joined([row[0] for row in rows], pad_id=pad, length=self.length),
            joined([row[1] for row in rows], pad_id=pad, length=self.target_length),
        )

    def in_order(self, size: int, *, rank: int = 0, ranks: int = 1) -> Iterator[PairBatch]:
        """Batches of up to `size` rows that together hold every row once, for evaluation."""
        rows = range(len(self))[rank::ranks]
        for at in range(0, len(rows), size):
            yield self.take([Pick(0, 0, index) for index in rows[at : at + size]])

    def _row(self, pick: Pick) -> tuple[list[Part], list[Part]]:
        dice = pick.dice()
        sources: list[Part] = []
        targets: list[Part] = []
        for start, count in self.pieces.row(pick.index):
            ids = self._tokens[start : start + count].tolist()
            source, target = corrupted(ids, self._noise, dice)
            source, target = [*source, self._end], [*target, self._end]
            sources.append((source, [IGNORED] * len(source)))
            targets.append(([self._noise.pad_id, *target[:-1]], target))
        return sources, targets


def corrupted(
    ids: Sequence[int], noise: Noise, dice: np.random.Generator
) -> tuple[list[int], list[int]]:
    """A text with sentinels for its gaps, and each sentinel with what it stands for."""
    count, spans = noise.sizes(len(ids))
    if not spans:
        return list(ids), []
    kept = _parts(len(ids) - count, spans, dice)
    gaps = _parts(count, spans, dice)
    source: list[int] = []
    target: list[int] = []
    at = 0
    for sentinel, stays, goes in zip(noise.sentinels, kept.tolist(), gaps.tolist(), strict=False):
        source += [*ids[at : at + stays], sentinel]
        at += stays
        target += [sentinel, *ids[at : at + goes]]
        at += goes
    return source, target


def _parts(total: int, parts: int, dice: np.random.Generator) -> NDArray[np.int64]:
    """`total` in so many parts of at least 1, every way equally likely."""
    order = np.argsort(dice.random(total - 1), kind="stable")[: parts - 1]
    borders = np.sort(order) + 1
    return np.diff(np.concatenate([[0], borders, [total]])).astype(np.int64)
