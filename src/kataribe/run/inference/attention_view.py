"""Attention weights, from the plain decoder in float32: what the fast runners never write down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from kataribe.base.errors import InputError, UnavailableError
from kataribe.make.model.configs.config import AttentionSpec, ModelConfig
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.model.layers.recurrence import Recurrence
from kataribe.make.model.weights.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.weights.loading import load_model

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """Queries and keys of a text in all layers: (seq, heads, head_dim), (seq, kv_heads, head_dim).

    With them any layer, head and token can be shown without computing anything twice. They are
    known by the numbers of the layers that attend.
    """

    ids: tuple[int, ...]
    queries: dict[int, Tensor]
    keys: dict[int, Tensor]


class AttentionView:
    """A model in float32 that shows where it looks. Safe to use from several threads.

    Args:
        path: A folder or a GGUF file.
        context: Tokens for which the engine computes rotary positions that depend on the length.
        progress: Hears bytes read and bytes in all.
    """

    def __init__(
        self, path: Path, context: int, progress: Callable[[int, int], None] | None = None
    ) -> None:
        checkpoint = open_checkpoint(path)
        if progress is not None:
            progress(0, checkpoint.size_bytes)
        self.config = checkpoint.config
        self._lock = threading.Lock()
        self._model: Decoder | None = _in_a_thread(lambda: _load(checkpoint, context))
        self._pass: _Pass | None = None

    @property
    def is_open(self) -> bool:
        """It has not been closed."""
        return self._model is not None

    def close(self) -> None:
        """Frees the model, after what is being computed."""
        with self._lock:
            self._model = self._pass = None

    def weights(
        self, ids: tuple[int, ...], layer: int, head: int, looking: int
    ) -> tuple[float, ...]:
        """How much token `looking` looks at the tokens up to itself; the sum is 1. Blocks.

        Raises:
            InputError: There is no such layer, head or token.
            UnavailableError: It has been closed.
        """
        mixers = self.config.mixers
        if 0 <= layer < len(mixers) and mixers[layer] != "attention":
            raise InputError(
                f"Layer {layer} is one of {mixers[layer]}: it keeps a state and looks at no "
                "tokens. Choose a layer of attention.",
                param="layer",
            )
        for name, value, count in (
            ("layer", layer, self.config.layers),
            ("head", head, self.config.heads),
            ("position", looking, len(ids)),
        ):
            if not 0 <= value < count:
                raise InputError(
                    f"{name} is {value}, but there are {count}, counted from 0.", param=name
                )
        with self._lock:
            if self._model is None:
                raise UnavailableError("The model was unloaded meanwhile. Look again.")
            if self._pass is None or self._pass.ids != ids:
                model = self._model
                self._pass = None  # the old one is freed before the new one is made
                self._pass = _in_a_thread(lambda: _read(model, ids))
            done = self._pass
        spec = self.config.attention(layer)
        return _weights(spec, self.config, done.queries[layer], done.keys[layer], head, looking)


def view_bytes(config: ModelConfig, parameters: int, tokens: int) -> int:
    """Bytes that an `AttentionView` takes with a text of so many tokens."""
    heads = config.heads + config.kv_heads
    attending = config.mixers.count("attention")
    return 4 * (parameters + tokens * attending * heads * config.head_dim)


class _Recording:
    """`CausalAttend` that keeps queries and keys."""

    def __init__(self, config: ModelConfig) -> None:
        self._attend = CausalAttend(config)
        self.queries: dict[int, Tensor] = {}
        self.keys: dict[int, Tensor] = {}

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.queries[layer], self.keys[layer] = q[0], k[0]
        return self._attend(layer, q, k, v)

    def recur(self, layer: int, x: Tensor, recurrence: Recurrence) -> Tensor:
        return self._attend.recur(layer, x, recurrence)


def _load(checkpoint: Checkpoint, context: int) -> Decoder:
    model = load_model(checkpoint, dtype=torch.float32)
    model.fixed_length = context
    return model


def _read(model: Decoder, ids: tuple[int, ...]) -> _Pass:
    recording = _Recording(model.config)
    with torch.inference_mode():
        model(torch.tensor([ids]), torch.arange(len(ids))[None], recording)
    return _Pass(ids, recording.queries, recording.keys)


def _weights(
    spec: AttentionSpec, config: ModelConfig, q: Tensor, k: Tensor, head: int, looking: int
) -> tuple[float, ...]:
    """Softmax attention (Vaswani et al. 2017) of one query over (seq, heads, head_dim)."""
    first = 0 if spec.window is None else max(0, looking + 1 - spec.window)
    group = config.heads // config.kv_heads
    with torch.inference_mode():
        seen = k[first : looking + 1, head // group]  # (seen, head_dim)
        scores = seen.double() @ q[looking, head].double() * spec.scale  # (seen,)
        if spec.softcap is not None:
            scores = spec.softcap * torch.tanh(scores / spec.softcap)
        weights = scores.softmax(dim=0)
    found: list[float] = weights.tolist()
    return (*([0.0] * first), *found)


def _in_a_thread(work: Callable[[], T]) -> T:
    """`work` in a thread that ends: OpenMP's threads of one that stayed would slow the engine's."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        return beside.submit(work).result()
