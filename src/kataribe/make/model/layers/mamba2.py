"""The Mamba-2 layer (Dao and Gu 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.make.model.configs.mixer_config import Mamba2Spec
from kataribe.make.model.layers.mamba import inverse_softplus, random_steps
from kataribe.make.model.layers.norms import activate
from kataribe.make.model.layers.past import Past
from kataribe.make.model.layers.recurrence import ShortConvolution, State, accepted
from kataribe.make.model.layers.state_space_dual import dual_scan


class Mamba2(nn.Module):
    """Projects, convolves the last few tokens, scans, gates, norms, projects back; a `Recurrence`.

    What is computed along the sequence is float32 in every model, and so are its parameters.
    """

    fixed = True

    def __init__(self, spec: Mamba2Spec, hidden_size: int, layer: int, eps: float) -> None:
        super().__init__()
        self.layer, self.spec = layer, spec
        inward = spec.width + spec.convolved + spec.heads
        self.input = nn.Linear(hidden_size, inward, bias=spec.bias)
        self.conv = ShortConvolution(spec.convolved, spec.kernel, bias=spec.conv_bias)
        self.dt_bias = nn.Parameter(inverse_softplus(random_steps(spec.heads)))
        self.A_log = nn.Parameter(torch.arange(1, spec.heads + 1, dtype=torch.float32).log())
        self.D = nn.Parameter(torch.ones(spec.heads))
        self.norm = GatedNorm(spec.width, spec.groups, eps)
        self.output = nn.Linear(spec.width, hidden_size, bias=spec.bias)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(..., hidden_size) to the same."""
        every = self.input(accepted(self.input, x, x.dtype))
        width = self.spec.width
        read = past.recur(self.layer, every[..., width:], self)
        normed = self.norm(read, every[..., :width])
        out: Tensor = self.output(accepted(self.output, normed, x.dtype))
        return out.to(x.dtype)

    def start(self, rows: int, like: Tensor) -> State:
        """The window (rows, convolved, kernel - 1), states (rows, heads, head_dim, states)."""
        spec = self.spec
        shape = (rows, spec.heads, spec.head_dim, spec.states)
        return self.conv.start(rows, like), torch.zeros(shape, device=like.device)

    def advance(self, x: Tensor, state: State, fresh: Tensor | None) -> tuple[Tensor, State]:
        """float32 (rows, seq, width) from (rows, seq, convolved + heads); see `Recurrence`."""
        spec = self.spec
        mixed, window = self.conv.advance(x[..., : spec.convolved], state[0], fresh)
        shared = spec.groups * spec.states
        mixed = activate(spec.activation, mixed)
        u, b, c = torch.split(mixed, [spec.width, shared, shared], dim=-1)
        leading = x.shape[:2]
        u = u.reshape(*leading, spec.heads, spec.head_dim)
        b, c = (part.reshape(*leading, spec.groups, spec.states) for part in (b, c))
        step = functional.softplus(x[..., spec.convolved :].float() + self.dt_bias)
        step = step.clamp(*spec.step_limits)
        y, states = dual_scan(u, step, -torch.exp(self.A_log), b, c, state[1], fresh)
        return (y + u * self.D[:, None]).flatten(-2), (window, states)


class GatedNorm(nn.Module):
    """x * silu(gate), then the root-mean-square norm over the channels of each group."""

    def __init__(self, width: int, groups: int, eps: float) -> None:
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """float32 (..., width) from the same twice."""
        gated = x * functional.silu(gate.float())
        gated = gated.reshape(*x.shape[:-1], self.groups, x.shape[-1] // self.groups)
        normed = functional.rms_norm(gated, gated.shape[-1:], eps=self.eps)
        return normed.flatten(-2) * self.weight
