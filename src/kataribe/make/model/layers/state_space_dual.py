"""The scan of Mamba-2 (state space duality; Dao and Gu 2024): slow and readable, and fast.

Its decay is one number for each head and token, so that in a chunk the scan is a masked product
of matrices, as in attention, and only one state for each chunk goes from chunk to chunk:

    h[t] = exp(step[t] a) h[t - 1] + step[t] x[t] B[t]^T      (head_dim, states)
    y[t] = h[t] C[t]                                          (head_dim,)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 64
"""Tokens whose products are one matrix."""


def dual_reference(
    x: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor, fresh: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Token by token; the arguments are those of `dual_scan`."""
    group = x.shape[2] // b.shape[2]
    outputs = []
    for at in range(x.shape[1]):
        decay = torch.exp(step[:, at] * a)  # (rows, heads)
        if fresh is not None:
            decay = decay * ~fresh[:, at, None]
        b_now = b[:, at].repeat_interleave(group, dim=1)  # (rows, heads, states)
        c_now = c[:, at].repeat_interleave(group, dim=1)
        inward = (step[:, at, :, None] * x[:, at])[..., None] * b_now[:, :, None]
        h = decay[..., None, None] * h + inward  # (rows, heads, head_dim, states)
        outputs.append((h @ c_now[..., None])[..., 0])
    return torch.stack(outputs, dim=1), h


def dual_scan(
    x: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor, fresh: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The outputs y (rows, seq, heads, head_dim), and the last h.

    Args:
        x: (rows, seq, heads, head_dim), float32 like all others.
        step: (rows, seq, heads), not negative.
        a: (heads,), negative.
        b: (rows, seq, groups, states); heads are a multiple of groups, and share theirs.
        c: (rows, seq, groups, states).
        h: (rows, heads, head_dim, states), before the first token.
        fresh: (rows, seq), true where what came before is forgotten; None for nowhere.
    """
    rows, seq, heads, head_dim = x.shape
    if seq == 1:
        return dual_reference(x, step, a, b, c, h, fresh)
    chunk = min(CHUNK, seq)
    group = heads // b.shape[2]
    xs = _chunked(x * step[..., None], chunk)  # (rows, chunks, heads, chunk, head_dim)
    b, c = (_chunked(part, chunk) for part in (b, c))  # (rows, chunks, groups, chunk, states)
    logs = _chunked((step * a)[..., None], chunk)[..., 0].cumsum(-1)  # (rows, chunks, heads, chunk)
    begun = None
    if fresh is not None:
        begun = _chunked(fresh[:, :, None, None].long(), chunk)[..., 0].cumsum(-1)
    scores = (c @ b.mT).repeat_interleave(group, dim=2) * _between(logs, begun)
    b, c = (part.repeat_interleave(group, dim=2) for part in (b, c))
    left = torch.exp(logs[..., -1:] - logs)  # what is left of each token at the chunk's end
    whole, reached = torch.exp(logs[..., -1]), torch.exp(logs)
    if begun is not None:
        left = left * (begun == begun[..., -1:])
        whole, reached = whole * (begun[..., -1] == 0), reached * (begun == 0)
    added = xs.mT @ (b * left[..., None])  # (rows, chunks, heads, head_dim, states)
    before = []
    for at in range(xs.shape[1]):
        before.append(h)
        h = whole[:, at, :, None, None] * h + added[:, at]
    y = scores @ xs + (c * reached[..., None]) @ torch.stack(before, dim=1).mT
    return y.transpose(2, 3).reshape(rows, -1, heads, head_dim)[:, :seq], h


def _chunked(part: Tensor, chunk: int) -> Tensor:
    """(rows, seq, heads, width) to (rows, chunks, heads, chunk, width).

    What is filled in is 0 with a step of 0, so that it neither adds nor decays.
    """
    missing = -part.shape[1] % chunk
    if missing:
        part = functional.pad(part, (0, 0, 0, 0, 0, missing))
    rows, seq = part.shape[:2]
    return part.reshape(rows, seq // chunk, chunk, *part.shape[2:]).transpose(2, 3)


def _between(logs: Tensor, begun: Tensor | None) -> Tensor:
    """(..., chunk, chunk): how much of the column's token is left at the row's."""
    size = logs.shape[-1]
    visible = torch.ones(size, size, dtype=torch.bool, device=logs.device).tril()
    if begun is not None:
        visible = visible & (begun[..., :, None] == begun[..., None, :])
    # Hidden before the exponential: there the sum is of the wrong sign and may be endless.
    sums = logs[..., :, None] - logs[..., None, :]
    return torch.exp(sums.masked_fill(~visible, -torch.inf))
