"""What is expected of a run, said before it starts and held against what came."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from kataribe.make.model.counting import parameter_count
from kataribe.make.training.config import LoopConfig, Work
from kataribe.make.training.dial import Choice, Given, effective, shape, training_flops
from kataribe.make.training.machine import settle, tokens_per_second
from kataribe.make.training.memory import check_memory, decoder_memory
from kataribe.make.training.overrides import Overrides
from kataribe.make.training.scaling import LAW

Say = Callable[[str], None]

OVERHEAD = 1.05
"""Looks, samples and checkpoints beside the steps."""
COMPARED = ("parameters", "tokens", "seconds", "memory_bytes", "bits_per_byte")


def quick_flops(given: Given, *, compiles: bool) -> float:
    """Operations per second that this machine trains at: one small model, two steps, uncompiled.

    Compiled blocks were 1.3 times as fast here, which is counted where they will be.
    """
    model = shape(dataclasses.replace(given, layers=4, width=256), 256)
    work = settle(Work(compile="off"), None)
    loop = LoopConfig(steps=1, batch_rows=max(1, 4096 // given.context), work=work)
    check_memory(decoder_memory(model, loop, given.context).total)
    speed = tokens_per_second(model, loop, given.context)
    return speed * training_flops(model, given.context) * (1.3 if compiles else 1.0)


def predict(
    choice: Choice,
    loop: LoopConfig,
    context: int,
    unique: int,
    *,
    seconds: float | None,
    say: Say,
    given: Overrides = MappingProxyType({}),
) -> tuple[dict[str, Any], LoopConfig]:
    """The prediction as plan.json keeps it, and the loop with its steps fitted to the time.

    The speed is measured with the very model and settings; what is `given` is never changed.
    Raises `UnavailableError` where the memory is not there.
    """
    needed = decoder_memory(choice.model, loop, context).total
    check_memory(needed)
    say("Measuring the speed of a step.")
    speed = tokens_per_second(choice.model, loop, context)
    batch = loop.batch_rows * context
    if seconds is not None:
        steps = max(1, int(seconds / OVERHEAD * speed / batch))
        loop = _shortened(loop, steps, given)
    tokens = loop.steps * batch
    parameters = parameter_count(choice.model)
    bits, low, high = LAW.interval(parameters, effective(tokens, unique))
    prediction = {
        "parameters": parameters,
        "tokens": tokens,
        "seconds": round(tokens / speed * OVERHEAD, 1),
        "memory_bytes": needed,
        "bits_per_byte": round(bits, 4),
        "bits_per_byte_low": round(low, 4),
        "bits_per_byte_high": round(high, 4),
        "tokens_per_second": round(speed, 1),
        "epochs": round(tokens / unique, 3),
        "law": LAW.source,
    }
    return prediction, loop


def _shortened(loop: LoopConfig, steps: int, given: Overrides) -> LoopConfig:
    """Another number of steps, and looks in the same proportion; what was given stays."""
    if "steps" in given:
        return loop
    share = steps / loop.steps
    watching, optimisation = loop.watching, loop.optimisation
    every: dict[str, Any] = {
        name: max(1, round(getattr(watching, name) * share)) if getattr(watching, name) else 0
        for name in ("eval_every", "sample_every", "checkpoint_every")
        if name not in given
    }
    if "warmup" not in given:
        warmup = min(optimisation.warmup, max(0, steps // 10))
        optimisation = dataclasses.replace(optimisation, warmup=warmup)
    return dataclasses.replace(
        loop,
        steps=steps,
        optimisation=optimisation,
        watching=dataclasses.replace(watching, **every),
    )


def compared(
    expected: Mapping[str, Any], found: Mapping[str, Any]
) -> list[tuple[str, float, float, float]]:
    """Name, expected, found, and found / expected - 1, of everything that both know."""
    return [
        (name, expected[name], found[name], found[name] / expected[name] - 1)
        for name in COMPARED
        if expected.get(name) and found.get(name) is not None
    ]
