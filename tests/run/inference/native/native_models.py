"""Tiny models for the native runner, and what its logits are compared with.

Two references: the plain `Decoder` in float32, from which bfloat16 activations lead away by about
a hundredth, and the same decoder rounding what it multiplies where the native runner does, which
differs only where a sum in another order falls to the other side of a rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from native_small import CONTEXT, Weights, blocks_for
from torch import Tensor

from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.attention import CausalAttend, causal_mask
from kataribe.make.model.weights.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.run.inference.native.library import Library, address
from kataribe.run.inference.native.runner import NativeRunner
from kataribe.run.inference.native.weights import MATRICES
from kataribe.run.inference.step import Slice, StepBatch

LONG: dict[str, Any] = {  # 16 factors for heads of 32
    "rope_type": "longrope",
    "short_factor": [1.0 + 0.05 * i for i in range(16)],
    "long_factor": [1.0 + 0.4 * i for i in range(16)],
    "original_max_position_embeddings": 16,
    "factor": 4.0,
}
SIZES: dict[str, Any] = {"hidden_size": 96, "intermediate_size": 160, "head_dim": 32}


def make(folder: Path, family: str, seed: int = 31, **changes: Any) -> Checkpoint:
    """A tiny random model of a family, its widths multiples of 32."""
    from tests.parity.tiny import build

    build(family, seed, **{**SIZES, **changes}).save_pretrained(folder)
    return open_checkpoint(folder)


def bfloat16(values: Tensor) -> Tensor:
    """Rounded to bfloat16, in float32."""
    return values.bfloat16().float()


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
        weights: Weights | None = None,
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
        """(sequences, tokens, vocab_size) of ids (sequences, tokens)."""
        positions = torch.arange(ids.shape[1]).expand(ids.shape)
        hidden = self.model(torch.from_numpy(ids), positions, self._attend)
        return self.model.logits(hidden).numpy()


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


def held_weights(library: Library, runner: NativeRunner, checkpoint: Checkpoint) -> Weights:
    """Every matrix as the library holds it, unrounded."""
    config = checkpoint.config
    places = {"embed.weight": (-1, 0)} | ({} if config.tied else {"head.weight": (-1, 1)})
    for layer in range(config.layers):
        for place, name in enumerate(MATRICES):
            places[f"blocks.{layer}.{name}.weight"] = layer, place
    found: dict[str, np.ndarray] = {}
    for name, (layer, place) in places.items():
        out = np.empty(checkpoint.tensors[name].shape, np.float32)
        for row in range(len(out)):
            library.call("row", runner._decoder, layer, place, row, address(out[row]))
        found[name] = out
    return found


def row_errors(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Root-mean-square difference of each row in standard deviations of what is expected."""
    assert found.shape == expected.shape
    errors: np.ndarray = np.sqrt(np.square(found - expected).mean(-1)) / expected.std()
    return np.where(np.isfinite(errors), errors, np.inf)


SEQUENCES, LENGTH = 6, 60


def random_ids(seed: int = 3) -> np.ndarray:
    """(SEQUENCES, LENGTH) ids that every tiny model has."""
    return np.random.default_rng(seed).integers(1, 96, (SEQUENCES, LENGTH))


def native_rows(runner: NativeRunner, ids: np.ndarray) -> np.ndarray:
    """Logits of whole sequences in one step: (sequences, tokens, vocab_size)."""
    each = blocks_for(ids.shape[1])
    parts = (
        Slice(sequence, 0, tuple(range(at * each, (at + 1) * each)), "all")
        for at, sequence in enumerate(ids)
    )
    return np.stack(runner.run(StepBatch(tuple(parts))))


@dataclass(frozen=True)
class Agreement:
    """How near logits come to those of `Reference`.

    Attributes:
        worst: The largest error of a row.
        equal: The share of rows without any difference to speak of, in that fifth of the
            positions that has the fewest. One value that fell to the other side of a rounding
            shows in all rows after it, so they are not all.
    """

    worst: float
    equal: float

    WORST = 0.02  # measured: at most 0.011
    EQUAL = 0.1  # measured: at least 0.22

    @property
    def holds(self) -> bool:
        """Nothing is computed otherwise."""
        return self.worst <= self.WORST and self.equal >= self.EQUAL


def agreement(found: np.ndarray, expected: np.ndarray) -> Agreement:
    """Of logits (sequences, tokens, vocab_size)."""
    errors = row_errors(found, expected)
    fifths = np.array_split(errors <= 1e-4, 5, axis=1)
    return Agreement(float(errors.max()), float(min(fifth.mean() for fifth in fifths)))
