"""Attention over packed rows: tokens see what stands before them in their own document."""

from __future__ import annotations

import torch
from torch import Tensor

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.layers.attention import CausalAttend, attend_dense
from kataribe.make.model.layers.recurrence import Recurrence
from kataribe.make.training.block_attention import (
    UNSEEN,
    attend_by_blocks,
    attend_by_fused_blocks,
)


class PackedAttend:
    """A `Past` (see `make.model.layers.attention`) for the rows of one batch.

    Made anew for every batch: q, k, v are (batch, seq, heads, head_dim).

    Args:
        config: The model's.
        documents: (batch, seq) int, the document of each token within its row, -1 for padding.
        compiled: Attention as a compiler fuses it best (on processors).
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
        self._on_processor = documents.device.type == "cpu"
        self._compiled = compiled and self._on_processor
        # It looks where documents begin, for which a device is waited for.
        self._whole = CausalAttend(config, documents=documents) if config.is_recurrent else None
        if packed is None:
            packed = bool((documents != documents[:, :1]).any())
        if not (packed or self._compiled):
            documents = documents[:1]  # all rows look alike; compiled, it would be another shape
        self._visible = {
            spec.window: _visible(documents, spec.window)
            for spec in self._specs
            if self._compiled or spec.window is not None or packed
        }
        self._unseen: dict[int | None, Tensor] = {}
        if self._on_processor:
            self._unseen = {window: self._to_blocks(seen) for window, seen in self._visible.items()}

    def _to_blocks(self, visible: Tensor) -> Tensor:
        """As the attention by blocks wants to be told what is not seen."""
        if self._compiled:
            return torch.where(visible, 0.0, UNSEEN).to(torch.bfloat16)
        return ~visible

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        spec = self._alike or self._specs[layer]
        if not self._on_processor or spec.softcap is not None:
            return attend_dense(spec, q, k, v, self._visible.get(spec.window))
        q, k, v = by_head(q, k, v)
        unseen = self._unseen.get(spec.window)
        if self._compiled:
            assert unseen is not None
            return attend_by_fused_blocks(q, k, v, spec.scale, unseen).transpose(1, 2)
        return attend_by_blocks(q, k, v, spec.scale, unseen).transpose(1, 2)

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


def by_head(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(batch, seq, heads, dim) as (batch, heads, seq, dim), keys and values for each query head."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    group = q.shape[1] // k.shape[1]
    if group > 1:
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    return q, k, v
