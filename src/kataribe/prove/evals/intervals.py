"""How sure a mean is: intervals by the bootstrap (Efron 1979), paired where two are compared.

Several questions may be about one thing (three about one function). Their scores are no
independent draws, so whole items are drawn again, with all of their questions (Field and Welsh
2007, the cluster bootstrap); drawing questions would promise more than was measured.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError

RESAMPLES = 10_000
LEVEL = 0.95
_NORMAL = 1.959964
"""So many standard deviations hold `LEVEL` of a normal distribution."""


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds between which it lies in `LEVEL` of all resamples."""

    mean: float
    low: float
    high: float


def interval(
    values: Sequence[float], items: Sequence[Hashable] | None = None, *, seed: int = 0
) -> Interval:
    """Of the mean of values; equal arguments give equal bounds.

    Args:
        values: What was measured.
        items: What each value is about; values of one item are drawn together. None: each is an
            item of its own.
        seed: Of the drawing.

    Raises `InputError` for no values, or where there are not as many items.
    """
    sums, counts = _by_item(values, items)
    draw = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(1, (1 << 22) // len(sums))  # 32 MB of picks at a time
    for start in range(0, RESAMPLES, step):
        stop = min(RESAMPLES, start + step)
        picks = draw.integers(0, len(sums), (stop - start, len(sums)))
        means[start:stop] = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(sums.sum() / counts.sum()), float(low), float(high))


def share(happened: Sequence[float], items: Sequence[Hashable] | None = None) -> Interval:
    """Of the share of what happened (1) and did not (0), by Wilson's interval (1927).

    The bootstrap of six times yes is yes for sure; this one is not: 61 % to 100 %. As many draws
    are counted as there are items: whoever answers one question about a thing answers the next,
    so where items have several questions the interval is rather too wide than too narrow.

    Raises `InputError` as `interval` does.
    """
    sums, counts = _by_item(happened, items)
    mean, size = float(sums.sum() / counts.sum()), len(sums)
    square = _NORMAL**2 / size
    middle = (mean + square / 2) / (1 + square)
    half = math.sqrt(square * (mean * (1 - mean) + square / 4)) / (1 + square)
    return Interval(mean, max(0.0, min(mean, middle - half)), min(1.0, max(mean, middle + half)))


def paired_difference(
    changed: Sequence[float],
    base: Sequence[float],
    items: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> Interval:
    """Of the mean of changed - base, both of the same questions in the same order.

    Resampling differences, and not each side for itself, takes out what makes a question hard for
    both (Koehn 2004). `InputError` where the sides have different lengths.
    """
    if len(changed) != len(base):
        raise InputError(
            f"{len(changed)} values cannot be paired with {len(base)}; both sides need the same "
            "items."
        )
    differences = [one - other for one, other in zip(changed, base, strict=True)]
    return interval(differences, items, seed=seed)


def _by_item(
    values: Sequence[float], items: Sequence[Hashable] | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The sum and the number of each item's values, in the order in which items come first."""
    if not values:
        raise InputError("There is nothing to average; give at least one value.")
    if items is None:
        return np.asarray(values, np.float64), np.ones(len(values))
    if len(items) != len(values):
        raise InputError(f"{len(values)} values are about {len(items)} items; give one for each.")
    places: dict[Hashable, int] = {}
    which = [places.setdefault(item, len(places)) for item in items]
    return np.bincount(which, np.asarray(values, np.float64)), np.bincount(which)
