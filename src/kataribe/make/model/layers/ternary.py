"""Ternary linear layers (Ma et al. 2024, "The Era of 1-bit LLMs", BitNet b1.58).

A matrix is rounded to -1, 0 and 1 times the mean of its absolute values, and each token's input
to 8 bits by its largest value. Both roundings let gradients through as if they were not there
(the straight-through estimator of Bengio et al. 2013), so the ordinary weights behind them learn.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.make.model.configs.config import ModelConfig, TernaryWeights

_LEAST = 1e-5
"""Smallest mean or largest value that is divided by, as `transformers` has it."""


def linear(config: ModelConfig, columns: int, rows: int, *, bias: bool) -> nn.Linear:
    """A matrix of a block, (rows, columns): an ordinary one, or ternary where the model is."""
    if config.ternary is None:
        return nn.Linear(columns, rows, bias=bias)
    return TernaryLinear(columns, rows, bias=bias, weights=config.ternary)


class TernaryLinear(nn.Linear):
    """Multiplies rounded input by a ternary matrix.

    `weights` is `rounded` where the matrix is made ternary at each use, and `given` where it is
    so already, whatever its scale.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool, weights: TernaryWeights
    ) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features), in x's type."""
        weight = self.weight if self.weights == "given" else round_weights(self.weight)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.linear(round_input(x), weight.to(x.dtype), bias)


def ternary_values(weight: Tensor) -> tuple[Tensor, Tensor]:
    """-1, 0 and 1 in float32, and the scale () that they are multiplied with."""
    values = weight.float()
    scale = values.abs().mean().clamp(min=_LEAST)
    return (values / scale).round().clamp(-1, 1), scale


def input_levels(x: Tensor) -> tuple[Tensor, Tensor]:
    """-128 to 127 in float32, and the scale (..., 1) by which they are divided."""
    values = x.float()
    scale = 127 / values.abs().amax(dim=-1, keepdim=True).clamp(min=_LEAST)
    return (values * scale).round().clamp(-128, 127), scale


class _RoundWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:  # noqa: ARG004
        values, scale = ternary_values(weight)
        return (values * scale).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004
        return grads[0]


class _RoundInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        levels, scale = input_levels(x)
        return (levels / scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004
        return grads[0]


def round_weights(weight: Tensor) -> Tensor:
    """The matrix with ternary values times their scale; its gradient passes unchanged."""
    out: Tensor = _RoundWeights.apply(weight)  # type: ignore[no-untyped-call]
    return out


def round_input(x: Tensor) -> Tensor:
    """Each token (..., width) in 255 levels of its largest value; its gradient passes unchanged."""
    out: Tensor = _RoundInput.apply(x)  # type: ignore[no-untyped-call]
    return out
