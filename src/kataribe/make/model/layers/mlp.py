"""The MLP of a block, gated or plain (Shazeer 2020)."""

from __future__ import annotations

from torch import Tensor, nn

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.layers.norms import activate, norm
from kataribe.make.model.layers.ternary import linear


class GatedMLP(nn.Module):
    """down(activation(gate(x)) * up(x)); `width` is that of the model where none is given."""

    def __init__(self, config: ModelConfig, width: int = 0) -> None:
        super().__init__()
        width = width or config.intermediate_size
        self.activation = config.activation
        self.gate_up = GateUp(config, width)
        self.inner_norm = norm(config, width) if config.inner_norms else None
        self.down = linear(config, width, config.hidden_size, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden_size) to the same."""
        gate, up = self.gate_up(x)  # (..., width) twice
        inner = activate(self.activation, gate) * up
        out: Tensor = self.down(inner if self.inner_norm is None else self.inner_norm(inner))
        return out


class GateUp(nn.Module):
    """The two projections of a gated MLP; `adapt` may put one fused matrix in its place."""

    def __init__(self, config: ModelConfig, width: int) -> None:
        super().__init__()
        self.gate = linear(config, config.hidden_size, width, bias=config.mlp_bias)
        self.up = linear(config, config.hidden_size, width, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., hidden_size) to (..., width) twice."""
        return self.gate(x), self.up(x)


class PlainMLP(nn.Module):
    """down(activation(up(x)))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        width = config.intermediate_size
        self.up = linear(config, config.hidden_size, width, bias=config.mlp_bias)
        self.inner_norm = norm(config, width) if config.inner_norms else None
        self.down = linear(config, width, config.hidden_size, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden_size) to the same."""
        inner = activate(self.activation, self.up(x))  # (..., intermediate_size)
        out: Tensor = self.down(inner if self.inner_norm is None else self.inner_norm(inner))
        return out
