"""Will it fit, and how quick will it be: said before the download, and checked after a run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from kataribe.base.errors import FormatError, InputError
from kataribe.files.atomic import write_atomic
from kataribe.run.catalog.cards import ModelFacts
from kataribe.run.catalog.installed import now
from kataribe.run.catalog.machine import Machine
from kataribe.run.catalog.memory import (
    MemoryEstimate,
    kv_bytes_per_token,
    predict_memory,
    streamed_bytes,
)

Verdict = Literal["fits", "fits_with_less_context", "does_not_fit", "unknown"]

BUDGET = 0.7
"""Part of the RAM that models may take, when no budget is set (as `memory` in the settings)."""
SMALLEST_CONTEXT = 512
CONTEXT_STEP = 256
KEPT_RUNS = 20

# How much of the measured ceilings a whole model reaches; SmolLM2-135M to Qwen2.5-1.5B on two
# cores. Decoding reads all weights once for each token; a layer costs a fixed time beside it.
DECODE_SHARE = 0.5
LAYER_SECONDS = 60e-6
PREFILL_SHARE = 0.5
BFLOAT16_GAIN = 2.0


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
    """

    precision: str
    ctx: int
    cache_tokens: int
    peak_bytes: int
    prefill: float | None = None
    decode: float | None = None
    when: str = ""


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
        precision: The one that was asked about.
        ctx: The context that fits (the one asked about when it does not fit at all).
        memory: For `ctx`: `total` is the peak of resident memory, `needed` what must be free for
            it; None where the facts are not known before the download.
        memory_budget: Bytes that may be used.
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
        budget: Bytes of memory; None for `BUDGET` of the RAM, or what is free where that is less.
    """

    precision: str = "auto"
    ctx: int | None = None
    budget: int | None = None

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
) -> Fit:
    """Compares what a model needs with what the machine has."""
    budget = wish.budget or min(int(machine.memory * BUDGET), machine.available)
    if facts is None:
        return _unknown(name, machine, wish, budget, download)
    wanted = wish.ctx or facts.context_length
    if wanted > facts.context_length:
        raise InputError(
            f"A context of {wanted} tokens is beyond what {name} was made for "
            f"({facts.context_length}). Ask for at most that.",
            param="ctx",
        )
    ctx, memory = _largest_context(facts, wish.precision, wanted, budget)
    prefill, decode = predict_speeds(facts, wish.precision, machine)
    verdict, reason = _judge(facts, memory, ctx, wanted, budget)
    if download is not None and download > machine.disk_free:
        verdict = "does_not_fit"
        reason = (
            f"The download takes {_gib(download)}, but the disk has {_gib(machine.disk_free)} free."
        )
    return Fit(
        name=name,
        verdict=verdict,
        reason=reason,
        precision=wish.precision,
        ctx=ctx,
        memory=memory,
        memory_budget=budget,
        download=download,
        disk_free=machine.disk_free,
        prefill=prefill,
        decode=decode,
        observed=_observe(facts, machine, runs[-1]) if runs else None,
    )


def predict_speeds(facts: ModelFacts, precision: str, machine: Machine) -> tuple[float, float]:
    """Tokens per second: (prefill of a long prompt, decoding of one stream).

    Decoding is bound by reading the weights, prefill by matrix products (Williams et al. 2009,
    the roofline model).
    """
    weights = streamed_bytes(facts, precision)
    seconds = weights / (machine.bandwidth * DECODE_SHARE) + facts.layers * LAYER_SECONDS
    matrices = sum(group.values for group in facts.groups if group.role == "matrix")
    gain = BFLOAT16_GAIN if machine.fast_bfloat16 and precision != "float32" else 1.0
    prefill = machine.matrix_rate * gain * PREFILL_SHARE / (2.0 * matrices)
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


def _largest_context(
    facts: ModelFacts, precision: str, wanted: int, budget: int
) -> tuple[int, MemoryEstimate]:
    """The wanted context where it fits, else the largest that does, else the wanted one."""
    memory = predict_memory(facts, precision, wanted)
    if memory.needed <= budget:
        return wanted, memory
    over = memory.needed - budget
    shorter = wanted - -(-over // kv_bytes_per_token(facts, precision))
    for ctx in (shorter // CONTEXT_STEP * CONTEXT_STEP, SMALLEST_CONTEXT):
        if SMALLEST_CONTEXT <= ctx < wanted:
            smaller = predict_memory(facts, precision, ctx)
            if smaller.needed <= budget:
                return ctx, smaller
    return wanted, memory


def _judge(
    facts: ModelFacts, memory: MemoryEstimate, ctx: int, wanted: int, budget: int
) -> tuple[Verdict, str]:
    need, have = _gib(memory.needed), _gib(budget)
    if memory.needed > budget:
        least = facts.parameters
        return "does_not_fit", (
            f"It needs {need} with a context of {ctx:,} tokens, but {have} may be used"
            f" (its {least:,} weights alone take {_gib(memory.weights)})."
            " Choose a smaller model or a lower precision, or allow more memory."
        )
    if ctx < wanted:
        return "fits_with_less_context", (
            f"With its whole context of {wanted:,} tokens it needs more than the {have} that may "
            f"be used; with {ctx:,} tokens it takes {need}."
        )
    return "fits", f"It takes {need} of the {have} that may be used, context {ctx:,} tokens."


def _unknown(name: str, machine: Machine, wish: Wish, budget: int, download: int | None) -> Fit:
    return Fit(
        name=name,
        verdict="unknown",
        reason=(
            "Its card does not tell its sizes. They are read from the source when it is pulled, "
            "and then `fit` can tell."
        ),
        precision=wish.precision,
        ctx=wish.ctx or 0,
        memory=None,
        memory_budget=budget,
        download=download,
        disk_free=machine.disk_free,
        prefill=None,
        decode=None,
    )


def _observe(facts: ModelFacts, machine: Machine, run: Run) -> Observed:
    predicted = predict_memory(facts, run.precision, run.ctx, cache_tokens=run.cache_tokens)
    prefill, decode = predict_speeds(facts, run.precision, machine)
    return Observed(
        run,
        predicted.total,
        predicted.total / run.peak_bytes - 1,
        prefill / run.prefill - 1 if run.prefill else None,
        decode / run.decode - 1 if run.decode else None,
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
