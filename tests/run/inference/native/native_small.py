"""Small models for the native runner, made without PyTorch: also for processes that only run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kataribe.files.ggml_blocks import BLOCK
from kataribe.make.model.configs.config import ModelConfig, RopeConfig
from kataribe.make.model.configs.shapes import shapes
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.make.model.weights.sources import SourceTensor
from kataribe.run.inference.native.library import Library
from kataribe.run.inference.native.runner import BLOCK_SIZE, NativeRunner
from kataribe.run.inference.step import Logits, Slice, StepBatch

Weights: TypeAlias = Mapping[str, np.ndarray]
CONTEXT = 64
"""Of the tiny models: what rotary positions that depend on the length are told."""
HALVES: Mapping[str, tuple[int, ...]] = {  # where the float16 of each kind stand in a block
    "Q8_0": (0,), "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2),
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
}  # fmt: skip


def small(seed: int = 7, **changes: Any) -> Checkpoint:
    """A random model with biases, norms of q and k, post norms and one layer with a window."""
    settings: dict[str, Any] = {
        "family": "gemma3",
        "vocab_size": 101,
        "hidden_size": 64,
        "layers": 2,
        "heads": 6,
        "kv_heads": 2,
        "head_dim": 32,
        "intermediate_size": 96,
        "context_length": 1 << 22,
        "windows": (21, None),
        "rope": RopeConfig(1e4),
        "local_rope": RopeConfig(100.0),
        "qk_norm": True,
        "post_norms": True,
        "qkv_bias": True,
        "query_scalar": 32.0,
        **changes,
    }
    config = ModelConfig(**settings)
    draw = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    for name, shape in shapes(config).items():
        noise = draw.standard_normal(shape).astype(np.float32)
        is_norm = len(shape) == 1 and not name.endswith("bias")
        tensors[name] = 1 + noise / 3 if is_norm else noise * 1.5 / shape[-1] ** 0.5
    return with_tensors(Checkpoint(Path("small"), config, {}), tensors)


def with_tensors(checkpoint: Checkpoint, changed: Weights) -> Checkpoint:
    """The same model with other values of some parameters."""
    tensors = dict(checkpoint.tensors)
    for name, values in changed.items():
        raw = np.ascontiguousarray(values, dtype="<f4")
        rows = raw.reshape(-1 if raw.ndim > 1 else 1, raw.shape[-1])
        tensors[name] = SourceTensor(raw.shape, "F32", lambda rows=rows: rows.view(np.uint8))
    return replace(checkpoint, tensors=tensors)


def random_blocks(
    kind: str, rows: int, columns: int, low: float, high: float, seed: int
) -> SourceTensor:
    """Random bytes, but the float16 among them of either sign and of sizes 2^low to 2^high."""
    draw = np.random.default_rng(seed)
    values, size = BLOCK[kind]
    raw = draw.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    for place in HALVES[kind]:
        sizes = np.exp2(draw.uniform(low, high, len(raw))) * draw.choice([-1, 1], len(raw))
        raw[:, place : place + 2] = sizes.astype("<f2").view(np.uint8).reshape(-1, 2)
    raw = raw.reshape(rows, -1)
    return SourceTensor((rows, columns), kind, lambda: raw)


def with_kind(checkpoint: Checkpoint, kind: str) -> Checkpoint:
    """A model of the same shape whose matrices are random blocks, as large as its own."""
    tensors: dict[str, SourceTensor] = dict(checkpoint.tensors)
    for seed, (name, source) in enumerate(checkpoint.tensors.items()):
        if len(source.shape) == 2:
            trial = random_blocks(kind, *source.shape, -1, 0, seed).values().std()
            shift = float(np.log2(source.values().std() / trial))
            tensors[name] = random_blocks(kind, *source.shape, shift - 1, shift, seed)
    return replace(checkpoint, tensors=tensors)


def native(library: Library, checkpoint: Checkpoint, **changes: Any) -> NativeRunner:
    """A runner over a small model."""
    settings = {"blocks": 40, "context": CONTEXT, "threads": 2, **changes}
    return NativeRunner(library, checkpoint, **settings)


def one(ids: Any, start: int, blocks: Any, logits: Logits = "all") -> StepBatch:
    """A step of one slice."""
    whole = tuple(int(block) for block in blocks)
    return StepBatch((Slice(np.asarray(ids, dtype=np.int64), start, whole, logits),))


def blocks_for(tokens: int) -> int:
    """Blocks that hold so many tokens."""
    return -(-tokens // BLOCK_SIZE)
