"""4-bit weights in groups of 32: out of GGUF blocks as they are, or rounded from ordinary ones.

Every format here is `weight = scale * value + offset` with a value from 0 to 15 and one scale and
offset per 32 weights of a row. Q4_0 (`d * (q - 8)`), Q4_1 (`d * q + m`) and Q4_K (super-blocks of
8 groups: `d * sc * q - dmin * m`) are that exactly, so their blocks are taken over unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kataribe.files.ggml_blocks import BLOCK
from kataribe.files.ggml_groups import split_blocks
from kataribe.make.adapt.kernels import GROUP

INT4_KINDS = frozenset({"Q4_0", "Q4_1", "Q4_K"})
"""GGUF kinds whose blocks are taken over without being quantised again."""

_STEPS = 24
"""Ranges tried per group when ordinary weights are rounded."""


@dataclass(frozen=True, eq=False)
class GroupWeights:
    """A matrix in 4 bits.

    Attributes:
        values: uint8 (rows, columns), 0 to 15.
        scales: float32 (rows, columns / 32).
        offsets: float32 (rows, columns / 32).
    """

    values: Tensor
    scales: Tensor
    offsets: Tensor

    def table(self) -> Tensor:
        """bfloat16 (columns / 32, rows, 2) of scale and zero, where zero is what value 8 means.

        Rounding to bfloat16 moves a weight by at most 1/64 of a step of its group from the scale
        and 1/512 of the zero, which is small where a group is centred.
        """
        zeros = self.offsets + 8 * self.scales
        both = torch.stack((self.scales, zeros), dim=-1)  # (rows, columns / 32, 2)
        return both.transpose(0, 1).to(torch.bfloat16).contiguous()

    def dense(self) -> Tensor:
        """float32 (rows, columns), nothing rounded."""
        grouped = self.values.view(*self.scales.shape, GROUP).float()
        weight: Tensor = grouped * self.scales[..., None] + self.offsets[..., None]
        return weight.flatten(-2)


def join(parts: list[GroupWeights]) -> GroupWeights:
    """One matrix whose rows are those of the parts, in order."""
    return GroupWeights(
        torch.cat([part.values for part in parts]),
        torch.cat([part.scales for part in parts]),
        torch.cat([part.offsets for part in parts]),
    )


def from_blocks(raw: NDArray[np.uint8], kind: str) -> GroupWeights:
    """The weights of GGUF blocks, raw uint8 (rows, bytes per row), of one of `INT4_KINDS`."""
    rows = raw.shape[0]
    groups = split_blocks(raw.reshape(-1, BLOCK[kind][1]), kind)
    values, offsets = groups.values, groups.offsets
    if offsets is None:  # Q4_0: -8 to 7
        values, offsets = values + np.int8(8), -8 * groups.scales
    return GroupWeights(
        torch.from_numpy(np.ascontiguousarray(values).view(np.uint8).reshape(rows, -1)),
        torch.from_numpy(groups.scales.reshape(rows, -1)),
        torch.from_numpy(offsets.reshape(rows, -1)),
    )


def from_values(weight: Tensor) -> GroupWeights:
    """Ordinary weights (rows, columns) rounded to 4 bits with the least squared error found.

    Beginning with the range from smallest to largest, narrower ranges are tried for each group:
    cutting off one outlier often serves the 31 others better. The winner's scale and offset are
    then fitted to its values by least squares.
    """
    grouped = weight.float().reshape(weight.shape[0], -1, GROUP)  # (rows, groups, 32)
    low, high = grouped.amin(-1, keepdim=True), grouped.amax(-1, keepdim=True)
    best = torch.full_like(low, torch.inf)
    values = torch.zeros_like(grouped)
    scales, offsets = torch.zeros_like(low), low.clone()
    for step in range(_STEPS):
        share = 1 - 0.5 * step / _STEPS
        middle, width = (low + high) / 2, (high - low) * share
        tried = _round(grouped, middle - width / 2, width / 15)
        scale, offset = _fit(grouped, tried)
        error = (tried * scale + offset - grouped).square().sum(-1, keepdim=True)
        better = error < best
        best = torch.where(better, error, best)
        values = torch.where(better, tried, values)
        scales, offsets = torch.where(better, scale, scales), torch.where(better, offset, offsets)
    return GroupWeights(values.to(torch.uint8).flatten(-2), scales[..., 0], offsets[..., 0])


def _round(grouped: Tensor, low: Tensor, scale: Tensor) -> Tensor:
    """Values 0 to 15, still float32; all 0 where a group's weights are equal."""
    return ((grouped - low) / scale.clamp_min(1e-30)).round().clamp(0, 15)


def _fit(grouped: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and offset (rows, groups, 1) with the least squared error for these values."""
    mean_value, mean_weight = values.mean(-1, keepdim=True), grouped.mean(-1, keepdim=True)
    centred = values - mean_value
    spread = centred.square().sum(-1, keepdim=True)
    product = (centred * (grouped - mean_weight)).sum(-1, keepdim=True)
    scale = product / spread.clamp_min(1e-30)
    return scale, mean_weight - scale * mean_value
