"""Batches as values that one can look at, and the order in which a run gets them.

A batch is a pure function of data, seed and step. So a run that was stopped continues with the very
batch it would have got, and processes that share a run need not talk about who takes what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError

IGNORED = -100
"""Stands in `targets` where nothing is taught (the number that PyTorch's losses skip)."""
PADDING = -1
"""Stands in `documents` where a row is filled up."""

Ids = NDArray[np.int64]
Numbers = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of tokens and what they teach. All arrays are (batch, seq).

    Attributes:
        ids: Token ids, int64.
        targets: What is to be predicted at each place, int64; `IGNORED` where nothing is. For
            next-token objectives it is the following id, for masked ones the id that was
            hidden, for classification a label at the first place, for tagging a tag at the first
            piece of each word.
        positions: int64, counting from 0 in each document.
        documents: int32, the number of the document within its row, `PADDING` where filled up.
            Neither attention nor loss crosses from one to another.
    """

    ids: Ids
    targets: Ids
    positions: Ids
    documents: Numbers

    def __post_init__(self) -> None:
        kinds = {"ids": np.int64, "targets": np.int64, "positions": np.int64, "documents": np.int32}
        for name, kind in kinds.items():
            array = getattr(self, name)
            if array.ndim != 2 or array.dtype != kind or array.shape != self.ids.shape:
                raise InputError(
                    f"{name} of a batch is {array.dtype}{list(array.shape)}, but has to be "
                    f"{np.dtype(kind)} and shaped (batch, seq) as ids, which is "
                    f"{list(self.ids.shape)}."
                )

    @property
    def rows(self) -> int:
        """Rows."""
        return int(self.ids.shape[0])

    @property
    def length(self) -> int:
        """Places in a row."""
        return int(self.ids.shape[1])

    @property
    def taught(self) -> int:
        """Places that teach something: what a loss has to be divided by."""
        return int(np.count_nonzero(self.targets != IGNORED))

    @property
    def filled(self) -> int:
        """Places that hold a token and no padding."""
        return int(np.count_nonzero(self.documents != PADDING))


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Two batches whose rows belong together.

    Attributes:
        source: What is read: the encoder's side, or questions for training an embedder.
        target: What is written, or the passages that answer. A document of a target's row belongs
            to the document of the same number in the source's row.
    """

    source: Batch
    target: Batch

    def __post_init__(self) -> None:
        if self.source.rows != self.target.rows:
            raise InputError(
                f"A pair of batches has {self.source.rows} rows on its source's side and "
                f"{self.target.rows} on its target's; every row needs its partner."
            )

    @property
    def rows(self) -> int:
        """Pairs."""
        return self.source.rows

    @property
    def taught(self) -> int:
        """Places that teach something, on both sides."""
        return self.source.taught + self.target.taught


@dataclass(frozen=True, slots=True)
class Pick:
    """One row of one epoch; with the data it says everything about the row, dice included.

    Attributes:
        seed: The run's.
        epoch: Counts from 0.
        index: The row in the data.
    """

    seed: int
    epoch: int
    index: int

    def dice(self) -> np.random.Generator:
        """Random numbers of this row's own (Philox, Salmon et al. 2011: keyed, so no order)."""
        return np.random.Generator(np.random.Philox(key=[self.seed, self.epoch << 40 | self.index]))


B_co = TypeVar("B_co", Batch, PairBatch, covariant=True)


class Rows(Protocol[B_co]):
    """Data cut into rows."""

    def __len__(self) -> int:
        """Rows in an epoch."""
        ...

    def take(self, picks: Sequence[Pick]) -> B_co:
        """These rows as one batch."""
        ...


B = TypeVar("B", Batch, PairBatch)


class Batches:
    """The batches of a run: `at(step)` is the same whenever and wherever it is asked for.

    Every epoch takes each row once, in an order of its own; a batch may reach from one epoch into
    the next. Of `ranks` processes each takes every `ranks`-th row of a batch, so that together
    they have the batch of one process.
    """

    def __init__(self, count: int, size: int, *, seed: int, rank: int = 0, ranks: int = 1) -> None:
        """The plan of a run over `count` rows in batches of `size` (of all processes together).

        Raises:
            InputError: Fewer rows than one batch takes, a size that the processes cannot share
                evenly, or numbers out of range.
        """
        if size < 1 or ranks < 1 or not 0 <= rank < ranks:
            raise InputError(
                f"A batch of {size} rows for process {rank} of {ranks} cannot be; rows and "
                "processes are at least 1, and processes count from 0."
            )
        if size % ranks:
            raise InputError(
                f"A batch of {size} rows cannot be shared evenly by {ranks} processes; make it a "
                f"multiple of {ranks}."
            )
        if count < size:
            raise InputError(
                f"The data make {count} rows, but one batch takes {size}. Take smaller batches "
                "or shorter rows, or more text."
            )
        if not 0 <= seed < 1 << 63:
            raise InputError(f"The seed {seed} is out of range; it goes from 0 to 2^63 - 1.")
        self.count, self.size = count, size
        self.seed, self.rank, self.ranks = seed, rank, ranks

    def picks(self, step: int) -> list[Pick]:
        """This process's rows of step `step`, which counts from 0."""
        if step < 0:
            raise InputError(f"Step {step} is negative; steps count from 0.")
        first = step * self.size
        places = range(first + self.rank, first + self.size, self.ranks)
        return [self._pick(place) for place in places]

    def at(self, rows: Rows[B], step: int) -> B:
        """This process's share of the batch of a step."""
        if len(rows) != self.count:
            raise InputError(
                f"The order was planned for {self.count} rows, but the data make {len(rows)}; "
                "resume with the data and the length of rows that the run began with."
            )
        return rows.take(self.picks(step))

    def epochs(self, steps: int) -> float:
        """How often the data were seen after so many steps."""
        return steps * self.size / self.count

    def _pick(self, place: int) -> Pick:
        epoch, at = divmod(place, self.count)
        return Pick(self.seed, epoch, int(shuffled(self.seed, epoch, self.count)[at]))


@lru_cache(maxsize=2)  # a batch may reach from one epoch into the next
def shuffled(seed: int, epoch: int, count: int) -> Ids:
    """The numbers below `count` in the order of an epoch.

    They are sorted by a hash (SplitMix64, Steele et al. 2014), because NumPy promises no fixed
    shuffle from one version to the next, and a run may be resumed with a newer one.
    """
    hashes = _mixed(np.arange(count, dtype=np.uint64) + _start(seed, epoch))
    order = np.argsort(hashes, kind="stable").astype(np.int64, copy=False)
    order.setflags(write=False)
    return order


def drawn(seed: int, epoch: int, below: int) -> int:
    """One number below `below` for an epoch, by the same hash."""
    return int(_mixed(_start(seed, epoch))[0]) % below


def _start(seed: int, epoch: int) -> NDArray[np.uint64]:
    parts = np.array([seed, epoch], np.uint64)
    return _mixed(_mixed(parts[:1]) ^ parts[1:] * np.uint64(0xD1342543DE82EF95))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)  # arrays wrap around without a warning
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
