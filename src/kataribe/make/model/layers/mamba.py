"""The Mamba-1 layer (Gu and Dao 2023), with the norms that Jamba adds where they are wanted."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.make.model.configs.mixer_config import MambaSpec
from kataribe.make.model.layers.norms import RMSNorm, activate
from kataribe.make.model.layers.past import Past
from kataribe.make.model.layers.recurrence import Float32Linear, ShortConvolution, State, accepted
from kataribe.make.model.layers.selective_scan import selective_scan

STEP_RANGE = (1e-3, 0.1)
"""Between these the step sizes of a new model lie, evenly by their logarithms."""


class Mamba(nn.Module):
    """Projects, convolves the last few tokens, scans, gates, projects back; a `Recurrence`.

    What is computed along the sequence is float32 in every model, and so are its parameters.
    """

    fixed = True

    def __init__(self, spec: MambaSpec, hidden_size: int, layer: int, eps: float) -> None:
        super().__init__()
        self.layer, self.spec = layer, spec
        self.input = nn.Linear(hidden_size, 2 * spec.width, bias=spec.bias)
        self.conv = ShortConvolution(spec.width, spec.kernel, bias=spec.conv_bias)
        self.select = nn.Linear(spec.width, spec.step_rank + 2 * spec.states, bias=False)
        self.step = Float32Linear(spec.step_rank, spec.width)
        self.step_norm = RMSNorm(spec.step_rank, eps) if spec.norms else None
        self.b_norm = RMSNorm(spec.states, eps) if spec.norms else None
        self.c_norm = RMSNorm(spec.states, eps) if spec.norms else None
        rates = torch.arange(1, spec.states + 1, dtype=torch.float32)
        self.A_log = nn.Parameter(rates.log().repeat(spec.width, 1))
        self.D = nn.Parameter(torch.ones(spec.width))
        self.output = nn.Linear(spec.width, hidden_size, bias=spec.bias)
        nn.init.uniform_(self.step.weight, -(spec.step_rank**-0.5), spec.step_rank**-0.5)
        with torch.no_grad():
            assert self.step.bias is not None
            self.step.bias.copy_(inverse_softplus(random_steps(spec.width)))

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(..., hidden_size) to the same."""
        both = self.input(accepted(self.input, x, x.dtype))
        inward, gate = both.chunk(2, dim=-1)  # (..., width) twice
        read = past.recur(self.layer, inward, self)
        gated = read * functional.silu(gate.float())
        out: Tensor = self.output(accepted(self.output, gated, x.dtype))
        return out.to(x.dtype)

    def start(self, rows: int, like: Tensor) -> State:
        """The convolution's window (rows, width, kernel - 1) and states (rows, width, states)."""
        shape = (rows, self.spec.width, self.spec.states)
        return self.conv.start(rows, like), torch.zeros(shape, device=like.device)

    def advance(self, x: Tensor, state: State, fresh: Tensor | None) -> tuple[Tensor, State]:
        """float32 (rows, seq, width) from the same; see `Recurrence`."""
        spec = self.spec
        convolved, window = self.conv.advance(x, state[0], fresh)
        u = activate(spec.activation, convolved)
        chosen = self.select(accepted(self.select, u, x.dtype)).float()
        step, b, c = chosen.split([spec.step_rank, spec.states, spec.states], dim=-1)
        if self.step_norm is not None and self.b_norm is not None and self.c_norm is not None:
            step, b, c = self.step_norm(step), self.b_norm(b), self.c_norm(c)
        step = functional.softplus(self.step(step))  # (rows, seq, width)
        y, states = selective_scan(u, step, -torch.exp(self.A_log), b, c, state[1], fresh)
        return y + u * self.D, (window, states)


def random_steps(count: int) -> Tensor:
    """(count,) step sizes of a new model."""
    low, high = (math.log(bound) for bound in STEP_RANGE)
    return torch.exp(torch.rand(count) * (high - low) + low)


def inverse_softplus(steps: Tensor) -> Tensor:
    """What softplus turns into these."""
    return steps + torch.log(-torch.expm1(-steps))
