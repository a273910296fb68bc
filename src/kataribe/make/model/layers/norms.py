"""Small layers that all kinds of models are made of: norms and nonlinearities."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.make.model.configs.config import Activation, ModelConfig


class RMSNorm(nn.Module):
    """x / root mean square(x) * weight, in float32; its weight stays float32 in every model.

    The weight is the factor itself: where files hold factor - 1 (Gemma), loading adds the 1.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same, in x's type."""
        return functional.rms_norm(x.float(), self.weight.shape, self.weight, self.eps).to(x.dtype)


class LayerNorm(nn.Module):
    """(x - mean(x)) / deviation(x) * weight + bias, in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same, in x's type."""
        out = functional.layer_norm(x.float(), self.weight.shape, self.weight, self.bias, self.eps)
        return out.to(x.dtype)


def norm(config: ModelConfig, width: int) -> nn.Module:
    """The model's kind of norm over `width` values."""
    return (RMSNorm if config.norm == "rms" else LayerNorm)(width, config.norm_eps)


def activate(activation: Activation, x: Tensor) -> Tensor:
    """The MLP's nonlinearity."""
    match activation:
        case "silu":
            return functional.silu(x)
        case "gelu":
            return functional.gelu(x)
        case "gelu_tanh":  # Hendrycks and Gimpel 2016
            return functional.gelu(x, approximate="tanh")
        case "relu":
            return functional.relu(x)
        case "relu2":  # So et al. 2021
            return functional.relu(x).square()
