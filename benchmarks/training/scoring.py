"""The one judge of the quality comparison: nats of every held-out token, for any model.

Each token is scored once, given the tokens before it: all of them up to a model's own context, and
at least half a context of them beyond the first (windows slide by half their length). Computed in
float32. A model that was trained on documents apart is read so, from each document's first token
on; one that was trained across them may be read across them: the same tokens are scored either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Logits = Callable[[Tensor], Tensor]
"""int64 (rows, seq), each row a text of its own, to float32 (rows, seq, vocab_size)."""
PLACES = 1 << 12
"""Places whose logits are computed at a time: 64 MiB for 4,096 words."""


@dataclass(frozen=True)
class HeldOut:
    """What is scored.

    Attributes:
        ids: All held-out tokens, documents behind each other.
        starts: Where each document begins.
        taught: bool, which tokens count: all but the first, and but the marks before documents
            where a mark of their end has been written (they are no news then).
        text_bytes: Bytes of the documents.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    taught: NDArray[np.bool_]
    text_bytes: int


@dataclass(frozen=True)
class Window:
    """Places `first` to `last` are read; the targets of the last `fresh` of them are scored."""

    first: int
    last: int
    fresh: int


@dataclass(frozen=True)
class Score:
    """What came of it.

    Attributes:
        nats: Sum over all tokens that count.
        tokens: How many count.
    """

    nats: float
    tokens: int


def windows(first: int, last: int, context: int) -> Iterator[Window]:
    """Windows that score each token of `first + 1` to `last` once."""
    done = first  # the last token that is scored
    at = first
    while done < last:
        end = min(at + context, last)
        yield Window(at, end, end - done)
        done = end
        at = max(first, done - context + max(1, context // 2))


def held_out(
    ids: NDArray[Any], starts: NDArray[np.int64], text_bytes: int, *, ends: bool
) -> HeldOut:
    """`ends`: whether the end of a document is a token of its own."""
    taught = np.ones(len(ids), bool)
    taught[0] = False
    if ends:
        taught[starts] = False
    return HeldOut(np.asarray(ids, np.int64), np.asarray(starts), taught, text_bytes)


def score(logits: Logits, data: HeldOut, context: int, *, across: bool) -> Score:
    """Nats of every token that counts; see the head of this file for the rule."""
    final = len(data.ids) - 1
    begins = [0] if across else [int(start) for start in data.starts]
    found = [
        window
        for begin, end in zip(begins, [*begins[1:], final], strict=True)
        for window in windows(begin, end, context)
    ]
    found.sort(key=lambda window: window.last - window.first)
    nats, tokens, at = 0.0, 0, 0
    while at < len(found):
        rows = 1
        while (
            at + rows < len(found)
            and (rows + 1) * (found[at + rows].last - found[at + rows].first) <= PLACES
        ):
            rows += 1
        one = _score(logits, data, found[at : at + rows])
        nats, tokens, at = nats + one.nats, tokens + one.tokens, at + rows
    return Score(nats, tokens)


def _score(logits: Logits, data: HeldOut, some: list[Window]) -> Score:
    """A few windows as one batch; what is short is filled up behind, where nothing looks."""
    longest = max(window.last - window.first for window in some)
    ids = np.zeros((len(some), longest), np.int64)
    targets = np.full((len(some), longest), -100, np.int64)
    for row, window in enumerate(some):
        count = window.last - window.first
        ids[row, :count] = data.ids[window.first : window.last]
        scored = slice(window.last - window.fresh + 1, window.last + 1)
        wanted = np.where(data.taught[scored], data.ids[scored], -100)
        targets[row, count - window.fresh : count] = wanted
    with torch.inference_mode():
        flat = logits(torch.from_numpy(ids)).flatten(0, 1).float()
        loss = functional.cross_entropy(
            flat, torch.from_numpy(targets).flatten(), ignore_index=-100, reduction="sum"
        )
    return Score(float(loss), int((targets != -100).sum()))
