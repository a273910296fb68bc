"""Rows for masked language models: some tokens are hidden and have to be found again (BERT)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.make.tokens.batches import IGNORED, Batch, Pick
from kataribe.make.tokens.collation import joined, marked, text_spans
from kataribe.make.tokens.packing import cut
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.tokens.tokenizer import Tokenizer

_MASKS = ("[MASK]", "<mask>", "<|mask|>")


@dataclass(frozen=True, eq=False)
class Masking:
    """How tokens are hidden (Devlin et al. 2019, https://arxiv.org/abs/1810.04805).

    Attributes:
        mask_id: Stands for a hidden token.
        ordinary: Ids that text is made of, int64: a token may be swapped for one of them.
        pad_id: Fills rows up.
        rate: Share of a row's tokens that teach.
        hidden: Of these, the share that becomes `mask_id`.
        swapped: Of these, the share that becomes any other token; the rest stays as it is.
    """

    mask_id: int
    ordinary: NDArray[np.int64]
    pad_id: int
    rate: float = 0.15
    hidden: float = 0.8
    swapped: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.rate, self.hidden, self.swapped)
        if not all(0 <= share <= 1 for share in shares) or self.hidden + self.swapped > 1:
            raise InputError(
                f"Hiding {self.rate} of the tokens, {self.hidden} of these behind the mask and "
                f"{self.swapped} swapped, cannot be: shares go from 0 to 1, and the last two "
                "make at most 1 together."
            )
        if not self.rate:
            raise InputError("With a rate of 0 nothing is hidden, so nothing is learned.")

    @classmethod
    def of(cls, tokenizer: Tokenizer, rate: float = 0.15) -> Masking:
        """For a tokenizer; `UnsupportedError` when it has no token that hides others."""
        found = [tokenizer.special_id(text) for text in _MASKS]
        mask_id = next((each for each in found if each is not None), None)
        if mask_id is None:
            raise UnsupportedError(
                "This tokenizer has no mask token, which a masked language model needs. Train "
                "one with it (kataribe tokenizer train --mask), or a WordPiece."
            )
        ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), sorted(tokenizer.special_ids))
        return cls(mask_id, ordinary.astype(np.int64), padding_id(tokenizer), rate)


def padding_id(tokenizer: Tokenizer) -> int:
    """What fills rows up; any token does where there is none for it, as padding is never read."""
    return tokenizer.pad_id if tokenizer.pad_id is not None else 0


class MaskedRows:
    """Rows of pieces of documents, each between the marks of a document."""

    def __init__(self, data: TokenData, split: str, length: int, masking: Masking) -> None:
        """Raises `InputError` for rows too short for the marks and a token."""
        self._tokens = data.tokens(split)
        self._marks = data.meta.marks
        self._masking = masking
        self.length = length
        self.pieces = cut(text_spans(data, split), (length,), lambda tokens: (tokens + 2,))

    def __len__(self) -> int:
        """Rows in an epoch."""
        return len(self.pieces)

    @property
    def waste(self) -> float:
        """Share of all places that padding takes."""
        used = int(self.pieces.lengths.sum()) + 2 * len(self.pieces.lengths)
        return 1 - used / (len(self) * self.length)

    def take(self, picks: Sequence[Pick]) -> Batch:
        """These rows: (picks, length). What is hidden is drawn anew in every epoch."""
        return joined(
            [self._row(pick) for pick in picks], pad_id=self._masking.pad_id, length=self.length
        )

    def in_order(self, size: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        """Batches of up to `size` rows that together hold every row once, for evaluation."""
        rows = range(len(self))[rank::ranks]
        for at in range(0, len(rows), size):
            yield self.take([Pick(0, 0, index) for index in rows[at : at + size]])

    def _row(self, pick: Pick) -> list[tuple[list[int], list[int]]]:
        stretches = self.pieces.row(pick.index)
        texts = [np.asarray(self._tokens[at : at + n], np.int64) for at, n in stretches]
        seen, targets = hide(np.concatenate(texts), self._masking, pick.dice())
        row: list[tuple[list[int], list[int]]] = []
        at = 0
        for text in texts:
            place = slice(at, at + len(text))
            at += len(text)
            target = [IGNORED, *targets[place].tolist(), IGNORED]
            row.append((marked(seen[place].tolist(), self._marks), target))
        return row


def hide(
    ids: NDArray[np.int64], masking: Masking, dice: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the model sees of the ids, and what it has to find: exactly the rate, at least one."""
    count = max(1, round(masking.rate * len(ids)))
    chosen = np.argsort(dice.random(len(ids)), kind="stable")[:count]
    lot = dice.random(count)
    others = masking.ordinary[(dice.random(count) * len(masking.ordinary)).astype(np.int64)]
    swapped = lot < masking.hidden + masking.swapped
    instead = np.where(
        lot < masking.hidden, masking.mask_id, np.where(swapped, others, ids[chosen])
    )
    seen, targets = ids.copy(), np.full(len(ids), IGNORED, np.int64)
    targets[chosen] = ids[chosen]
    seen[chosen] = instead
    return seen, targets
