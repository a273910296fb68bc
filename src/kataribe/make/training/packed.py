"""Attention over packed rows: tokens see what stands before them in their own document."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kataribe.make.model.attention import CausalAttend, attend_dense
from kataribe.make.model.config import AttentionSpec, ModelConfig
from kataribe.make.model.recurrence import Recurrence
from kataribe.make.training.block_attention import attend_by_blocks

QUERIES = 256
"""Queries that are done at once where blocks are compiled: of a row of 1,024 the first quarter
looks at 256 keys and not at 1,024. Forward and back over 4,096 tokens with 6 heads of 64 in
bfloat16 took 47 ms so on two cores, and 134 ms by PyTorch's own attention (rows of 512: 44 and
68)."""


class PackedAttend:
    """A `Past` (see `make.model.attention`) for the rows of one batch.

    Made anew for every batch: q, k, v are (batch, seq, heads, head_dim).

    Args:
        config: The model's.
        documents: (batch, seq) int, the document of each token within its row, -1 for padding.
        compiled: Plain operations, which a compiler fuses.
        packed: Whether a row has several documents; None looks, for which a device is waited for.
    """

    def __init__(
        self,
        config: ModelConfig,
        documents: Tensor,
        *,
        compiled: bool = False,
        packed: bool | None = None,
    ) -> None:
        self._specs = [config.attention(layer) for layer in range(config.layers)]
        # Where layers are alike none is asked for its number: a compiler would make one of each.
        self._alike = self._specs[0] if len(set(self._specs)) == 1 else None
        self._compiled = compiled
        self._in_blocks = not compiled and documents.device.type == "cpu"
        # It looks where documents begin, for which a device is waited for.
        self._whole = CausalAttend(config, documents=documents) if config.is_recurrent else None
        if packed is None:
            packed = bool((documents != documents[:, :1]).any())
        self._visible = {
            spec.window: _visible(documents, spec.window)
            for spec in self._specs
            if compiled or spec.window is not None or packed
        }
        self._unseen: dict[int | None, Tensor] = {}
        if self._in_blocks:
            self._unseen = {window: ~visible for window, visible in self._visible.items()}

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        spec = self._alike or self._specs[layer]
        visible = self._visible.get(spec.window)
        if self._compiled and visible is not None:
            return attend_in_blocks(spec, q, k, v, visible)
        if self._in_blocks and spec.softcap is None:
            q, k, v = by_head(q, k, v)
            unseen = self._unseen.get(spec.window)
            return attend_by_blocks(q, k, v, spec.scale, unseen).transpose(1, 2)
        return attend_dense(spec, q, k, v, visible)

    def recur(self, layer: int, x: Tensor, recurrence: Recurrence) -> Tensor:
        """See `Past`."""
        assert self._whole is not None  # only the layers of recurrent models ask
        return self._whole.recur(layer, x, recurrence)


def _visible(documents: Tensor, window: int | None) -> Tensor:
    """(batch, 1, seq, seq) bool: which token (last but one) sees which."""
    length = documents.shape[1]
    place = torch.arange(length, device=documents.device)
    visible = place[None, :] <= place[:, None]
    if window is not None:
        visible = visible & (place[None, :] > place[:, None] - window)
    same = documents[:, :, None] == documents[:, None, :]
    return (same & visible)[:, None]


def attend_in_blocks(
    spec: AttentionSpec, q: Tensor, k: Tensor, v: Tensor, visible: Tensor
) -> Tensor:
    """`attend_dense` in plain operations, `QUERIES` at a time; `visible` must be causal."""
    q, k, v = by_head(q, k, v)
    parts = []
    for start in range(0, q.shape[2], QUERIES):
        end = min(start + QUERIES, q.shape[2])
        scores = (q[:, :, start:end] @ k[:, :, :end].transpose(2, 3)).float() * spec.scale
        if spec.softcap is not None:
            scores = spec.softcap * torch.tanh(scores / spec.softcap)
        scores = scores.masked_fill(~visible[:, :, start:end, :end], -1e30)
        weights = functional.softmax(scores, dim=-1).to(v.dtype)
        parts.append(weights @ v[:, :, :end])
    return torch.cat(parts, dim=2).transpose(1, 2)


def by_head(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(batch, seq, heads, dim) as (batch, heads, seq, dim), keys and values for each query head."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    group = q.shape[1] // k.shape[1]
    if group > 1:
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    return q, k, v
