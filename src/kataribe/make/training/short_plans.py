"""What the plans of all kinds but pre-training share: steps from epochs, and a prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from kataribe.base.errors import InputError
from kataribe.make.tokens.batches import Pick, Rows
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.devices import check_room
from kataribe.make.training.loop import backward
from kataribe.make.training.machine import settle, usual
from kataribe.make.training.memory import PROGRAM_BYTES
from kataribe.make.training.objective import Share
from kataribe.make.training.overrides import Overrides, loop_from
from kataribe.make.training.prediction import OVERHEAD
from kataribe.make.training.session import Setup, micro_rows
from kataribe.make.training.trainee import Trainee

T = TypeVar("T")
ENCODER_RATE = 3e-4
"""Largest learning rate where an encoder is tuned with AdamW: ten times BERT's own of 2e-5 to
5e-5, as small encoders bear it."""


def short_loop(
    rows: int, batch_rows: int, epochs: float, seed: int, given: Overrides, *, rate: float
) -> LoopConfig:
    """The loop of a run over rows, so many times; AdamW unless told otherwise."""
    if rows < batch_rows:
        raise InputError(
            f"The data make {rows} rows, but one batch takes {batch_rows}. Take smaller batches, "
            "or more data."
        )
    steps = int(given.get("steps") or max(1, round(epochs * rows / batch_rows)))
    looks = max(1, steps // 10)
    chosen = {
        "optimiser": "adamw", "learning_rate": rate, "warmup": min(steps - 1, max(1, steps // 10)),
        "eval_every": looks, "checkpoint_every": looks, "sample_every": 0, "weight_decay": 0.01,
    }  # fmt: skip
    loop = loop_from({**chosen, **given, "steps": steps}, batch_rows, seed)
    work = dataclasses.replace(
        loop.work, compile="off" if loop.work.compile == "auto" else loop.work.compile
    )
    return dataclasses.replace(loop, work=settle(work, None))


def measured_prediction(setup: Setup, batch_rows: int) -> dict[str, Any]:
    """Parameters, tokens, seconds and memory: a pass is done a few times for it, and timed.

    Memory counts weights, gradients and optimiser exactly, and what a pass keeps by a rule (20
    values of the width for each token and layer).
    """
    config = setup.config
    trainee = Trainee(setup.model, setup.objective.loss, config.work)
    data = setup.objective.data(0, Share(0, 1, micro_rows(setup)))
    count = sum(parameter.numel() for parameter in setup.model.parameters())
    program = 0 if trainee.device.type == "cuda" else PROGRAM_BYTES
    needed = program + 16 * count + _kept(setup.model, data.tokens // len(data.parts))
    check_room(needed, trainee.device)
    one = dataclasses.replace(data, parts=data.parts[:1])
    seconds = usual(lambda: backward(trainee.module, one, 1.0)) * len(data.parts)
    for parameter in setup.model.parameters():
        parameter.grad = None
    return {
        "parameters": count,
        "tokens": data.tokens * config.steps,
        "seconds": round(seconds * config.steps * OVERHEAD, 1),
        "memory_bytes": needed,
        "bits_per_byte": None,
        "bits_per_byte_low": None,
        "bits_per_byte_high": None,
        "rows": batch_rows * config.steps,
    }


def _kept(model: nn.Module, tokens: int) -> int:
    config: Any = model.config
    layers = config.layers if hasattr(config, "layers") else 2 * config.encoder.layers
    return 4 * 20 * tokens * int(config.hidden_size) * int(layers)


def train_and_valid(path: Path) -> tuple[Path, Path | None]:
    """Files to learn from and to be judged by: a folder's two, or a file and nothing."""
    if not path.is_dir():
        return path, None
    valid = path / "valid.jsonl"
    return path / "train.jsonl", valid if valid.is_file() else None


class InOrder:
    """Rows that can be drawn, gone through once in order."""

    def __init__(self, rows: Rows[Any]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Rows."""
        return len(self._rows)

    def in_order(self, size: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        """Batches of up to `size` rows; process `rank` of `ranks` gets its share."""
        own = range(len(self._rows))[rank::ranks]
        for at in range(0, len(own), size):
            yield self._rows.take([Pick(0, 0, index) for index in own[at : at + size]])


def parts_of_plan(
    setup: Setup, about: Mapping[str, Any], model: Mapping[str, Any]
) -> dict[str, Any]:
    """`model`, `data`, `loop` and `prediction` of plan.json."""
    return {
        "model": dict(model),
        "data": dict(about),
        "loop": dataclasses.asdict(setup.config),
        "prediction": measured_prediction(setup, setup.config.batch_rows),
    }
