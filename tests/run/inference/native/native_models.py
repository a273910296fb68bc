"""Tiny models for the native runner, and what its logits are compared with.

Two references: the plain `Decoder` in float32, from which bfloat16 activations lead away by about
a hundredth, and the same decoder rounding what it multiplies where the native runner does, which
differs only where a sum in another order falls to the other side of a rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kataribe.files.ggml_blocks import bfloat16_from_float32, float32_from_bfloat16
from kataribe.make.model.attention import CausalAttend, causal_mask
from kataribe.make.model.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.loading import load_model
from kataribe.make.model.sources import SourceTensor
from kataribe.run.inference.native.library import Library
from kataribe.run.inference.native.runner import BLOCK_SIZE, NativeRunner
from kataribe.run.inference.step import Logits, Slice, StepBatch

SIZES: dict[str, Any] = {"hidden_size": 96, "intermediate_size": 160, "head_dim": 32}
CONTEXT = 64
"""Of the tiny models: what rotary positions that depend on the length are told."""


def make(folder: Path, family: str, seed: int = 31, **changes: Any) -> Checkpoint:
    """A tiny random model of a family, its widths multiples of 32."""
    from tests.parity.tiny import build

    build(family, seed, **{**SIZES, **changes}).save_pretrained(folder)
    return open_checkpoint(folder)


def with_kind(checkpoint: Checkpoint, kind: str, pack: Callable[..., np.ndarray]) -> Checkpoint:
    """The same model with its matrices held as `kind`; `pack(values, kind)` gives the rows."""
    tensors: dict[str, SourceTensor] = {}
    for name, source in checkpoint.tensors.items():
        if len(source.shape) == 2:
            raw = pack(source.values(), kind)
            tensors[name] = SourceTensor(source.shape, kind, lambda raw=raw: raw)
        else:
            tensors[name] = source
    return replace(checkpoint, tensors=tensors)


def bfloat16(values: Tensor) -> Tensor:
    """Rounded to bfloat16, in float32."""
    return values.bfloat16().float()


def round_values(values: np.ndarray) -> np.ndarray:
    """Rounded to bfloat16, in float32."""
    return float32_from_bfloat16(bfloat16_from_float32(values)).reshape(values.shape)


class Reference:
    """A model's logits by PyTorch in float32, its weights rounded as the native runner holds them.

    Args:
        checkpoint: The model.
        context: For rotary positions that depend on the length.
        weights: Replaces a parameter's values by those that are held; as the file has them if None.
        rounds: Activations are rounded where the native runner rounds them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        context: int = CONTEXT,
        weights: Mapping[str, np.ndarray] | None = None,
        rounds: bool = True,
    ) -> None:
        self.model = load_model(checkpoint)
        self.model.fixed_length = context
        held = weights or {}
        with torch.no_grad():
            for name, parameter in list(self.model.named_parameters()):
                if name in held:
                    parameter.copy_(torch.from_numpy(held[name]))
            head = bfloat16(self.model.head.weight)
            for name, parameter in self.model.named_parameters():
                # An embedding's row is taken as it is held, unrounded.
                is_held = name == "embed.weight" and name in held
                if parameter.ndim == 2 and not is_held:
                    parameter.copy_(bfloat16(parameter))
            self.model.head.weight = torch.nn.Parameter(head)
        self._attend: Any = CausalAttend(checkpoint.config)
        if rounds:
            _round_activations(self.model)
            self._attend = _RoundedAttend(self.model)

    @torch.inference_mode()
    def logits(self, ids: np.ndarray) -> np.ndarray:
        """(tokens, vocab_size) of one sequence."""
        positions = torch.arange(len(ids))[None]
        hidden = self.model(torch.from_numpy(ids)[None], positions, self._attend)
        return self.model.logits(hidden)[0].numpy()


def _round_activations(model: Decoder) -> None:
    def rounded(_module: object, _inputs: object, output: Tensor) -> Tensor:
        return bfloat16(output)

    def rounded_input(_module: object, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(bfloat16(each) for each in inputs)

    for block in model.blocks:
        block.attention_norm.register_forward_hook(rounded)
        block.mlp_norm.register_forward_hook(rounded)
        block.mlp.down.register_forward_pre_hook(rounded_input)
    model.norm.register_forward_hook(rounded)


class _RoundedAttend:
    """Attention whose queries, keys, values, weights and result are bfloat16."""

    def __init__(self, model: Decoder) -> None:
        self._config = model.config

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        spec = self._config.attention(layer)
        group = q.shape[2] // k.shape[2]
        q, k, v = (bfloat16(each).transpose(1, 2) for each in (q, k, v))
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        visible = causal_mask(q.shape[2], k.shape[2], spec.window, q.device)
        scores = (q @ k.transpose(2, 3) * spec.scale).masked_fill(~visible, -torch.inf)
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        mixed = bfloat16(weights) @ v / weights.sum(-1, keepdim=True)
        return bfloat16(mixed).transpose(1, 2)


def native(library: Library, checkpoint: Checkpoint, **changes: Any) -> NativeRunner:
    """A runner over a tiny model."""
    settings = {"blocks": 40, "context": CONTEXT, "threads": 2, **changes}
    return NativeRunner(library, checkpoint, **settings)


def one(ids: Any, start: int, blocks: Any, logits: Logits = "all") -> StepBatch:
    """A step of one slice."""
    whole = tuple(int(block) for block in blocks)
    return StepBatch((Slice(np.asarray(ids, dtype=np.int64), start, whole, logits),))


def blocks_for(tokens: int) -> int:
    """Blocks that hold so many tokens."""
    return -(-tokens // BLOCK_SIZE)


def native_logits(
    library: Library, checkpoint: Checkpoint, ids: np.ndarray, **changes: Any
) -> np.ndarray:
    """Of a whole sequence in one step."""
    with closing(native(library, checkpoint, **changes)) as runner:
        return runner.run(one(ids, 0, range(blocks_for(len(ids)))))[0]


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference in standard deviations of what is expected."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / expected.std())


def spread(found: np.ndarray, expected: np.ndarray) -> float:
    """Root-mean-square difference in standard deviations of what is expected."""
    assert found.shape == expected.shape
    return float(np.sqrt(np.square(found - expected).mean()) / expected.std())
