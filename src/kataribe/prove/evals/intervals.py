"""How sure a mean is: intervals by the bootstrap (Efron 1979), paired where two are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kataribe.base.errors import InputError

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds between which it lies in `LEVEL` of all resamples."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Of the mean of values; equal arguments give equal bounds. `InputError` for no values."""
    if not values:
        raise InputError("There is nothing to average; give at least one value.")
    sample = np.asarray(values, np.float64)
    draw = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(1, (1 << 22) // len(sample))  # 32 MB of picks at a time
    for start in range(0, RESAMPLES, step):
        stop = min(RESAMPLES, start + step)
        picks = draw.integers(0, len(sample), (stop - start, len(sample)))
        means[start:stop] = sample[picks].mean(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(sample.mean()), float(low), float(high))


def paired_difference(
    changed: Sequence[float], base: Sequence[float], *, seed: int = 0
) -> Interval:
    """Of the mean of changed - base, both of the same items in the same order.

    Resampling items, and not each side for itself, takes out what makes an item hard for both
    (Koehn 2004). `InputError` where the sides have different lengths.
    """
    if len(changed) != len(base):
        raise InputError(
            f"{len(changed)} values cannot be paired with {len(base)}; both sides need the same "
            "items."
        )
    return interval([one - other for one, other in zip(changed, base, strict=True)], seed=seed)
