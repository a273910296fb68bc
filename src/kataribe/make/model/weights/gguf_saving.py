"""Model files out: the tensors and settings of a GGUF file that llama.cpp runs.

Tensors are read, rearranged and packed some rows at a time while the file is written, so a model
of any size takes a few megabytes. Blocks that already are of the wanted kind are copied as they
are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError
from kataribe.files.ggml_blocks import BLOCK, packed_size, quantize
from kataribe.files.ggml_groups import Bytes
from kataribe.files.gguf_writer import DeferredTensor
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.make.model.weights.gguf_config import (
    GGUFSettings,
    architecture_of,
    as_read,
    config_to_gguf,
)
from kataribe.make.model.weights.names import Place, gguf_places
from kataribe.make.model.weights.sources import SourceTensor

FILE_TYPES: Mapping[str, int] = {"F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q4_0": 2}
"""Kinds that a model can be exported in, and llama.cpp's numbers for such files."""
_WIDER = {"Q4_0": "Q8_0"}
"""What the embedding and the head are in a file of this kind: every token goes through them.
Measured on SmolLM2-135M, whose head is its embedding: see docs/export.md."""
_PLAIN = ("position_embd.weight", "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight")
"""Matrices that stay float32: learned positions, and what decides which experts are asked. Both
are small, and a router that is rounded sends tokens elsewhere."""
_UNEVEN = "F16"
"""Rows that are not whole blocks are stored so, as llama.cpp's converter does."""
STEP_VALUES = 1 << 20
"""Values packed at a time."""


@dataclass(frozen=True, eq=False)
class GGUFContent:
    """A model as the parts of a GGUF file, its tokenizer not among them.

    Attributes:
        metadata: Settings and what is general.
        tensors: Made while they are written.
        uneven: Names of matrices that could not be of the wanted kind.
        expected: What the file's settings have to be read as.
    """

    metadata: Mapping[str, Any]
    tensors: Mapping[str, DeferredTensor]
    uneven: tuple[str, ...]
    expected: ModelConfig

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors in the file."""
        return sum(packed_size(each.kind, each.shape) for each in self.tensors.values())


def gguf_content(checkpoint: Checkpoint, kind: str) -> GGUFContent:
    """The model in matrices of `kind`; norms, biases and learned positions stay float32.

    Raises `InputError` for an unknown kind, `ArchitectureError` for a model that llama.cpp does
    not build.
    """
    if kind not in FILE_TYPES:
        known = ", ".join(name.lower() for name in FILE_TYPES)
        raise InputError(f"A GGUF file cannot be of kind {kind.lower()}; choose {known}.")
    config = checkpoint.config
    architecture = architecture_of(config)  # before its parts are looked for
    places = gguf_places(config, interleaved=architecture == "llama", fused=config.family == "gpt2")
    groups: dict[str, list[tuple[str, Place]]] = {}
    for name, place in places.items():
        groups.setdefault(place.source, []).append((name, place))
    settings = config_to_gguf(config, frozenset(groups))
    tensors = _setting_tensors(settings)
    uneven = []
    for source, parts in groups.items():
        chosen = _kind_of(source, parts[0][1], kind)
        if chosen == _UNEVEN != kind:
            uneven.append(source)
        parameters = [(checkpoint.tensors[name], place.heads) for name, place in parts]
        tensors[source] = _deferred(parameters, parts[0][1].source_shape, chosen)
    metadata = {
        "general.architecture": settings.architecture,
        "general.type": "model",
        "general.file_type": FILE_TYPES[kind],
        "general.quantization_version": 2,
        **settings.metadata,
    }
    return GGUFContent(metadata, tensors, tuple(uneven), as_read(config, settings))


def _setting_tensors(settings: GGUFSettings) -> dict[str, DeferredTensor]:
    def ready(values: NDArray[np.float32]) -> DeferredTensor:
        return DeferredTensor("F32", values.shape, lambda: iter([values.view(np.uint8)]))

    return {name: ready(values) for name, values in settings.tensors.items()}


def _kind_of(name: str, place: Place, kind: str) -> str:
    if len(place.shape) < 2 or name.endswith(_PLAIN):
        return "F32"
    if name in ("token_embd.weight", "output.weight"):
        kind = _WIDER.get(kind, kind)
    return kind if place.shape[-1] % BLOCK[kind][0] == 0 else _UNEVEN


def _deferred(
    parameters: list[tuple[SourceTensor, int]], shape: tuple[int, ...], kind: str
) -> DeferredTensor:
    """A tensor of the file out of our parameters, (parameter, heads whose rows interleave)."""

    def pieces() -> Iterator[Bytes]:
        for source, heads in parameters:
            yield from _packed_rows(source, heads, kind)

    return DeferredTensor(kind, shape, pieces)


def _packed_rows(source: SourceTensor, heads: int, kind: str) -> Iterator[Bytes]:
    if len(source.shape) == 1:  # a norm or a bias: each value is a row
        values = source.values()
        yield quantize(values[_order(len(values), heads)], kind)
        return
    raw = source.raw()
    order = _order(raw.shape[0], heads)
    step = max(1, STEP_VALUES // math.prod(source.shape[1:]))
    for start in range(0, raw.shape[0], step):
        rows = raw[order[start : start + step]] if heads else raw[start : start + step]
        yield rows if source.kind == kind else quantize(source.unpack(rows), kind)


def _order(rows: int, heads: int) -> NDArray[np.int64]:
    """Which of our rows stands at each place: rows of the two halves of a head take turns."""
    order = np.arange(rows, dtype=np.int64)
    if heads:
        order = order.reshape(heads, 2, -1).swapaxes(1, 2).reshape(-1)
    return order
