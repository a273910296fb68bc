"""Small things to train: a decoder of a few thousand parameters, and rows that can be learned."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from kataribe.make.model.configs.config import ModelConfig, RopeConfig
from kataribe.make.tokens.packing import Examples, PackedRows
from kataribe.make.training import runs
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.config import LoopConfig, Optimisation, Watching, Work
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.session import Setup

VOCAB = 40
LENGTH = 24


def tiny_config(**changes: Any) -> ModelConfig:
    """Two layers, 16 wide, grouped heads."""
    values: dict[str, Any] = {
        "family": "qwen3", "vocab_size": VOCAB, "hidden_size": 16, "layers": 2, "heads": 4,
        "kv_heads": 2, "head_dim": 8, "intermediate_size": 32, "context_length": 32,
        "windows": (None, None), "rope": RopeConfig(10000.0), "qk_norm": True,
        "query_scalar": 8.0, "tied": True,
    }  # fmt: skip
    return ModelConfig(**{**values, **changes})


def examples(seed: int, count: int = 60) -> Examples:
    """Counting upwards by a step of 1 to 3, in between numbers that say nothing."""
    dice = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        first, step, length = (int(dice.integers(*each)) for each in ((1, 9), (1, 4), (3, 11)))
        ids = [first + step * place for place in range(length)]
        parts.append((ids, [True] * length))
    return Examples.gather(parts)


def rows(seed: int, count: int = 60) -> PackedRows:
    """Packed rows of such examples."""
    return PackedRows(examples(seed, count), LENGTH, pad_id=0)


def loop(**changes: Any) -> LoopConfig:
    """Few steps in float32; fields of the inner parts may be given by name."""
    values: dict[str, Any] = {"steps": 6, "batch_rows": 4, "seed": 7}
    inner: dict[str, Any] = {
        "optimisation": Optimisation(warmup=2, learning_rate=0.01),
        "work": Work(precision="float32", compile="off", threads=1, micro_tokens=2 * LENGTH),
        "watching": Watching(eval_every=2, checkpoint_every=2, sample_every=0, trackers="none"),
    }
    for name, value in changes.items():
        for part, held in inner.items():
            if name in {field.name for field in dataclasses.fields(held)}:
                inner[part] = dataclasses.replace(held, **{name: value})
                break
        else:
            values[name] = value
    return LoopConfig(**values, **inner)


def setup(config: LoopConfig, model: ModelConfig | None = None) -> Setup:
    """Everything to train a tiny decoder."""
    data = RowsData(
        rows(1), config.batch_rows, seed=config.seed, held_out=rows(2, 20), bytes_per_token=2.0
    )
    decoder = fresh_decoder(model or tiny_config(), config.seed)
    return Setup(decoder, RowsObjective(data, causal_loss, "next-token"), config, LENGTH)


def new_run(root: Path, config: LoopConfig, name: str = "toy") -> runs.RunFolder:
    """A folder for a run that has not begun."""
    info = runs.RunInfo(name=name, objective="next-token")
    return runs.create_run(root, info, {"loop": dataclasses.asdict(config)})
