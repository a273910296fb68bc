"""An open checkpoint into a decoder, one parameter at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from kataribe.make.model.decoder import Decoder
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.make.model.weights.skeleton import skeleton
from kataribe.make.model.weights.sources import CHUNK_VALUES, SourceTensor

LinearFactory: TypeAlias = Callable[[str, SourceTensor, Tensor | None], nn.Module | None]
"""(module's name, its matrix, its bias) -> what stands in its place; None for `nn.Linear`."""
EmbeddingFactory: TypeAlias = Callable[[str, SourceTensor], nn.Module | None]
"""(module's name, its matrix) -> what stands in its place; None for `nn.Embedding`."""

_PLAIN: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


def load_model(
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    linear: LinearFactory | None = None,
    embedding: EmbeddingFactory | None = None,
) -> Decoder:
    """The decoder with its parameters in `dtype` (norms stay float32), in evaluation mode.

    Parameters are read one after the other; beside the model there is never more than one of
    them in memory.

    Args:
        checkpoint: Where from.
        dtype: Of matrices and biases.
        device: Where to.
        linear: Builds what stands in place of a linear module, from its matrix as it is stored;
            asked for `head` too, with the embedding's matrix where it is tied.
        embedding: The same for `embed` and `positions`.
    """
    decoder = skeleton(checkpoint.config)
    tensors = checkpoint.tensors
    embed, head = decoder.embed, decoder.head
    for name, module in list(decoder.named_modules()):
        source = tensors.get(f"{name}.weight")
        if name == "head" and source is None:
            source = tensors["embed.weight"]
        if source is None:
            _fill(module, name, tensors, dtype, device)  # parameters that no weight goes with
            continue
        replacement: nn.Module | None = None
        if isinstance(module, nn.Linear) and linear is not None:
            bias = tensors.get(f"{name}.bias")
            replacement = linear(name, source, None if bias is None else load_tensor(bias, dtype))
        elif isinstance(module, nn.Embedding) and embedding is not None:
            replacement = embedding(name, source)
        if replacement is not None:
            decoder.set_submodule(name, replacement)
        elif not (name == "head" and checkpoint.config.tied):
            _fill(module, name, tensors, dtype, device)
    if checkpoint.config.tied and decoder.head is head:
        if decoder.embed is embed:
            decoder.tie()
        else:  # replaced by something that the head cannot share
            value = load_tensor(tensors["embed.weight"], dtype).to(device)
            decoder.head.weight = nn.Parameter(value)
    return decoder.eval()


def _fill(
    module: nn.Module,
    name: str,
    tensors: Mapping[str, SourceTensor],
    dtype: torch.dtype,
    device: torch.device | str,
) -> None:
    kept = dtype if isinstance(module, nn.Linear | nn.Embedding) else torch.float32
    for leaf, _ in list(module.named_parameters(recurse=False)):
        value = load_tensor(tensors[f"{name}.{leaf}"], kept).to(device)
        setattr(module, leaf, nn.Parameter(value))


def load_tensor(source: SourceTensor, dtype: torch.dtype) -> Tensor:
    """A new tensor of the parameter's shape in `dtype`, on the CPU."""
    raw = source.raw()
    out = torch.empty(source.shape, dtype=dtype)
    rows = out.view(raw.shape[0], -1)
    step = max(1, CHUNK_VALUES // max(1, rows.shape[1]))
    plain = _PLAIN.get(source.kind)
    for start in range(0, raw.shape[0], step):
        part = raw[start : start + step]
        if plain is None:
            rows[start : start + step] = torch.from_numpy(source.unpack(part))
        else:  # a copy of one chunk: torch warns about memory that cannot be written
            rows[start : start + step] = torch.from_numpy(np.array(part)).view(plain)
    return out
