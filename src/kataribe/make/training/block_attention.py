"""Attention a block of queries at a time, with a way back of its own: for processors.

It stands here twice, since what computes fast at once and what a compiler makes fast differ: in
place and with bool masks (`attend_by_blocks`), and in plain sums (`attend_by_fused_blocks`).

PyTorch's own kernel is made for answering; on the way back it computes more than it must and, where
documents are packed, for all keys. Here a block of queries looks at the keys up to its end, its
weights are kept in the type of the products, and all else is products that the processor is good
at. The gradient of softmax is that of FlashAttention's way back (Dao et al. 2022, algorithm 4),
with kept weights in place of computing them anew.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 128
"""Queries of a block. Forward and back over 2,048 tokens with 5 heads of 64 in bfloat16, on one
core: rows of 256 took 17 ms, and 33 ms by PyTorch's kernel (rows of 512: 20 and 52; of 1,024 with
6 heads: 41 and 77). Compiled, on two cores: 8,192 tokens in rows of 512 with 5 heads took 47 ms
by 128 queries, 60 by 64, 70 by 256, and 102 by PyTorch's kernel, in plain operations; 4,096 tokens
18 ms in the form below."""
UNSEEN = -1e30
"""Score of what is not seen: after softmax nothing is left of it."""


def attend_by_blocks(
    q: Tensor, k: Tensor, v: Tensor, scale: float, unseen: Tensor | None
) -> Tensor:
    """Causal softmax attention over (batch, heads, seq, head_dim).

    Args:
        q: Queries.
        k: Keys, with as many heads.
        v: Values, with as many heads.
        scale: Of the scores.
        unseen: (batch, 1, seq, seq) bool, true where a query (last but one) does not see a key;
            nothing after a query may be seen. None where all before it is.

    Returns:
        (batch, heads, seq, head_dim).
    """
    out: Tensor = _Blocks.apply(q, k, v, scale, unseen)  # type: ignore[no-untyped-call]
    return out


def attend_by_fused_blocks(q: Tensor, k: Tensor, v: Tensor, scale: float, unseen: Tensor) -> Tensor:
    """As `attend_by_blocks`, in the operations that a compiler fuses best.

    Args:
        q: Queries (batch, heads, seq, head_dim).
        k: Keys, with as many heads.
        v: Values, with as many heads.
        scale: Of the scores.
        unseen: (batch or 1, 1, seq, seq), what is added to scores: 0 or `UNSEEN`, which must be
            there for all keys after a query. In bfloat16: a compiler makes vectors of additions
            and of no choice by a bool (2.8 ms against 5.7 and more, 4 rows of 512, 9 heads).

    Returns:
        (batch, heads, seq, head_dim).
    """
    out: Tensor = _FusedBlocks.apply(q, k, v, scale, unseen)  # type: ignore[no-untyped-call]
    return out


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, unseen: Tensor | None
    ) -> Tensor:
        shape, length = q.shape, q.shape[2]
        q, k, v = (each.flatten(0, 1).contiguous() for each in (q, k, v))
        wide = torch.promote_types(q.dtype, torch.float32)
        after = torch.ones(BLOCK, BLOCK, dtype=torch.bool, device=q.device).triu(1)
        out, kept = torch.empty_like(q), []
        for start in range(0, length, BLOCK):
            end = min(start + BLOCK, length)
            scores = torch.bmm(q[:, start:end], k[:, :end].transpose(1, 2)).to(wide).mul_(scale)
            if unseen is None:
                scores[:, :, start:].masked_fill_(after[: end - start, : end - start], UNSEEN)
            else:
                scores.view(*shape[:2], end - start, end).masked_fill_(
                    unseen[:, :, start:end, :end], UNSEEN
                )
            weights = torch.softmax(scores, -1).to(q.dtype)
            out[:, start:end] = torch.bmm(weights, v[:, :end])
            kept.append(weights)
        ctx.save_for_backward(q, k, v, out, *kept)
        ctx.scale = scale
        return out.view(shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, out, *kept = ctx.saved_tensors
        shape = above.shape
        above = above.flatten(0, 1).contiguous()
        wide = torch.promote_types(q.dtype, torch.float32)
        to_q = torch.empty_like(q)
        to_k, to_v = torch.zeros_like(k, dtype=wide), torch.zeros_like(v, dtype=wide)
        mean = (above.to(wide) * out.to(wide)).sum(-1, keepdim=True)  # of what weights are told
        for block, weights in enumerate(kept):
            start, end = block * BLOCK, block * BLOCK + weights.shape[1]
            told = above[:, start:end]
            to_v[:, :end] += torch.bmm(weights.transpose(1, 2), told)
            to_scores = torch.bmm(told, v[:, :end].transpose(1, 2)).to(wide)
            to_scores = to_scores.sub_(mean[:, start:end]).mul_(weights).mul_(ctx.scale)
            to_scores = to_scores.to(q.dtype)
            to_q[:, start:end] = torch.bmm(to_scores, k[:, :end])
            to_k[:, :end] += torch.bmm(to_scores.transpose(1, 2), q[:, start:end])
        to_k, to_v = to_k.to(k.dtype), to_v.to(v.dtype)
        return to_q.view(shape), to_k.view(shape), to_v.view(shape), None, None


class _FusedBlocks(torch.autograd.Function):
    """Weights are kept undivided by their sums; what is smaller is divided by them instead."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, unseen: Tensor) -> Tensor:
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        wide = torch.promote_types(q.dtype, torch.float32)
        outs, sums, kept = [], [], []
        for start in range(0, q.shape[2], BLOCK):
            end = min(start + BLOCK, q.shape[2])
            scores = (q[:, :, start:end] @ k[:, :, :end].transpose(2, 3)).to(wide) * scale
            scores = scores + unseen[:, :, start:end, :end]
            weights = torch.exp(scores - scores.amax(-1, keepdim=True))
            total = weights.sum(-1, keepdim=True)
            kept.append(weights.to(q.dtype))
            sums.append(total)
            outs.append(((kept[-1] @ v[:, :, :end]).to(wide) / total).to(q.dtype))
        out = torch.cat(outs, 2)
        ctx.save_for_backward(q, k, v, out, torch.cat(sums, 2), *kept)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, out, sums, *kept = ctx.saved_tensors
        wide = sums.dtype
        mean = (above.to(wide) * out.to(wide)).sum(-1, keepdim=True)  # of what weights are told
        shares, factor = (above.to(wide) / sums).to(q.dtype), ctx.scale / sums
        to_q = torch.empty_like(q)
        to_k, to_v = torch.zeros_like(k, dtype=wide), torch.zeros_like(v, dtype=wide)
        for block, weights in enumerate(kept):
            start, end = block * BLOCK, block * BLOCK + weights.shape[2]
            part = slice(start, end)
            to_v[:, :, :end] += weights.transpose(2, 3) @ shares[:, :, part]
            told = (above[:, :, part] @ v[:, :, :end].transpose(2, 3)).to(wide)
            to_scores = ((told - mean[:, :, part]) * factor[:, :, part] * weights).to(q.dtype)
            to_q[:, :, part] = to_scores @ k[:, :, :end]
            to_k[:, :, :end] += to_scores.transpose(2, 3) @ q[:, :, part]
        return to_q, to_k.to(k.dtype), to_v.to(v.dtype), None, None
