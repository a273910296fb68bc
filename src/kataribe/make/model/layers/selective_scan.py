"""The selective scan of Mamba-1 (Gu and Dao 2023): slow and readable, and fast.

For each channel d and each of its N states n, with the decay A[d, n] < 0:

    h[t] = exp(step[t, d] A[d, n]) h[t - 1] + step[t, d] x[t, d] B[t, n]
    y[t, d] = sum over n of C[t, n] h[t, d, n]

All h are seq * channels * N numbers, 16 times what goes in. Written out for autograd they fill
the memory and are read and written many times; so `selective_scan` computes them in portions
that stay in the processor's cache, keeps none but the last of each portion, and computes them
anew on the way back. The way along a portion is one fused multiply-add over all channels a token:
at these sizes that is faster than a tree of log(seq) passes, which are bound by memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PORTION_VALUES = 1 << 19
"""Values of h computed at a time: 2 MiB of float32, with the decays beside them."""


def scan_reference(
    x: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor, fresh: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Token by token; the arguments are those of `selective_scan`."""
    outputs = []
    for at in range(x.shape[1]):
        decay = torch.exp(step[:, at, :, None] * a)  # (rows, channels, states)
        if fresh is not None:
            decay = decay * ~fresh[:, at, None, None]
        h = decay * h + (step[:, at] * x[:, at])[..., None] * b[:, at, None, :]
        outputs.append((h @ c[:, at, :, None])[..., 0])
    return torch.stack(outputs, dim=1), h


def selective_scan(
    x: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor, fresh: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The outputs y (rows, seq, channels), and the last h.

    Args:
        x: (rows, seq, channels), float32 like all others.
        step: (rows, seq, channels), positive.
        a: (channels, states), negative.
        b: (rows, seq, states).
        c: (rows, seq, states).
        h: (rows, channels, states), before the first token.
        fresh: (rows, seq), true where what came before is forgotten; None for nowhere.
    """
    if x.shape[1] == 1:
        return scan_reference(x, step, a, b, c, h, fresh)
    found: tuple[Tensor, Tensor] = _Scan.apply(  # type: ignore[no-untyped-call]
        x, step, a, b, c, h, fresh
    )
    return found


class _Scan(torch.autograd.Function):
    """Tensors inside have the time first, so that a token's values lie side by side."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        """The arguments are those of `selective_scan`."""
        x, step, a, b, c, h, fresh = inputs
        given = _Portions(x, step, a, b, c, fresh)
        y = torch.empty_like(given.x)
        starts = []
        for low, high in given.bounds:
            starts.append(h)
            _, states = given.walk(low, high, h)
            torch.matmul(states, given.c[low:high, ..., None], out=y[low:high, ..., None])
            h = states[-1].clone()  # the portion itself is not to stay in memory
        ctx.save_for_backward(x, step, a, b, c, fresh, *starts)
        return y.transpose(0, 1), h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, y_grad: Tensor, h_grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, step, a, b, c and h."""
        x, step, a, b, c, fresh, *starts = ctx.saved_tensors
        given = _Portions(x, step, a, b, c, fresh)
        y_grad = y_grad.transpose(0, 1).contiguous()
        grads = tuple(torch.empty_like(part) for part in (given.x, given.step, given.b, given.c))
        a_grad = torch.zeros_like(a)
        for (low, high), start in zip(reversed(given.bounds), reversed(starts), strict=True):
            decay, states = given.walk(low, high, start)
            parts = tuple(grad[low:high] for grad in grads)
            torch.matmul(y_grad[low:high, :, None], states, out=parts[3][:, :, None])
            flow = y_grad[low:high, ..., None] * given.c[low:high, :, None]  # to each h
            flow[-1] += h_grad
            steps = list(zip(flow.unbind(0), decay.unbind(0), strict=True))
            for at in range(len(steps) - 2, -1, -1):
                steps[at][0].addcmul_(steps[at + 1][1], steps[at + 1][0])
            h_grad = steps[0][0] * steps[0][1]
            given.collect(low, high, flow, parts)
            decay.mul_(flow)
            decay[1:].mul_(states[:-1])
            decay[0].mul_(start)  # now the gradient of step * a
            parts[1].add_((decay * a).sum(-1))
            a_grad += decay.mul_(given.step[low:high, ..., None]).sum((0, 1))
        gx, gs, gb, gc = (grad.transpose(0, 1) for grad in grads)
        return gx, gs, a_grad, gb, gc, h_grad, None


class _Portions:
    """The inputs of a scan with the time first, and how they are divided."""

    def __init__(
        self, x: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor, fresh: Tensor | None
    ) -> None:
        self.x, self.step, self.b, self.c = (
            part.transpose(0, 1).contiguous() for part in (x, step, b, c)
        )
        self.a = a
        self.forgets = None if fresh is None else fresh.T
        rows, seq, _ = x.shape
        length = max(1, PORTION_VALUES // max(1, rows * a.numel()))
        self.bounds = [(low, min(low + length, seq)) for low in range(0, seq, length)]

    def walk(self, low: int, high: int, h: Tensor) -> tuple[Tensor, Tensor]:
        """Decays and states of a portion, each (length, rows, channels, states)."""
        step = self.step[low:high]
        decay = (step[..., None] * self.a).exp_()
        if self.forgets is not None:
            decay.masked_fill_(self.forgets[low:high, :, None, None], 0.0)
        states = (step * self.x[low:high])[..., None] * self.b[low:high, :, None]
        for state, kept in zip(states.unbind(0), decay.unbind(0), strict=True):
            state.addcmul_(kept, h)
            h = state
        return decay, states

    def collect(self, low: int, high: int, flow: Tensor, grads: tuple[Tensor, ...]) -> None:
        """Writes the gradients of x, step (its share through x) and b."""
        x, step = self.x[low:high], self.step[low:high]
        inward = torch.matmul(flow, self.b[low:high, ..., None])[..., 0]
        torch.mul(inward, step, out=grads[0])
        torch.mul(inward, x, out=grads[1])
        torch.matmul((step * x)[:, :, None], flow, out=grads[2][:, :, None])
