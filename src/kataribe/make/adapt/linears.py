"""Linear layers over packed weights, each with a slow readable twin that says what it means.

The fast ones take and give bfloat16 (other types are converted on the way in and back on the way
out); weights are buffers, so nothing here is trained.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.make.adapt import kernels, unpack
from kataribe.make.adapt.groups import GroupWeights
from kataribe.make.adapt.kernels import INT4_ROWS, INT8_COLUMNS


class PackedLinear(nn.Module):
    """What all packed layers share: `out_features`, `in_features` and a bias.

    `forward` takes x (..., in_features) to (..., out_features) in x's type.
    """

    bias: Tensor | None

    def __init__(self, out_features: int, in_features: int, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = out_features, in_features
        kept = None if bias is None else bias.detach().to(torch.bfloat16)
        self.register_buffer("bias", kept, persistent=False)

    def extra_repr(self) -> str:
        """Sizes, as `print(model)` shows them."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        if x.dim() == 2 and x.dtype == torch.bfloat16:  # the engine's case, with nothing to convert
            out = self.product(x)
            return out if self.bias is None else out.add_(self.bias)
        rows = x.reshape(-1, self.in_features)
        out = self.product(rows if x.dtype == torch.bfloat16 else rows.to(torch.bfloat16))
        if self.bias is not None:
            out = out + self.bias
        return out.view(*x.shape[:-1], self.out_features).to(x.dtype)

    @abstractmethod
    def product(self, rows: Tensor) -> Tensor:
        """bfloat16 (tokens, in_features) times the matrix, without the bias."""

    @abstractmethod
    def dense(self) -> Tensor:
        """The matrix that `product` multiplies by, float32 (out_features, in_features)."""


class Int4Linear(PackedLinear):
    """4 bits per weight in groups of 32, in the layout of torch's packed product.

    Rows are filled up with zeros to a multiple of 16, which the kernel asks for.
    """

    packed: Tensor
    table: Tensor

    def __init__(self, weights: GroupWeights, bias: Tensor | None = None) -> None:
        super().__init__(weights.values.shape[0], weights.values.shape[1], bias)
        values, table = weights.values.int(), weights.table()
        extra = -self.out_features % INT4_ROWS
        if extra:
            values = functional.pad(values, (0, 0, 0, extra))
            table = functional.pad(table, (0, 0, 0, extra))
        self.register_buffer("packed", kernels.pack_int4(values), persistent=False)
        self.register_buffer("table", table, persistent=False)
        self.unpacks = self.out_features % 64 == 0 and unpack.knows_layout("cpu")

    def product(self, rows: Tensor) -> Tensor:
        """Reads 4 bits per weight."""
        if rows.shape[0] >= unpack.MANY_TOKENS and self.unpacks:
            return unpack.dense_product(rows, self.packed, self.table)
        out = kernels.int4_product(rows, self.packed, self.table)
        return out if out.shape[1] == self.out_features else out[:, : self.out_features]

    def rows(self, ids: Tensor) -> Tensor:
        """As `PlainInt4Linear.rows`; asked for only where `unpacks`."""
        return unpack.look_up(self.packed, self.table, self.in_features, ids)

    def dense(self) -> Tensor:
        """Read out of the packed layout by multiplying by the identity."""
        eye = torch.eye(self.in_features, dtype=torch.bfloat16, device=self.packed.device)
        out = kernels.int4_product(eye, self.packed, self.table)
        return out[:, : self.out_features].float().T


class PlainInt4Linear(PackedLinear):
    """The same in plain steps: two values per byte, unpacked at every call.

    The reference of `Int4Linear`, and what runs where torch has no packed product.
    """

    nibbles: Tensor
    table: Tensor

    def __init__(self, weights: GroupWeights, bias: Tensor | None = None) -> None:
        super().__init__(weights.values.shape[0], weights.values.shape[1], bias)
        values = weights.values
        self.register_buffer("nibbles", values[:, 0::2] | values[:, 1::2] << 4, persistent=False)
        self.register_buffer("table", weights.table(), persistent=False)

    def product(self, rows: Tensor) -> Tensor:
        """In bfloat16, over a matrix that is made anew each time."""
        return functional.linear(rows, self.dense().to(torch.bfloat16))

    def dense(self) -> Tensor:
        """(value - 8) * scale + zero."""
        return unpack.in_groups(_halves(self.nibbles), self.table)

    def rows(self, ids: Tensor) -> Tensor:
        """float32 (some, in_features): the rows of the matrix with these numbers (some,)."""
        return unpack.in_groups(_halves(self.nibbles[ids]), self.table[:, ids])


def _halves(nibbles: Tensor) -> Tensor:
    """(..., n) bytes to their (..., 2 n) values from 0 to 15."""
    return torch.stack((nibbles & 0xF, nibbles >> 4), dim=-1).flatten(-2)


class Int8Linear(PackedLinear):
    """8 bits per weight and one bfloat16 scale per row."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> None:
        super().__init__(weight.shape[0], weight.shape[1], bias)
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    def product(self, rows: Tensor) -> Tensor:
        """Reads 8 bits per weight."""
        return kernels.int8_product(rows, self.weight, self.scale)

    def dense(self) -> Tensor:
        """Each row of int8 times its scale."""
        return self.weight.float() * self.scale.float()[:, None]


class PlainInt8Linear(Int8Linear):
    """The same in plain steps: the reference, and what runs where torch has no such product."""

    def product(self, rows: Tensor) -> Tensor:
        """Converts the matrix at every call; the scale is applied to the result."""
        return functional.linear(rows, self.weight.to(torch.bfloat16)) * self.scale


class Bfloat16Linear(PackedLinear):
    """bfloat16 in oneDNN's own layout: twice as fast as an ordinary one for few rows."""

    packed: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__(weight.shape[0], weight.shape[1], bias)
        packed = kernels.prepack_bfloat16(weight.detach().to(torch.bfloat16).contiguous())
        self.register_buffer("packed", packed, persistent=False)

    def product(self, rows: Tensor) -> Tensor:
        """Reads 16 bits per weight."""
        return kernels.prepacked_product(rows, self.packed, None)

    def dense(self) -> Tensor:
        """The matrix in its ordinary layout."""
        return self.packed.to_dense().float()


class Int4Embedding(nn.Module):
    """Looks rows up in a 4-bit matrix, which is the head's own where the two are tied."""

    def __init__(self, matrix: Int4Linear | PlainInt4Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.matrix, self.dtype = matrix, dtype

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (...) to (..., hidden_size)."""
        rows = self.matrix.rows(ids.reshape(-1))
        return rows.view(*ids.shape, rows.shape[-1]).to(self.dtype)


class Int8Embedding(nn.Module):
    """Looks rows up in an int8 matrix; shares it with the head where the model is tied."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (...) to (..., hidden_size)."""
        rows = functional.embedding(ids, self.weight).float()
        return (rows * functional.embedding(ids, self.scale[:, None])).to(self.dtype)


def quantize_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 (rows, columns) and bfloat16 scales (rows,) of ordinary weights.

    The scale is rounded up to bfloat16 first and the weights then divided by what it has become,
    so its rounding costs nothing.
    """
    values = weight.detach().float()
    exact = values.abs().amax(dim=1) / 127
    scale = exact.to(torch.bfloat16)
    scale = torch.where(scale.float() < exact, torch.nextafter(scale, scale + 1), scale)
    safe = scale.float().clamp_min(1e-30)[:, None]
    return (values / safe).round_().clamp_(-127, 127).to(torch.int8), scale


def int4_linear(
    weights: GroupWeights, bias: Tensor | None, device: str
) -> Int4Linear | PlainInt4Linear:
    """The fast layer where torch has one for the device, the plain one elsewhere."""
    fast = kernels.supports_int4_kernel(device)
    return (Int4Linear if fast else PlainInt4Linear)(weights, bias).to(device)


def int8_linear(weight: Tensor, scale: Tensor, bias: Tensor | None, device: str) -> Int8Linear:
    """The fast layer where torch has one for the device and the width, the plain one elsewhere."""
    fast = kernels.supports_int8_kernel(device) and weight.shape[1] % INT8_COLUMNS == 0
    return (Int8Linear if fast else PlainInt8Linear)(weight, scale, bias).to(device)
