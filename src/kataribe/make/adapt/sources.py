"""Where a packed layer's matrix comes from: a file's own rows, or a module of a built model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kataribe.make.adapt.linears import quantize_int8
from kataribe.make.model.weights.loading import load_tensor
from kataribe.make.model.weights.sources import SourceTensor

_STEP_VALUES = 1 << 19
"""Values rounded at a time, so that a large matrix never lies in memory as float32."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix that is read when it is packed.

    Attributes:
        rows: Outputs.
        columns: Inputs.
        kind: GGUF's name of how it is stored; an ordinary tensor counts as F32.
        raw: Its bytes, uint8 (rows, bytes per row); asked for only where the kind is of blocks.
        load: All its values in the type asked for.
        some: float32 values of the rows with these numbers.
        bias: (rows,) or None.
    """

    rows: int
    columns: int
    kind: str
    raw: Callable[[], NDArray[np.uint8]]
    load: Callable[[torch.dtype], Tensor]
    some: Callable[[NDArray[np.int64]], Tensor]
    bias: Tensor | None = None


class Unpacked(nn.Module):
    """Stands where a linear layer was until its matrix is packed; it holds no weights."""

    def __init__(self, matrix: Matrix) -> None:
        super().__init__()
        self.matrix = matrix


def of_source(source: SourceTensor, bias: Tensor | None) -> Matrix:
    """A parameter in a file."""
    rows, columns = source.shape

    def some(chosen: NDArray[np.int64]) -> Tensor:
        picked = source.raw()[chosen]
        return torch.from_numpy(source.unpack(picked))

    def load(dtype: torch.dtype) -> Tensor:
        return load_tensor(source, dtype)

    return Matrix(rows, columns, source.kind, source.raw, load, some, bias)


def of_linear(linear: nn.Linear) -> Matrix:
    """A layer of a model in memory."""
    bias = None if linear.bias is None else linear.bias.detach().cpu()
    return replace(of_tensor(linear.weight.detach()), bias=bias)


def of_tensor(weight: Tensor) -> Matrix:
    """Values in memory, (rows, columns)."""

    def raw() -> NDArray[np.uint8]:
        return weight.cpu().float().contiguous().numpy().view(np.uint8)

    return Matrix(
        rows=weight.shape[0],
        columns=weight.shape[1],
        kind="F32",
        raw=raw,
        load=lambda dtype: weight.cpu().to(dtype),
        some=lambda chosen: weight[torch.from_numpy(chosen)].cpu().float(),
    )


def int8_of(matrix: Matrix) -> tuple[Tensor, Tensor]:
    """The matrix in 8 bits: int8 (rows, columns) and bfloat16 scales (rows,)."""
    weight = torch.empty(matrix.rows, matrix.columns, dtype=torch.int8)
    scale = torch.empty(matrix.rows, dtype=torch.bfloat16)
    step = max(1, _STEP_VALUES // matrix.columns)
    for start in range(0, matrix.rows, step):
        chosen = np.arange(start, min(start + step, matrix.rows))
        weight[start : start + step], scale[start : start + step] = quantize_int8(
            matrix.some(chosen)
        )
    return weight, scale
