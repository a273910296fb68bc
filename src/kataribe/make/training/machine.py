"""What this machine does fast: whether bfloat16 helps, whether a compiler is there, how fast."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable

import numpy as np
import torch

from kataribe.base.errors import InputError
from kataribe.make.model.config import ModelConfig
from kataribe.make.tokens.batches import Batch
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.config import LoopConfig, Work
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.loop import backward
from kataribe.make.training.objective import StepData
from kataribe.make.training.optimisers import Optimisers
from kataribe.make.training.trainee import Trainee

COMPILE_SECONDS = 60.0
"""What compiling blocks forward and back takes on two cores, at the most."""
WORTH_SECONDS = 300.0
"""Runs that are shorter are not compiled: a third of speed gained earns the minute back by then."""


def settle(work: Work, seconds: float | None) -> Work:
    """`work` with nothing left to `auto`; `seconds` is how long the run will take, if known."""
    precision = work.precision
    if precision == "auto":
        precision = "bfloat16" if bfloat16_is_faster() else "float32"
    compiles = work.compile
    if compiles == "on" and compiler() is None:
        raise InputError(
            "compile is on, but no C++ compiler is here, which PyTorch needs for it. Install g++, "
            "or leave it out (--compile off).",
            param="compile",
        )
    if compiles == "auto":
        long_enough = seconds is not None and seconds >= WORTH_SECONDS
        compiles = "on" if long_enough and compiler() is not None else "off"
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
    """Whether products of matrices are: measured, for processors differ (some milliseconds)."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        one = torch.ones(512, 512, dtype=dtype)
        seconds[dtype] = shortest(lambda one=one: one @ one, 5)  # type: ignore[misc]
    return seconds[torch.bfloat16] < 0.8 * seconds[torch.float32]


def shortest(work: Callable[[], object], times: int) -> float:
    """Seconds of the quickest of several tries, after one that does not count."""
    work()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def tokens_per_second(config: ModelConfig, loop: LoopConfig, row_tokens: int) -> float:
    """Speed of whole steps with random text, measured: two steps, after one that does not count.

    The step's passes are alike, so one pass and one change of the weights are timed apart.
    """
    rows = max(1, min(loop.work.micro_tokens // row_tokens, loop.batch_rows))
    trainee = Trainee(fresh_decoder(config, 0), causal_loss, loop.work)
    optimiser = Optimisers(trainee.named, loop.optimisation)
    batch = random_batch(config.vocab_size, rows, row_tokens)
    data = StepData([batch], batch.taught, batch.filled)
    once = shortest(lambda: backward(trainee.module, data, 1 / data.taught), 2)
    change = shortest(lambda: _change(trainee, optimiser, data), 1) - once
    passes = loop.batch_rows / rows
    return loop.batch_rows * row_tokens / (passes * once + max(change, 0.0))


def _change(trainee: Trainee, optimiser: Optimisers, data: StepData) -> None:
    backward(trainee.module, data, 1 / data.taught)
    optimiser.step(0.0)


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
