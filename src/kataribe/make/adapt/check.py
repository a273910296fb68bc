"""Every packed layer is compared with the values that it was made of, before it is used."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from kataribe.base.errors import FormatError
from kataribe.make.adapt.sources import Matrix

_PROBES = 4
_ROWS = 24
LIMITS = {"repacked": 0.015, "int8": 0.03, "bfloat16": 0.01, "int4": 0.25, "ternary": 0.02}
"""Largest relative error of a layer's result by form: bfloat16 arithmetic and scales alone for
`repacked` and `bfloat16`, the rounding of weights besides for `int8` and `int4`, that of the input
to 8 bits for `ternary`."""


@torch.inference_mode()
def check_packed(layer: nn.Module, parts: list[Matrix], form: str, name: str) -> None:
    """Raises `FormatError` if the layer's results are not those of its parts within `LIMITS`.

    Random vectors go through the layer and through some rows of every part, evenly spread.
    """
    columns = parts[0].columns
    generator = torch.Generator().manual_seed(columns)
    x = torch.randn(_PROBES, columns, generator=generator).to(torch.bfloat16)
    device = next(layer.buffers()).device
    found = layer(x.to(device)).float().cpu()
    start = 0
    for part in parts:
        rows = np.unique(np.linspace(0, part.rows - 1, _ROWS).astype(np.int64))
        expected = x.float() @ part.some(rows).T
        if part.bias is not None:
            expected = expected + part.bias[rows].float()
        _compare(found[:, start + rows], expected, form, name)
        start += part.rows


@torch.inference_mode()
def check_embedding(embedding: nn.Module, matrix: Matrix, form: str, name: str) -> None:
    """The same of rows that are looked up."""
    rows = np.unique(np.linspace(0, matrix.rows - 1, _ROWS).astype(np.int64))
    device = next(embedding.buffers()).device
    found = embedding(torch.from_numpy(rows).to(device)).float().cpu()
    _compare(found, matrix.some(rows).float(), form, name)


def _compare(found: Tensor, expected: Tensor, form: str, name: str) -> None:
    error = (found - expected).norm()
    share = float(error / expected.norm().clamp_min(1e-30))
    if not share <= LIMITS[form] and float(error) > 1e-6:
        raise FormatError(
            f"Packing {name} as {form} changes its results by {share:.2%}, more than "
            f"{LIMITS[form]:.1%}. Load the model in a higher precision."
        )
