"""Learning rates over the steps of a run, as shares of the largest."""

from __future__ import annotations

import dataclasses
import math

from kataribe.make.training.config import LoopConfig, Optimisation


def share_at(step: int, steps: int | None, how: Optimisation) -> float:
    """The share of the learning rate that step `step` (from 0) of `steps` takes, from 0 to 1.

    `steps` is None while nobody knows when the run ends: its rates are not lowered yet.
    `wsd`: warm-up, stable, decay (Hu et al. 2024) along a line or 1 - sqrt (Haegele et al. 2024).
    `cosine`: Loshchilov and Hutter 2017.
    """
    if step < how.warmup:
        return (step + 1) / (how.warmup + 1)
    if how.schedule == "constant" or steps is None:
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


def settled(config: LoopConfig, step: int, gone: float) -> LoopConfig:
    """The settings with the last step known, where time decides and can tell by now.

    It can when lowering the rates from here to the last step would take the time that is left, at
    the pace up to here. They are lowered from just here then, so that whoever begins with these
    settings comes to the same weights.

    Args:
        config: The loop's; given back as it is while nothing can be told.
        step: Steps that are done.
        gone: Seconds that they took, with all that was done beside them.
    """
    how = config.optimisation
    lowered = how.decay_share if how.schedule == "wsd" else 0.0
    if config.seconds is None or gone < config.seconds * (1.0 - lowered):
        return config
    steps = max(step, round(step * config.seconds / gone))
    if how.schedule == "wsd":
        how = dataclasses.replace(how, decay_share=(steps - step) / steps)
    return dataclasses.replace(config, steps=steps, seconds=None, optimisation=how)
