"""Figures from what calls took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 500


@dataclass(frozen=True, slots=True)
class Added:
    """Milliseconds that wrapping adds, with a 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def added(rounds: Sequence[dict[str, Any]], part: str, percent: float) -> Added:
    """The difference of a percentile of all rounds together; `part` is `first` or `whole`.

    The interval draws whole rounds (bootstrap): calls of one round share what the machine did.
    """
    bare = [np.array(each["bare"][part]) for each in rounds]
    ours = [np.array(each["wrapped"][part]) for each in rounds]

    def difference(places: Sequence[int]) -> float:
        one, other = (np.concatenate([all_[at] for at in places]) for all_ in (bare, ours))
        return float(np.percentile(other, percent) - np.percentile(one, percent)) * 1000

    draw = np.random.default_rng(1)
    drawn = [difference(draw.integers(len(bare), size=len(bare))) for _ in range(DRAWS)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Added(difference(range(len(bare))), float(low), float(high))


def slope(calls: Sequence[int], bytes_: Sequence[int], blocks: int = 9) -> Added:
    """Growth of memory in kB for 1,000 calls, by least squares over means of blocks.

    Neighbouring readings are alike, so each block counts as one; the interval is Student's.
    """
    x = np.array([part.mean() for part in np.array_split(np.array(calls, float), blocks)]) / 1000
    y = np.array([part.mean() for part in np.array_split(np.array(bytes_, float), blocks)]) / 1000
    centred = x - x.mean()
    value = float((centred @ y) / (centred @ centred))
    rest = y - y.mean() - value * centred
    wide = _T[blocks - 2] * float(np.sqrt((rest @ rest) / (blocks - 2) / (centred @ centred)))
    return Added(value, value - wide, value + wide)


_T = {7: 2.365, 8: 2.306, 18: 2.101}
"""Student's quantile of 0.975 by degrees of freedom."""
