"""What this machine does fast: whether bfloat16 helps, whether a compiler is there, how fast."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kataribe.base.errors import InputError
from kataribe.base.freeing import kept
from kataribe.files.atomic import storage_error
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.reference import generate_reference
from kataribe.make.tokens.batches import Batch
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.config import LoopConfig, Precision, Work
from kataribe.make.training.devices import (
    choose,
    finish,
    forget_most,
    held_now,
    most_memory,
    precision_of,
)
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.loop import backward
from kataribe.make.training.objective import StepData
from kataribe.make.training.optimisers import Optimisers
from kataribe.make.training.rows_objective import cut_rows
from kataribe.make.training.trainee import Trainee

COMPILE_SECONDS = 60.0
"""What compiling blocks forward and back takes on two cores, at the most."""
WORTH_SECONDS = 300.0
"""Runs that are shorter are not compiled: a third of speed gained earns the minute back by then."""
TRIED_SECONDS = 0.6
"""Time for each thing that is measured."""
TURNS = 16
"""Products of each kind for choosing one, of which the first does not count."""
TRIED_SHARE, MOST_TRIED = 0.03, 12.0
"""Of a run's time, and seconds at the most, for measuring whole steps: the speed of a machine that
lends its cores to others changed by a sixth from one ten seconds to the next."""
MOST_TRIES = 9
"""Most times that a thing is done to measure it."""
SAID = 8
"""Tokens of the sample that is measured."""
WRITTEN = 4 << 20
"""Bytes that are written to measure a disk."""


def settle(work: Work, seconds: float | None) -> Work:
    """`work` with nothing left to `auto`; `seconds` is how long the run will take, if known."""
    precision = work.precision
    device = choose(work.device)
    if precision == "auto":
        on_processor: Precision = "bfloat16" if bfloat16_is_faster() else "float32"
        precision = precision_of(device) or on_processor
    compiles = work.compile
    if compiles == "on" and compiler() is None:
        raise InputError(
            "compile is on, but no C++ compiler is here, which PyTorch needs for it. Install g++, "
            "or leave it out (--compile off).",
            param="compile",
        )
    if compiles == "auto":
        long_enough = seconds is not None and seconds >= WORTH_SECONDS
        worth = long_enough and compiler() is not None and device.type != "mps"
        compiles = "on" if worth else "off"
    return dataclasses.replace(
        work,
        precision=precision,
        compile=compiles,
        threads=work.threads or torch.get_num_threads(),
    )


def compiler() -> str | None:
    """The C++ compiler that PyTorch's will use."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")


def bfloat16_is_faster() -> bool:
    """Whether products of matrices are: measured, for processors differ (some 20 milliseconds).

    Both kinds take turns, and the quickest of each counts: what disturbs them makes them slower.
    """
    ones = [torch.ones(512, 512, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)]
    found = [[_seconds(lambda one=one: one @ one) for one in ones] for _ in range(TURNS)]  # type: ignore[misc]
    exact, rounded = (min(times) for times in zip(*found[1:], strict=True))
    return bool(rounded < 0.8 * exact)


def _seconds(work: Callable[[], object]) -> float:
    finish()
    began = time.perf_counter()
    work()
    finish()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Cost:
    """What the parts of a run take on this machine: seconds, and memory in bytes.

    Attributes:
        rows: Rows of a pass.
        learned: One pass forward and back.
        changed: One change of the weights, the gradient's length included.
        looked: One row of held-out text.
        said: One token of a sample.
        saved: One checkpoint, as far as its bytes go.
        memory: A step of several passes, at the most, with its model: what is taken for it and
            given back after it.
    """

    rows: int
    learned: float
    changed: float
    looked: float = 0.0
    said: float = 0.0
    saved: float = 0.0
    memory: int = 0

    def step(self, batch_rows: int) -> float:
        """One step: its passes are alike, so one of them and one change are measured."""
        return batch_rows / self.rows * self.learned + self.changed


def tokens_per_second(config: ModelConfig, loop: LoopConfig, row_tokens: int) -> float:
    """Speed of whole steps with random text, measured: a few, after one that does not count."""
    rows = max(1, min(loop.work.micro_tokens // row_tokens, loop.batch_rows))
    batch = random_batch(config.vocab_size, rows, row_tokens)
    trial = _Trial(config, loop, [batch])
    return loop.batch_rows * row_tokens / trial.cost().step(loop.batch_rows)


def measure(config: ModelConfig, loop: LoopConfig, passes: Sequence[Batch], folder: Path) -> Cost:
    """All that a run does, done a few times with rows of its own text.

    Blocks that are to be compiled are compiled here: the run finds them so (a second model of the
    same shapes began 60 times as fast), and its own time has no compiling in it.

    Args:
        config: The model's.
        loop: The loop's, with nothing left to `auto`.
        passes: Rows of one pass each, several of the run's own: they differ in what they take.
        folder: On the disk where checkpoints will lie.
    """
    device = choose(loop.work.device)
    with kept():
        cost = _tried(_Trial(config, loop, passes), folder)
    return dataclasses.replace(cost, memory=max(0, cost.memory - held_now(device)))


def _tried(trial: _Trial, folder: Path) -> Cost:
    """All but that memory is what the whole process held."""
    cost, batch, model = trial.cost(), trial.passes[0], trial.trainee.plain
    forget_most(trial.trainee.device)  # compiling is over
    cost = trial.as_in_steps(cost)
    with torch.no_grad():
        looked = usual(lambda: trial.trainee.judge(batch), least=1) / batch.rows
    said = 0.0
    if trial.loop.watching.sample_every and isinstance(model, Decoder):
        some = min(SAID, model.config.context_length - 1)
        said = usual(lambda: generate_reference(model, [0], some), least=1) / some
    kept = 4 * sum(parameter.numel() for parameter in trial.trainee.named.values())
    saved = 3 * kept / write_speed(folder)
    return dataclasses.replace(cost, looked=looked, said=said, saved=saved, memory=trial.most())


class _Trial:
    """A model of a run's shape that learns from some passes again and again."""

    def __init__(self, config: ModelConfig, loop: LoopConfig, passes: Sequence[Batch]) -> None:
        self.trainee = Trainee(fresh_decoder(config, 0), causal_loss, loop.work)
        self._optimiser = Optimisers(self.trainee.named, loop.optimisation)
        self._weights = list(self.trainee.named.values())
        self.passes, self.loop = passes, loop
        self._turns = itertools.cycle(passes)

    def cost(self) -> Cost:
        """Seconds of a pass and of a change."""
        rows = self.passes[0].rows
        rest = self.loop.batch_rows % rows
        if rest:  # a step's last pass: compiled blocks are made anew for another number of rows
            part = cut_rows(self.passes[0], slice(0, rest))
            backward(self.trainee.module, StepData([part], part.taught, part.filled), 0.0)
        learned = usual(self._learn)
        kept = [each.grad for each in self._weights]

        def change_again() -> None:
            for weight, gradient in zip(self._weights, kept, strict=True):
                weight.grad = gradient  # an optimiser's step forgets them
            self._change()

        return Cost(rows, learned, usual(change_again))

    def as_in_steps(self, cost: Cost) -> Cost:
        """Passes and changes as whole steps show them: their mean over a share of the run's time.

        What takes too short a time for that stays as it is.
        """
        passes = max(1, self.loop.batch_rows // cost.rows)
        alone = passes * cost.learned + cost.changed
        room = min(MOST_TRIED, TRIED_SHARE * self.loop.steps * alone)
        times = int(room / alone)
        if room <= TRIED_SECONDS or times < 2:
            return cost

        def steps() -> None:
            for _ in range(times):
                for _ in range(passes):
                    self._learn()
                self._change()

        slower = _seconds(steps) / (times * alone)
        return dataclasses.replace(
            cost, learned=cost.learned * slower, changed=cost.changed * slower
        )

    def most(self) -> int:
        """The most bytes that were held until a step is done as the run will do it."""
        for _ in range(min(2, -(-self.loop.batch_rows // self.passes[0].rows))):
            self._learn()
        self._change()
        return most_memory(self.trainee.device)

    def _learn(self) -> None:
        batch = next(self._turns)
        data = StepData([batch], batch.taught, batch.filled)
        backward(self.trainee.module, data, 1 / max(1, data.taught))

    def _change(self) -> None:
        torch.nn.utils.clip_grad_norm_(self._weights, math.inf)
        self._optimiser.step(0.0)


def usual(work: Callable[[], object], *, least: int = 2) -> float:
    """Seconds that something usually takes: the median of some tries, after one that warms up.

    Tries until `TRIED_SECONDS` are over, at least `least` and at most `MOST_TRIES` times.
    """
    work()
    finish()
    found: list[float] = []
    while len(found) < least or (len(found) < MOST_TRIES and sum(found) < TRIED_SECONDS):
        found.append(_seconds(work))
    return float(np.median(found))


def write_speed(folder: Path) -> float:
    """Bytes per second that are written and kept, measured with `WRITTEN` bytes."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            began = time.perf_counter()
            file.write(bytes(WRITTEN))
            file.flush()
            os.fsync(file.fileno())
            return WRITTEN / (time.perf_counter() - began)
    except OSError as error:
        raise storage_error(f"{folder} cannot be written", error) from error


def random_batch(vocab_size: int, rows: int, length: int) -> Batch:
    """Rows of random tokens, each with two documents."""
    ids = np.random.default_rng(0).integers(0, vocab_size, (rows, length + 1))
    half = length // 2
    positions = np.concatenate((np.arange(half), np.arange(length - half)))
    return Batch(
        np.ascontiguousarray(ids[:, :-1]),
        np.ascontiguousarray(ids[:, 1:]),
        np.ascontiguousarray(np.broadcast_to(positions, (rows, length))),
        np.broadcast_to(np.arange(length) >= half, (rows, length)).astype(np.int32),
    )
