"""How sure a mean is: intervals by the bootstrap (Efron 1979), paired where two are compared.

Those of shares are the score test's (Wilson 1927; Tango 1998 for the difference of a pair).
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
LEAST_ITEMS = 20
"""With fewer the bootstrap gives no bounds. The mean lies outside of them in at most 8 % of tries
with 20 items, and in 12 % with 10, 20 % with 5, always with one (1,500 tries each of normal values,
of ones half of which are 0, and of skewed ones)."""
LEAST_PAIRS = 5
"""The same for differences of shares. They lie outside in at most 9 % of tries (counted over all
outcomes of 5 to 30 pairs); with 4 pairs no difference is taken for one in up to 12.5 %."""
_NORMAL = 1.959964
"""So many standard deviations hold `LEVEL` of a normal distribution."""


@dataclass(frozen=True)
class Interval:
    """A mean and bounds that are meant to hold what it estimates in `LEVEL` of all tries.

    Attributes:
        mean: Of what was measured.
        low: Lower bound; -inf where there are too few items to say anything.
        high: Upper bound; inf there.
    """

    mean: float
    low: float
    high: float

    @property
    def has_bounds(self) -> bool:
        """There are enough items for bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def interval(
    values: Sequence[float], items: Sequence[Hashable] | None = None, *, seed: int = 0
) -> Interval:
    """Of the mean of values; equal arguments give equal bounds, below `LEAST_ITEMS` items none.

    Args:
        values: What was measured.
        items: What each value is about; values of one item are drawn together. None: each is an
            item of its own.
        seed: Of the drawing.

    Raises `InputError` for no values, or where there are not as many items.
    """
    sums, counts = _by_item(values, items)
    mean = float(sums.sum() / counts.sum())
    if len(sums) < LEAST_ITEMS:
        return _unknown(mean)
    draw = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(1, (1 << 22) // len(sums))  # 32 MB of picks at a time
    for start in range(0, RESAMPLES, step):
        stop = min(RESAMPLES, start + step)
        picks = draw.integers(0, len(sums), (stop - start, len(sums)))
        means[start:stop] = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high))


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
    return interval(_differences(changed, base), items, seed=seed)


def paired_share_difference(
    changed: Sequence[float], base: Sequence[float], items: Sequence[Hashable] | None = None
) -> Interval:
    """Of the share of changed - the share of base, by Tango's score interval (1998).

    It has the differences that the score test does not refuse, so it leaves out zero just where
    McNemar's test (1947) does, and has a width where nothing differs: twice all of 30 may still be
    11 points apart. As in `share` as many draws are counted as there are items; below `LEAST_PAIRS`
    there are no bounds.

    Raises `InputError` as `paired_difference` does, and for values besides 0 and 1.
    """
    differences = _differences(changed, base)
    odd = next((value for value in (*changed, *base) if value not in (0, 1)), None)
    if odd is not None:
        raise InputError(f"A share is of what happened (1) or did not (0), and not of {odd}.")
    sums, counts = _by_item(differences, items)
    size = len(sums)
    mean = float(sums.sum() / counts.sum())
    if size < LEAST_PAIRS:
        return _unknown(mean)
    rises, falls = (
        sum(sign * each > 0 for each in differences) / len(differences) for sign in (1, -1)
    )
    low, high = (_farthest(rises, falls, size, end) for end in (-1.0, 1.0))
    return Interval(mean, low, high)


def _farthest(rises: float, falls: float, size: int, end: float) -> float:
    """The last difference on the way to `end` that the score test does not refuse."""
    inside, outside = rises - falls, end
    if _score_squared(rises, falls, size, end) <= _NORMAL**2:
        return end
    for _ in range(50):  # halves: down to the last bit
        middle = (inside + outside) / 2
        if _score_squared(rises, falls, size, middle) <= _NORMAL**2:
            inside = middle
        else:
            outside = middle
    return inside


def _score_squared(rises: float, falls: float, size: int, difference: float) -> float:
    """Tango's statistic: how far what was seen is from a difference, in squared deviations.

    `falls` under that difference are the root of 2 x^2 + b x + c, its likeliest value (his 3.3).
    """
    b = (2 - rises + falls) * difference - rises - falls
    c = -falls * difference * (1 - difference)
    likeliest = (math.sqrt(max(0.0, b * b - 8 * c)) - b) / 4
    variance = (2 * likeliest + difference * (1 - difference)) / size
    away = (rises - falls - difference) ** 2
    if away == 0:
        return 0.0
    return math.inf if variance <= 0 else away / variance


def _differences(changed: Sequence[float], base: Sequence[float]) -> list[float]:
    if len(changed) != len(base):
        raise InputError(
            f"{len(changed)} values cannot be paired with {len(base)}; both sides need the same "
            "items."
        )
    return [one - other for one, other in zip(changed, base, strict=True)]


def _unknown(mean: float) -> Interval:
    return Interval(mean, -math.inf, math.inf)


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
