"""Will it fit, and how quick will it be: said before the download, and checked after a run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from kataribe.base.amounts import memory_words
from kataribe.base.errors import FormatError, InputError
from kataribe.files.atomic import write_atomic
from kataribe.run.catalog.calibration import calibration_for
from kataribe.run.catalog.cards import ModelFacts
from kataribe.run.catalog.installed import now
from kataribe.run.catalog.machine import Machine
from kataribe.run.catalog.memory import (
    MemoryEstimate,
    held_precision,
    predict_memory,
    streamed_bytes,
)
from kataribe.run.catalog.plan import Plan, model_budget, plan_model

Verdict = Literal["fits", "fits_with_less_context", "does_not_fit", "unknown"]

KEPT_RUNS = 20

BFLOAT16_GAIN = 2.0
"""Of products in bfloat16 over float32, where the processor has instructions for them."""


_NO_SIZES = (
    "Its card does not tell its sizes. They are read from the source when it is pulled, and then "
    "`fit` can tell."
)


@dataclass(frozen=True, slots=True)
class Speed:
    """How much of the machine's measured ceilings a whole model reaches.

    Attributes:
        decode: Part of the memory's bandwidth while all weights are read once for a token.
        layer_seconds: What a layer takes for a token beside that.
        prefill: Part of the rate of large matrix products.
    """

    decode: float
    layer_seconds: float
    prefill: float


PYTORCH_SPEED = Speed(decode=0.5, layer_seconds=60e-6, prefill=0.5)
NATIVE_SPEED = Speed(decode=0.8, layer_seconds=10e-6, prefill=1.3)


@dataclass(frozen=True, slots=True)
class Run:
    """One run that was measured.

    Attributes:
        precision: As it was asked for.
        ctx: Context in tokens.
        cache_tokens: Tokens that lay in the KV cache at its fullest: memory of places that were
            never written is never taken.
        peak_bytes: Most memory that the process took.
        prefill: Tokens of prompt read per second; None where none was measured.
        decode: Tokens written per second by one stream; None where none was measured.
        when: ISO 8601, UTC.
        places: Tokens that the cache had places for; None for those that lay in it.
        native: The native runner was there.
        serves: The process was a server, and not one command's; so were most that did not tell.
    """

    precision: str
    ctx: int
    cache_tokens: int
    peak_bytes: int
    prefill: float | None = None
    decode: float | None = None
    when: str = ""
    places: int | None = None
    native: bool = False
    serves: bool = True


@dataclass(frozen=True, slots=True)
class Observed:
    """A run, and how far the prediction for its very settings was off.

    `memory_off`, `prefill_off` and `decode_off` are predicted / measured - 1: 0.05 means that
    5 % more was predicted.
    """

    run: Run
    predicted_bytes: int
    memory_off: float
    prefill_off: float | None
    decode_off: float | None


@dataclass(frozen=True, slots=True)
class Fit:
    """What to expect of a model here.

    Attributes:
        name: The model.
        verdict: See `reason`.
        reason: In a sentence, with the figures.
        precision: The one that it is held in: encoders and encoder-decoders know fewer than may
            be asked about.
        ctx: The context that the model is loaded with here; where the one asked about does not
            fit but a shorter one does, that one.
        memory: With one full context of `ctx` in the cache: `total` is the peak of resident
            memory, `needed` what must be free for it; None where the facts are not known before
            the download.
        full: The same with a full cache of `cache_tokens`.
        cache_tokens: Places in the cache, for all replies together; 0 where nothing is known.
        memory_budget: Bytes that models may take, beside what the program takes anyway.
        download: Bytes to fetch; 0 for what is here; None where nobody knows.
        disk_free: Bytes.
        prefill: Tokens of prompt read per second.
        decode: Tokens written per second by one stream with an almost empty context.
        observed: The latest run, if any.
    """

    name: str
    verdict: Verdict
    reason: str
    precision: str
    ctx: int
    memory: MemoryEstimate | None
    full: MemoryEstimate | None
    cache_tokens: int
    memory_budget: int
    download: int | None
    disk_free: int
    prefill: float | None
    decode: float | None
    observed: Observed | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks about.

    Attributes:
        precision: "auto", "float32", ...
        ctx: Tokens; None for the model's own.
        budget: Bytes for models; None for the usual part of the RAM, as `model_budget` says.
        native: The native runner is there for models that it can compute.
    """

    precision: str = "auto"
    ctx: int | None = None
    budget: int | None = None
    native: bool = False

    def __post_init__(self) -> None:
        if self.ctx is not None and self.ctx < 1:
            raise InputError(f"A context of {self.ctx} tokens cannot be; ask for 1 or more.")


def fit_model(
    name: str,
    facts: ModelFacts | None,
    machine: Machine,
    wish: Wish,
    *,
    download: int | None,
    runs: tuple[Run, ...] = (),
    unknown: str = _NO_SIZES,
) -> Fit:
    """Compares what a model needs with what the machine has; plans as whoever loads it does.

    `unknown` says why there are no `facts`, where there are none.
    """
    budget = model_budget(wish.budget, machine.memory)
    if facts is None:
        return _unknown(name, machine, wish, download, unknown)
    wanted = wish.ctx or facts.context_length
    if wanted > facts.context_length:
        raise InputError(
            f"A context of {wanted} tokens is beyond what {name} was made for "
            f"({facts.context_length}). Ask for at most that.",
            param="ctx",
        )
    wish = replace(wish, precision=held_precision(facts, wish.precision))
    plan = plan_model(facts, wish.precision, wish.ctx, budget, native=wish.native)
    if not plan.fits:
        # What could be asked for instead.
        plan = plan_model(facts, wish.precision, None, budget, native=wish.native)
    prefill, decode = _speeds(facts, wish, machine)
    verdict, reason = _judge(facts, plan, wanted, machine, budget)
    if download is not None and download > machine.disk_free:
        verdict = "does_not_fit"
        reason = (
            f"The download takes {memory_words(download)}, but the disk has "
            f"{memory_words(machine.disk_free)} free."
        )
    return Fit(
        name=name,
        verdict=verdict,
        reason=reason,
        precision=wish.precision,
        ctx=plan.context,
        memory=plan.one,
        full=plan.full,
        cache_tokens=plan.cache_tokens,
        memory_budget=budget,
        download=download,
        disk_free=machine.disk_free,
        prefill=prefill,
        decode=decode,
        observed=_observe(facts, machine, runs[-1]) if runs else None,
    )


def _speeds(facts: ModelFacts, wish: Wish, machine: Machine) -> tuple[float, float | None]:
    """Of reading, and of writing for models that write."""
    prefill, decode = predict_speeds(facts, wish.precision, machine, native=wish.native)
    return prefill, decode if facts.decodes else None


def predict_speeds(
    facts: ModelFacts, precision: str, machine: Machine, *, native: bool = False
) -> tuple[float, float]:
    """Tokens per second: (prefill of a long prompt, decoding of one stream).

    Decoding is bound by reading the weights, prefill by matrix products (Williams et al. 2009,
    the roofline model).
    """
    calibration = calibration_for(facts, precision, native=native)
    shares = NATIVE_SPEED if calibration.native else PYTORCH_SPEED
    weights = streamed_bytes(facts, precision, calibration)
    layers = facts.layers * shares.layer_seconds
    seconds = weights / (machine.bandwidth * shares.decode) + layers
    matrices = sum(group.values for group in facts.groups if group.role == "matrix")
    gain = BFLOAT16_GAIN if machine.fast_bfloat16 and precision != "float32" else 1.0
    prefill = machine.matrix_rate * gain * shares.prefill / (2.0 * matrices)
    return prefill, 1.0 / seconds


def read_runs(folder: Path) -> tuple[Run, ...]:
    """The runs kept beside a model, oldest first; none where the file is missing or damaged."""
    try:
        return tuple(
            Run(**entry) for entry in json.loads((folder / "runs.json").read_text("utf-8"))
        )
    except (OSError, ValueError, TypeError):
        return ()


def keep_run(folder: Path, run: Run) -> None:
    """Adds a run to those kept beside a model (the latest `KEPT_RUNS`)."""
    if run.peak_bytes <= 0 or run.ctx <= 0:
        raise FormatError(f"A run with peak {run.peak_bytes} bytes and context {run.ctx} is none.")
    entry = {**asdict(run), "when": run.when or now()}
    kept = [asdict(old) for old in read_runs(folder)][-(KEPT_RUNS - 1) :]
    write_atomic(folder / "runs.json", json.dumps([*kept, entry], indent=1) + "\n")


def _judge(
    facts: ModelFacts, plan: Plan, wanted: int, machine: Machine, budget: int
) -> tuple[Verdict, str]:
    need, have = memory_words(plan.memory), memory_words(budget)
    if not plan.fits:
        return "does_not_fit", (
            f"It needs {need} with a context of {plan.context:,} tokens, but models may use {have}"
            f" (its {facts.parameters:,} weights alone take {memory_words(plan.one.weights)})."
            " Choose a smaller model or a lower precision, or allow more memory."
        )
    if plan.one.needed > machine.available:
        return "does_not_fit", (
            f"Its process needs {memory_words(plan.one.needed)}, and only "
            f"{memory_words(machine.available)} of memory are free now. End other programs, or "
            "choose a smaller model or context."
        )
    if plan.context < wanted:
        return "fits_with_less_context", (
            f"With a context of {wanted:,} tokens it needs more than the {have} that models may "
            f"use; with {plan.context:,} tokens it takes {need}."
        )
    return "fits", (
        f"It takes {need} of the {have} that models may use, context {plan.context:,} tokens."
    )


def _unknown(name: str, machine: Machine, wish: Wish, download: int | None, why: str) -> Fit:
    return Fit(
        name=name,
        verdict="unknown",
        reason=why,
        precision=wish.precision,
        ctx=wish.ctx or 0,
        memory=None,
        full=None,
        cache_tokens=0,
        memory_budget=model_budget(wish.budget, machine.memory),
        download=download,
        disk_free=machine.disk_free,
        prefill=None,
        decode=None,
    )


def _observe(facts: ModelFacts, machine: Machine, run: Run) -> Observed:
    predicted = predict_memory(
        facts,
        run.precision,
        run.ctx,
        cache_tokens=run.cache_tokens,
        places=run.places,
        chunk_tokens=min(512, max(run.cache_tokens, 1)),  # no step was longer than what lay there
        calibration=calibration_for(facts, run.precision, native=run.native, serves=run.serves),
    )
    prefill, decode = predict_speeds(facts, run.precision, machine, native=run.native)
    return Observed(
        run,
        predicted.total,
        predicted.total / run.peak_bytes - 1,
        prefill / run.prefill - 1 if run.prefill else None,
        decode / run.decode - 1 if run.decode else None,
    )
