"""Packed 4-bit matrices for many tokens at once: unpacked into bfloat16 for one dense product.

Torch's packed product reads few bytes, which is what counts for some tokens, but it multiplies
at a third of the speed of a dense bfloat16 product, which is what counts for hundreds. Measured on
one thread for 3072 x 576 weights and 512 tokens: packed 14.8 ms; unpacked 7.3 ms, 1.7 of them to
unpack. The unpacked matrix lies in one scratch that all layers use in turn.

The layout is torch's own for processors with AVX-512, and not promised by anybody; so it is looked
at on an example before it is relied on.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import torch
from torch import Tensor

from kataribe.make.adapt import kernels
from kataribe.make.adapt.kernels import GROUP

MANY_TOKENS = 96
"""From so many tokens on, unpacking pays."""
_PANEL = 64
"""Rows that the layout keeps together: a byte holds row i in its low and row i + 32 in its high
half, for one column; 32 bytes hold a column, the columns follow each other."""
_HALF = _PANEL // 2
_SCRATCH_VALUES = 1 << 22
"""Weights unpacked at a time: 8 MiB of bfloat16."""

_scratch = threading.local()


@lru_cache(maxsize=8)
def knows_layout(device: str) -> bool:
    """Torch packs here as described above, and the processor multiplies bfloat16 quickly."""
    if not (kernels.supports_int4_kernel(device) and kernels.computes_bfloat16(device)):
        return False
    values = torch.randint(0, 16, (2 * _PANEL, 64), generator=torch.Generator().manual_seed(0))
    packed = kernels.pack_int4(values.int())
    if packed.dtype != torch.uint8 or packed.numel() * 2 != values.numel():
        return False
    panels = packed.view(-1).view(2, 64, _HALF)
    found = torch.cat((panels & 15, panels >> 4), dim=-1)  # (panels, columns, 64)
    return torch.equal(found.long(), values.view(2, _PANEL, 64).transpose(1, 2))


def dense_product(rows: Tensor, packed: Tensor, table: Tensor) -> Tensor:
    """As `kernels.int4_product`: bfloat16 rows (tokens, columns) to (tokens, out).

    `out` must be a multiple of 64 and `knows_layout` true.
    """
    columns, out_features = rows.shape[1], table.shape[1]
    step = max(1, _SCRATCH_VALUES // (columns * _PANEL)) * _PANEL
    if out_features <= step:
        return rows @ unpack(packed, table, columns, 0, out_features)
    out = rows.new_empty(rows.shape[0], out_features)
    for start in range(0, out_features, step):
        stop = min(start + step, out_features)
        out[:, start:stop] = rows @ unpack(packed, table, columns, start, stop)
    return out


def look_up(packed: Tensor, table: Tensor, columns: int, rows: Tensor) -> Tensor:
    """float32 (some, columns): the weights of the rows with these numbers (some,).

    What `dense_product` asks for holds here too.
    """
    panels = packed.view(-1).view(-1, columns, _HALF)
    bytes_ = panels[rows // _PANEL, :, rows % _HALF]  # (some, columns)
    high = (rows % _PANEL >= _HALF)[:, None]
    return in_groups(torch.where(high, bytes_ >> 4, bytes_ & 15), table[:, rows])


def in_groups(values: Tensor, table: Tensor) -> Tensor:
    """float32 (rows, columns) of values 0 to 15 and their table (columns / 32, rows, 2)."""
    scale, zero = table.transpose(0, 1).float().unbind(-1)  # (rows, groups) each
    grouped = values.view(*scale.shape, GROUP).float() - 8
    weight: Tensor = grouped * scale[..., None] + zero[..., None]
    return weight.flatten(-2)


def unpack(packed: Tensor, table: Tensor, columns: int, start: int, stop: int) -> Tensor:
    """bfloat16 (columns, stop - start): weights of these rows, transposed, in the scratch."""
    panels, groups = (stop - start) // _PANEL, columns // GROUP
    values = panels * columns * _PANEL
    bytes_, first, second = _buffers(values)
    source = packed.view(-1)[start * columns // 2 : stop * columns // 2]
    source = source.view(panels, groups, GROUP, _HALF)
    small = bytes_[: values // 2].view(panels, groups, GROUP, _HALF)
    halves = first[:values].view(panels, groups, GROUP, 2, _HALF)
    # (groups, panels, 2, 32, 2) -> (2, 2, panels, groups, 1, 32): scale and zero by half
    both = table[:, start:stop].reshape(groups, panels, 2, _HALF, 2)
    both = both.permute(4, 2, 1, 0, 3).contiguous().unsqueeze(4)
    for half in (0, 1):
        if half:
            torch.bitwise_right_shift(source, 4, out=small)
        else:
            torch.bitwise_and(source, 15, out=small)
        target = halves[:, :, :, half]
        target.copy_(small.view(torch.int8).sub_(8))
        torch.addcmul(both[1, half], target, both[0, half], out=target)
    dense = second[:values].view(columns, panels, _PANEL)
    dense.copy_(first[:values].view(panels, columns, _PANEL).transpose(0, 1))
    return dense.view(columns, stop - start)


def _buffers(values: int) -> tuple[Tensor, Tensor, Tensor]:
    """This thread's scratch for so many weights; it grows to what the largest layer needs."""
    held: tuple[Tensor, Tensor, Tensor] | None = getattr(_scratch, "held", None)
    if held is None or held[1].numel() < values:
        held = (
            torch.empty(values // 2, dtype=torch.uint8),
            torch.empty(values, dtype=torch.bfloat16),
            torch.empty(values, dtype=torch.bfloat16),
        )
        _scratch.held = held
    return held
