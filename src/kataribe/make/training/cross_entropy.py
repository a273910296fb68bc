"""The head and its loss in one, a few rows at a time.

The logits of a batch are the largest thing that a small model computes: 8,192 tokens over 16,384
words are 512 MiB in float32, and as much again on the way back. Here only one chunk of them exists
at a time, and its gradient is worked out at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

IGNORED = -100
CHUNK_VALUES = 1 << 20
"""Logits that exist at a time: 4 MiB of float32, which stay in the processor's cache. Forward and
back over 8,192 tokens and as many words took 0.73 s so on two busy cores, 1.0 s with 8 MiB, 2.3 s
with 64 MiB, and 3.6 s with PyTorch's own loss over all of them at once."""
FUSED_VALUES = 1 << 22
"""The same where a compiler makes one kernel of the loss: nothing is in float32 then but in
registers. Products and losses of 2,048 tokens over 16,384 words: 67 ms so, 76 by `1 << 21`, and
101 as it is computed otherwise."""
BLOCK_VALUES = 1 << 25
"""Gradients of logits that are kept, in the type of the products, for one product with the hidden
vectors: 64 MiB in bfloat16."""

ROUND = 256
"""Products on processors are of multiples of so many places, the rest being zeros: oneDNN prepares
every new shape and keeps a thousand of them. Conversations, of which each batch teaches another
number of places, grew from 0.6 to 1.7 GB in 262 steps without it."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    softcap: float | None = None,
    *,
    all_taught: bool = False,
    compiled: bool = False,
) -> Tensor:
    """Sum over all taught places of -log softmax(hidden @ weight.T)[target], a float32 scalar.

    Args:
        hidden: (tokens, hidden_size), float32 or bfloat16; products are computed in its type.
        weight: (vocab_size, hidden_size), of any type.
        targets: int64 (tokens,); -100 teaches nothing and costs nothing.
        softcap: Logits become softcap * tanh(logits / softcap).
        all_taught: No target is -100: nobody need look.
        compiled: One kernel for the losses and gradients of a chunk (on processors).
    """
    if not all_taught:
        taught = (targets != IGNORED).nonzero()[:, 0]
        if len(taught) < len(targets):
            hidden, targets = hidden.index_select(0, taught), targets.index_select(0, taught)
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, softcap, compiled)  # type: ignore[no-untyped-call]
    return loss


class _LinearCrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        softcap: float | None,
        compiled: bool,
    ) -> Tensor:
        matrix, count = weight.to(hidden.dtype), len(hidden)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        learns = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        on_processor = hidden.device.type == "cpu"
        fuses = compiled and on_processor and softcap is None and learns
        # Cards have no cache to fit into, and want few large products.
        chunk = (FUSED_VALUES if fuses else CHUNK_VALUES) if on_processor else BLOCK_VALUES
        step = max(1, chunk // len(matrix))
        if on_processor and count % ROUND:
            hidden = functional.pad(hidden, (0, 0, 0, -count % ROUND))
        if not learns:
            for part in _parts(len(hidden), step):
                logits = (hidden[part] @ matrix.T)[: len(targets[part])]
                total += _losses(logits, targets[part], softcap, None)
            return total
        d_hidden = torch.empty_like(hidden)
        d_weight = None
        rows = max(1, min(len(hidden), BLOCK_VALUES // len(matrix)))
        gradients = torch.empty(rows, len(matrix), dtype=hidden.dtype, device=hidden.device)
        for block in _parts(len(hidden), rows):
            inside, wanted, held = hidden[block], targets[block], gradients[: len(hidden[block])]
            held[len(wanted) :].zero_()
            for part in _parts(len(inside), step):
                real = len(wanted[part])
                logits, gradient = (inside[part] @ matrix.T)[:real], held[part][:real]
                if fuses and real == step:  # of one shape: it is compiled once
                    total += _compiled_losses()(logits, wanted[part], gradient)
                else:
                    total += _losses(logits, wanted[part], softcap, gradient)
            torch.mm(held, matrix, out=d_hidden[block])
            product = held.T @ inside
            d_weight = product if d_weight is None else d_weight.to(torch.float32).add_(product)
        d_weight = torch.zeros_like(weight) if d_weight is None else d_weight
        ctx.save_for_backward(d_hidden[:count], d_weight)
        ctx.kind = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        d_hidden, d_weight = ctx.saved_tensors
        scale = above[0]
        to_weight = d_weight.to(torch.float32) * scale
        return d_hidden * scale.to(d_hidden.dtype), to_weight.to(ctx.kind), None, None, None


def _parts(count: int, step: int) -> list[slice]:
    return [slice(start, start + step) for start in range(0, count, step)]


def _losses(
    logits: Tensor, targets: Tensor, softcap: float | None, gradient: Tensor | None
) -> Tensor:
    """The sum of the losses of a few rows; writes the gradient of their logits, where wanted."""
    slope = None
    if softcap is not None:
        logits = torch.tanh(logits.float() / softcap)
        slope = 1 - logits.square()
        logits = logits * softcap
    found = torch.log_softmax(logits, dim=-1, dtype=torch.float32)  # (rows, vocab_size)
    loss = -found.gather(1, targets[:, None]).sum()
    if gradient is not None:
        found.exp_().scatter_add_(1, targets[:, None], found.new_full((len(found), 1), -1.0))
        if slope is not None:
            found *= slope
        gradient.copy_(found)
    return loss


def _plain_losses(logits: Tensor, targets: Tensor, gradient: Tensor) -> Tensor:
    """As `_losses`, in the operations that a compiler makes one kernel of."""
    wide = logits.float()
    most = wide.amax(-1, keepdim=True)
    powers = torch.exp(wide - most)  # (rows, vocab_size)
    sums = powers.sum(-1, keepdim=True)
    losses = most + torch.log(sums) - wide.gather(1, targets[:, None])  # (rows, 1)
    gradient.copy_(powers / sums)
    gradient.scatter_(1, targets[:, None], torch.expm1(-losses).to(gradient.dtype))
    return losses.sum()


@functools.cache
def _compiled_losses() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """`_plain_losses` compiled; not before it is wanted, for the compiler is a large import."""
    return torch.compile(_plain_losses, dynamic=False)
