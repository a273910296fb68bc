"""Learning rates over the steps of a run, as shares of the largest."""

from __future__ import annotations

import math

from kataribe.make.training.config import Optimisation


def share_at(step: int, steps: int, how: Optimisation) -> float:
    """The share of the learning rate that step `step` (from 0) of `steps` takes, from 0 to 1.

    `wsd`: warm-up, stable, decay (Hu et al. 2024) along a line or 1 - sqrt (Haegele et al. 2024).
    `cosine`: Loshchilov and Hutter 2017.
    """
    if step < how.warmup:
        return (step + 1) / (how.warmup + 1)
    if how.schedule == "constant":
        return 1.0
    length = steps - how.warmup if how.schedule == "cosine" else round(steps * how.decay_share)
    length = min(length, steps - how.warmup)
    gone = step - (steps - length)
    if gone < 0 or length < 1:
        return 1.0
    done = (gone + 1) / (length + 1)  # never wholly 0: the last step would be lost
    if how.schedule == "cosine":
        left = 0.5 * (1 + math.cos(math.pi * done))
    else:
        left = 1 - done if how.decay_shape == "linear" else 1 - math.sqrt(done)
    return how.final_share + (1 - how.final_share) * left
