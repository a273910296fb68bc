"""The objective of all kinds of rows: packed text, conversations, labelled texts, pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kataribe.make.tokens.batches import Batch, Batches, PairBatch, Rows
from kataribe.make.training.objective import Loss, Share, StepData
from kataribe.make.training.processes import in_step, summed

FINAL_TIMES = 8
"""The last look of a run takes so many times the rows of those on the way. Those are one for fifty
of training unless told otherwise, and a row of a look costs a third: some 5 % of the time."""
FINAL_ROWS = 2000
"""But no more than this, unless every look takes more."""


class HeldOut(Protocol):
    """Rows that can be gone through once, in order."""

    def __len__(self) -> int:
        """Rows."""
        ...

    def in_order(self, size: int, *, rank: int = 0, ranks: int = 1) -> Iterable[Any]:
        """Batches of up to `size` rows; process `rank` of `ranks` gets its share."""
        ...


@dataclass(frozen=True, eq=False)
class RowsData:
    """What a model learns from.

    Attributes:
        rows: Rows to learn from.
        batch_rows: Rows of a step, of all processes together.
        seed: Decides their order.
        held_out: Rows to be judged by; None for none.
        eval_rows: Most of them that a look on the way takes, 0 for all; spread evenly.
        bytes_per_token: Bytes of text that a token of the held-out split stands for on average;
            None where nobody knows. Exact for all rows, near for rows spread over them.
    """

    rows: Rows[Any]
    batch_rows: int
    seed: int = 0
    held_out: HeldOut | None = None
    eval_rows: int = 0
    bytes_per_token: float | None = None


class RowsObjective:
    """Any loss over rows that are drawn anew in every epoch.

    Args:
        data: Rows to learn from and to be judged by.
        loss: The sum of a batch's losses, in nats.
        name: Of the objective.
        whole: A pass is the whole batch of a process: a loss that compares rows with each other
            is another one for every way to divide them.
        right: Of a batch, how many places the model gets right; None where nobody counts.
    """

    def __init__(
        self,
        data: RowsData,
        loss: Loss,
        name: str,
        *,
        whole: bool = False,
        right: Callable[[nn.Module, Any], float] | None = None,
    ) -> None:
        self._data, self._loss, self._name = data, loss, name
        self._whole, self._right = whole, right
        self._step = 0
        self._steps: int | None = None
        self._batches(Share())  # raises for data shorter than one batch

    @property
    def name(self) -> str:
        """See `Objective`."""
        return self._name

    def ends_after(self, steps: int | None) -> None:
        """Says how many steps the run has, if it is known: the last look takes many more rows."""
        self._steps = steps

    def data(self, step: int, share: Share) -> StepData:
        """See `Objective`."""
        self._step = step + 1
        batch = self._batches(share).at(self._data.rows, step)
        rows = batch.rows if self._whole else share.micro_rows
        return StepData(parts(batch, rows), taught(batch), filled(batch))

    def loss(self, model: nn.Module, part: Any, *, compiled: bool) -> Tensor:
        """See `Objective`."""
        return self._loss(model, part, compiled=compiled)

    def evaluate(self, model: nn.Module, share: Share) -> Mapping[str, float]:
        """See `Objective`; `bits_per_byte` is there where bytes of text are known."""
        held_out = self._data.held_out
        if held_out is None:
            return {}
        most = self._most()
        size = max(1, min(share.micro_rows, -(-most // share.ranks)))
        # Every so many rows: the first ones of a file are those of its first few documents.
        apart = max(1, -(-len(held_out) // most))
        total, places, right = 0.0, 0, 0.0
        left = most // share.ranks + (share.rank < most % share.ranks)
        mine = held_out.in_order(size, rank=share.rank * apart, ranks=share.ranks * apart)
        with torch.no_grad():
            for batch in in_step(itertools.islice(mine, -(-left // size)), share.ranks):
                part = next(iter(held_out.in_order(1))) if batch is None else batch
                part = cut_rows(part, slice(0, max(1, left)))
                loss = float(model(part))
                if batch is None:
                    continue
                left -= part.rows
                total += loss
                places += taught(part)
                if self._right is not None:
                    right += self._right(model, part)
        total, all_places, right = summed(total, places, right, among=share.ranks)
        figures = held_out_figures(total, all_places, self._data.bytes_per_token)
        if self._right is not None and all_places:
            figures["accuracy"] = right / all_places
        return figures

    def _most(self) -> int:
        """Most rows of a look after the latest step."""
        rows = self._data.eval_rows
        if rows and self._step == self._steps:
            rows = max(rows, min(FINAL_ROWS, FINAL_TIMES * rows))
        return rows or 1 << 62

    def _batches(self, share: Share) -> Batches:
        data = self._data
        return Batches(
            len(data.rows), data.batch_rows, seed=data.seed, rank=share.rank, ranks=share.ranks
        )


def held_out_figures(
    total: float, taught: float, bytes_per_token: float | None
) -> dict[str, float]:
    """Nats per token, and bits per byte of text, which no tokenizer can flatter."""
    if not taught:
        return {}
    figures = {"valid_loss": total / taught}
    if bytes_per_token:
        figures["bits_per_byte"] = total / taught / math.log(2) / bytes_per_token
    return figures


def parts(batch: Any, rows: int) -> list[Any]:
    """The batch in passes of at most `rows` rows."""
    return [cut_rows(batch, slice(at, at + rows)) for at in range(0, batch.rows, rows)]


def cut_rows(batch: Any, part: slice) -> Any:
    """Some rows of a batch, or of both sides of a pair."""
    if isinstance(batch, PairBatch):
        return PairBatch(cut_rows(batch.source, part), cut_rows(batch.target, part))
    return Batch(batch.ids[part], batch.targets[part], batch.positions[part], batch.documents[part])


def taught(batch: Any) -> int:
    """What a loss is divided by: taught places, or pairs where no place is."""
    return int(batch.taught) or (batch.rows if isinstance(batch, PairBatch) else 0)


def filled(batch: Any) -> int:
    """Tokens without padding."""
    if isinstance(batch, PairBatch):
        return batch.source.filled + batch.target.filled
    return int(batch.filled)
