"""Which fast products this machine has: each is tried once on a small example and compared."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

GROUP = 32
"""Weights that share a scale and a zero in every 4-bit format here."""

INT4_ROWS = 16
"""Torch packs 4-bit matrices of a multiple of so many rows."""

INT8_COLUMNS = 16
"""Torch multiplies 8-bit matrices of a multiple of so many columns; with 40 of them it gave wrong
results and read beyond the matrix."""


@lru_cache(maxsize=8)
def supports_int4_kernel(device: str) -> bool:
    """`_weight_int4pack_mm_for_cpu` is here and right."""
    if torch.device(device).type != "cpu":
        return False
    weight = (torch.arange(INT4_ROWS * 64, dtype=torch.int32) % 16).view(INT4_ROWS, 64)
    table = torch.ones(2, INT4_ROWS, 2, dtype=torch.bfloat16)
    x = torch.linspace(-1, 1, 64).to(torch.bfloat16)[None]
    try:
        found = int4_product(x, pack_int4(weight), table)
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(found.float(), x.float() @ (weight.float() - 7).T, atol=0.5)


@lru_cache(maxsize=8)
def supports_int8_kernel(device: str) -> bool:
    """`_weight_int8pack_mm` is here and right for bfloat16 input."""
    if torch.device(device).type != "cpu":
        return False
    weight = (torch.arange(16 * 64) % 255 - 127).view(16, 64).to(torch.int8)
    scale = torch.ones(16, dtype=torch.bfloat16)
    x = torch.linspace(-1, 1, 64).to(torch.bfloat16)[None]
    try:
        found = int8_product(x, weight, scale)
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(found.float(), x.float() @ weight.float().T, rtol=0.02, atol=8)


@lru_cache(maxsize=8)
def supports_prepacked_bfloat16(device: str) -> bool:
    """A bfloat16 matrix can be laid out once by oneDNN, and there are instructions for it."""
    if torch.device(device).type != "cpu" or not computes_bfloat16(device):
        return False
    weight = torch.linspace(-1, 1, 16 * 64).view(16, 64).to(torch.bfloat16)
    try:
        found = prepacked_product(weight[:2], prepack_bfloat16(weight), None)
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(found.float(), weight[:2].float() @ weight.float().T, rtol=0.02, atol=0.1)


@lru_cache(maxsize=8)
def computes_bfloat16(device: str) -> bool:
    """Products of bfloat16 are at least as fast as those of float32."""
    kind = torch.device(device).type
    if kind == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return kind != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def pack_int4(values: Tensor) -> Tensor:
    """The kernel's own layout of int32 (rows, columns) values from 0 to 15."""
    packed: Tensor = torch.ops.aten._convert_weight_to_int4pack_for_cpu(values, 1)
    return packed


def int4_product(x: Tensor, packed: Tensor, table: Tensor) -> Tensor:
    """bfloat16 x (tokens, columns) times the matrix: (tokens, rows).

    `table` is bfloat16 (columns / 32, rows, 2): scale and zero; a weight is
    (value - 8) * scale + zero.
    """
    out: Tensor = torch._weight_int4pack_mm_for_cpu(x, packed, GROUP, table)
    return out


def int8_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """bfloat16 x (tokens, columns) times int8 (rows, columns), each row times its scale."""
    out: Tensor = torch._weight_int8pack_mm(x, weight, scale)
    return out


def prepack_bfloat16(weight: Tensor) -> Tensor:
    """The layout of a bfloat16 matrix (rows, columns) that `prepacked_product` reads."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return packed


def prepacked_product(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """bfloat16 x (tokens, columns) times a prepacked matrix, plus bias."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return out
