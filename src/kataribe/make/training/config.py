"""What a training run is told, in plain frozen values; the command line's flags are these fields.

Nothing here needs PyTorch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from kataribe.base.errors import InputError

Optimiser: TypeAlias = Literal["muon", "adamw"]
Schedule: TypeAlias = Literal["wsd", "cosine", "constant"]
DecayShape: TypeAlias = Literal["linear", "sqrt"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
Switch: TypeAlias = Literal["auto", "on", "off"]
Parallel: TypeAlias = Literal["ddp", "fsdp"]
Trackers: TypeAlias = Literal["installed", "none"]


@dataclass(frozen=True)
class Optimisation:
    """How the weights change.

    Attributes:
        optimiser: `muon` (Jordan et al. 2024) for the matrices inside of the blocks and AdamW for
            the rest, or `adamw` (Loshchilov and Hutter 2019) for all.
        learning_rate: Largest step; Muon's is scaled so that one number fits both.
        weight_decay: Share of the learning rate by which matrices shrink; vectors never do.
        beta1: AdamW's memory of the gradient.
        beta2: AdamW's memory of its square.
        epsilon: Added to the root of AdamW's mean square.
        momentum: Muon's memory of the gradient.
        clip: Longest gradient; longer ones are shortened to it. 0 leaves them.
        schedule: `wsd` warms up, stays and decays (Hu et al. 2024); `cosine` (Loshchilov and Hutter
            2017); `constant` stays after warming up.
        warmup: Steps in which the learning rate grows from nothing.
        decay_share: Share of all steps in which `wsd` decays.
        decay_shape: `wsd` decays along a line, or as 1 - sqrt (Haegele et al. 2024).
        final_share: Share of the learning rate that is left at the end.
    """

    optimiser: Optimiser = "muon"
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    momentum: float = 0.95
    clip: float = 1.0
    schedule: Schedule = "wsd"
    warmup: int = 20
    decay_share: float = 0.3
    decay_shape: DecayShape = "sqrt"
    final_share: float = 0.0

    def __post_init__(self) -> None:
        choice("optimiser", self.optimiser, get_args(Optimiser))
        choice("schedule", self.schedule, get_args(Schedule))
        choice("decay_shape", self.decay_shape, get_args(DecayShape))
        number("learning_rate", self.learning_rate, above=0.0, most=10.0)
        number("epsilon", self.epsilon, above=0.0, most=1.0)
        for name in ("beta1", "beta2", "momentum"):
            number(name, getattr(self, name), least=0.0, below=1.0)
        number("weight_decay", self.weight_decay, least=0.0, most=10.0)
        number("clip", self.clip, least=0.0)
        for name in ("decay_share", "final_share"):
            number(name, getattr(self, name), least=0.0, most=1.0)
        whole("warmup", self.warmup, least=0)


@dataclass(frozen=True)
class Work:
    """How the work is done: none of it changes what is learned but for rounding.

    Attributes:
        precision: `bfloat16` multiplies matrices in bfloat16 and keeps weights, gradients and
            optimiser in float32; `auto` takes it where the processor has instructions for it.
        compile: Compile the blocks; `auto` does where a C++ compiler is there and the run is long
            enough to earn it back.
        recompute: Keep only what enters each block and compute the rest again on the way back:
            less memory, about a third more work (Chen et al. 2016).
        threads: Processor threads; 0 for as many as PyTorch finds.
        micro_tokens: Most tokens in one pass; larger batches are done in several passes, whose
            gradients add up to the same.
        parallel: With several processes, `ddp` keeps the whole model in each, `fsdp` a share.
        device: `cuda` (or `cuda:1`), `mps`, `cpu`; `auto` takes the fastest that is here whenever
            the run begins or goes on.
    """

    precision: Precision = "auto"
    compile: Switch = "auto"
    recompute: bool = False
    threads: int = 0
    micro_tokens: int = 4096
    parallel: Parallel = "ddp"
    device: str = "auto"

    def __post_init__(self) -> None:
        choice("precision", self.precision, get_args(Precision))
        choice("compile", self.compile, get_args(Switch))
        choice("parallel", self.parallel, get_args(Parallel))
        whole("threads", self.threads, least=0, most=4096)
        whole("micro_tokens", self.micro_tokens, least=1)


@dataclass(frozen=True)
class Watching:
    """What is looked at and kept on the way.

    Attributes:
        eval_every: Steps between looks at held-out text; 0 looks at the end only.
        eval_rows: Most rows of held-out text that a look takes, evenly spread; 0 for all. The
            last look takes up to eight times as many.
        sample_every: Steps between samples; 0 for none.
        sample_tokens: Most tokens of a sample.
        prompts: What samples go on from.
        checkpoint_every: Steps between checkpoints; 0 keeps only the last.
        keep: Checkpoints that are kept: the last so many, and the best of those at whose step
            held-out text was looked at.
        log_every: Steps whose figures are read from the machine at once.
        trackers: MLflow and Weights & Biases where they are installed, or `none`.
    """

    eval_every: int = 100
    eval_rows: int = 256
    sample_every: int = 200
    sample_tokens: int = 64
    prompts: tuple[str, ...] = ()
    checkpoint_every: int = 200
    keep: int = 2
    log_every: int = 1
    trackers: Trackers = "installed"

    def __post_init__(self) -> None:
        for name in ("eval_every", "eval_rows", "sample_every", "checkpoint_every"):
            whole(name, getattr(self, name), least=0)
        for name in ("sample_tokens", "keep", "log_every"):
            whole(name, getattr(self, name), least=1)
        choice("trackers", self.trackers, get_args(Trackers))


@dataclass(frozen=True)
class LoopConfig:
    """Everything that the loop asks for besides a model and an objective.

    Attributes:
        steps: Changes of the weights. Where `seconds` is set, a guess until time has told.
        batch_rows: Rows that one change is made from, of all processes together.
        seed: Decides first weights, the order of the data and samples. Two runs with the same
            settings on the same machine are equal bit for bit.
        optimisation: How the weights change.
        work: How the work is done.
        watching: What is looked at and kept.
        seconds: How long the run is to take. It begins to lower its rates when the rest of its
            time is what that takes; how many steps there will be is known then.
    """

    steps: int
    batch_rows: int
    seed: int = 0
    optimisation: Optimisation = field(default_factory=Optimisation)
    work: Work = field(default_factory=Work)
    watching: Watching = field(default_factory=Watching)
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None:
            self._check_seconds()
        whole("steps", self.steps, least=1)
        whole("batch_rows", self.batch_rows, least=1)
        whole("seed", self.seed, least=0, most=2**63 - 1)

    @property
    def known_steps(self) -> int | None:
        """How many steps there are; None while time has not told."""
        return self.steps if self.seconds is None else None

    def ends_at(self, step: int) -> bool:
        """Whether so many steps are all."""
        return self.seconds is None and step >= self.steps

    def _check_seconds(self) -> None:
        number("seconds", self.seconds, above=0.0)
        if self.optimisation.schedule == "cosine":
            raise InputError(
                "schedule is cosine, which needs to know its last step from the first. Say how "
                "many steps there are, or take wsd, which can end when its time is over.",
                param="seconds",
            )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> LoopConfig:
        """Back from `dataclasses.asdict`, as plan.json keeps it."""
        watching = dict(values["watching"])
        watching["prompts"] = tuple(watching["prompts"])
        return cls(
            steps=values["steps"],
            batch_rows=values["batch_rows"],
            seed=values["seed"],
            optimisation=Optimisation(**values["optimisation"]),
            work=Work(**values["work"]),
            watching=Watching(**watching),
            seconds=values.get("seconds"),  # plans of before there was one have none
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """What differs between two nested sets of values, one line each, `name: old -> new`."""
    found: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        where = f"{path}.{name}" if path else name
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, where)
        elif _plain(before) != _plain(after):
            found.append(f"{where}: {before!r} -> {after!r}")
    return found


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under names with dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _plain(value: Any) -> Any:
    """Tuples as lists, for JSON knows no other."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raises `InputError` for a word that is not known."""
    if value not in known:
        raise InputError(f"{name} is {value!r}; it can be {' or '.join(known)}.", param=name)


def whole(name: str, value: object, *, least: int, most: int = 2**62) -> None:
    """Raises `InputError` for what is no whole number in range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        limit = f"from {least} to {most}" if most < 2**62 else f"of at least {least}"
        raise InputError(f"{name} is {value!r}; it must be a whole number {limit}.", param=name)


def number(
    name: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> None:
    """Raises `InputError` for what is no finite number in range."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if real and math.isfinite(value) and least <= value <= most and above < value < below:  # type: ignore[operator,arg-type]
        return
    limits = [f"at least {least:g}"] if math.isfinite(least) else []
    limits += [f"above {above:g}"] if math.isfinite(above) else []
    limits += [f"below {below:g}"] if math.isfinite(below) else []
    limits += [f"at most {most:g}"] if math.isfinite(most) else []
    raise InputError(f"{name} is {value!r}; it must be {' and '.join(limits)}.", param=name)
