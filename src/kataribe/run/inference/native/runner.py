"""The native runner: `Runner` over the compiled library."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import KataribeError
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.frequencies import inverse_frequencies
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.run.inference.native.library import Library, Shape, StepInput, address, int32
from kataribe.run.inference.native.weights import NativePrecision, pack_weights
from kataribe.run.inference.step import StepBatch

BLOCK_SIZE = 16
"""Tokens in a block of the cache: what one vector of keys holds."""
_ACTIVATIONS = {"silu": 0, "gelu_tanh": 1}


def obstacle(config: ModelConfig) -> str | None:
    """Why the native runner cannot compute such a model; None where it can."""
    widths = (config.hidden_size, config.intermediate_size, config.head_dim)
    obstacles = {
        "its positions are not rotary": config.rope is None,
        "its norms are layer norms": config.norm != "rms",
        "its MLP is not gated": not config.gated,
        f"its activation is {config.activation}": config.activation not in _ACTIVATIONS,
        "its matrices have biases besides q, k and v": config.output_bias or config.mlp_bias,
        "its scores or logits are capped": bool(config.attention_softcap or config.logits_softcap),
        "its scores are scaled by layer": config.scale_by_layer,
        "not all of its layers attend": set(config.mixers) != {"attention"},
        "it is a mixture of experts": config.experts is not None,
        "its matrices are ternary": config.ternary is not None,
        "it has norms inside of attention and MLP": config.inner_norms,
        f"not all of its widths {widths} are multiples of 32": any(w % 32 for w in widths),
    }
    return next((text for text, is_so in obstacles.items() if is_so), None)


class NativeRunner:
    """Computes steps with weights and cache that lie in the library; see `Runner`.

    What a token's logits are depends on its sequence alone: not on how a prompt was cut into
    chunks, nor on who else is in the step, nor on the number of threads.

    Args:
        library: A build that runs here.
        checkpoint: A model without `obstacle`.
        blocks: Blocks of the paged cache.
        context: Tokens of a sequence, for rotary positions that depend on the length.
        precision: How weights are held; see `weights`.
        threads: That compute.
    """

    def __init__(
        self,
        library: Library,
        checkpoint: Checkpoint,
        *,
        blocks: int,
        context: int,
        precision: NativePrecision = "auto",
        threads: int = 1,
    ) -> None:
        config = checkpoint.config
        found = obstacle(config)
        if found is not None:
            raise KataribeError(f"The native runner cannot compute this model: {found}.")
        self._library, self._threads = library, threads
        self.vocab_size = config.vocab_size
        self.block_size = BLOCK_SIZE
        self.blocks = blocks
        self.reuses_prefixes = True
        self._decoder = ctypes.c_void_p()
        library.call("new", _shape(config, blocks), ctypes.byref(self._decoder))
        # Whoever loses it without closing it, as a load that fails half-way, gives the memory back
        # too; not at the end of the process, where an engine may still be computing.
        self._free = weakref.finalize(self, library.call, "free", self._decoder)
        self._free.atexit = False
        with ExitStack() as undo:
            undo.callback(self.close)
            self._describe(config, context)
            pack_weights(library, self._decoder, checkpoint, precision, threads)
            undo.pop_all()

    def run(self, batch: StepBatch) -> list[NDArray[np.float32]]:
        """Logits for each slice: (rows, vocab_size), rows 0, 1 or `len(ids)`."""
        slices = batch.slices
        lengths = [len(part.ids) for part in slices]
        ends = np.cumsum(lengths)
        row = int32([0, *ends])
        ids = int32(np.concatenate([part.ids for part in slices]))
        block = int32([number for part in slices for number in part.blocks])
        table = int32(np.cumsum([0, *(len(part.blocks) for part in slices)]))
        start = int32([part.start for part in slices])
        wanted: list[int] = []
        counts: list[int] = []
        for part, end, length in zip(slices, ends.tolist(), lengths, strict=True):
            rows = {"none": range(0), "last": range(end - 1, end), "all": range(end - length, end)}
            wanted.extend(rows[part.logits])
            counts.append(len(rows[part.logits]))
        wanted_rows = int32(wanted)
        logits = np.empty((len(wanted), self.vocab_size), dtype=np.float32)
        pointers = map(address, (ids, row, start, table, block, wanted_rows, logits))
        step = StepInput(len(ids), len(slices), len(wanted), *pointers)
        self._library.call("step", self._decoder, step, self._threads)
        return np.split(logits, np.cumsum(counts)[:-1])

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies whole blocks, each pair from source to target."""
        both = int32(pairs)
        if not self._free.alive or not ((both >= 0) & (both < self.blocks)).all():
            raise KataribeError(
                f"There are no such blocks to copy: {list(pairs)}; the cache has {self.blocks}."
            )
        self._library.call("copy", self._decoder, address(both), len(pairs))

    def close(self) -> None:
        """Gives model and cache back."""
        self._decoder = ctypes.c_void_p()
        self._free()

    def _describe(self, config: ModelConfig, context: int) -> None:
        assert config.rope is not None, "`obstacle` refuses learned positions"
        for kind, rope in enumerate((config.rope, config.local_rope or config.rope)):
            turns = inverse_frequencies(rope, config.head_dim, context)
            turns = np.ascontiguousarray(turns, dtype=np.float32)
            self._library.call(
                "rope", self._decoder, kind, address(turns), len(turns), rope.attention_factor
            )
        for layer, window in enumerate(config.windows):
            local = window is not None and config.local_rope is not None
            self._library.call("layer", self._decoder, layer, window or 0, int(local))


def _shape(config: ModelConfig, blocks: int) -> Shape:
    return Shape(
        layers=config.layers,
        hidden=config.hidden_size,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_dim=config.head_dim,
        intermediate=config.intermediate_size,
        vocabulary=config.vocab_size,
        blocks=blocks,
        activation=_ACTIVATIONS[config.activation],
        epsilon=config.norm_eps,
        embedding_scale=config.embedding_scale,
        attention_scale=config.attention(0).scale,
    )
