"""The PyTorch runner: steps in, logits out. The only part of the engine that touches the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kataribe.make.model.decoder import Decoder
from kataribe.run.inference.attention import PagedAttend, PagedCache
from kataribe.run.inference.step import StepBatch


class TorchRunner:
    """Computes steps with a `Decoder`; see `Runner`.

    Args:
        model: In evaluation mode, on `device`; packed or not.
        blocks: Blocks of the paged cache.
        block_size: Tokens in each.
        device: Where everything is.
    """

    def __init__(
        self, model: Decoder, *, blocks: int, block_size: int, device: str = "cpu"
    ) -> None:
        self._model = model
        self._device = device
        with torch.inference_mode():
            dtype = model.embed(torch.zeros(1, dtype=torch.int64, device=device)).dtype
            self._cache = PagedCache(model.config, blocks, block_size, dtype, device)
        self.vocab_size = model.config.vocab_size
        self.block_size = block_size
        self.blocks = blocks

    @torch.inference_mode()
    def run(self, batch: StepBatch) -> list[NDArray[np.float32]]:
        """Logits for each slice: (rows, vocab_size), rows 0, 1 or `len(ids)`."""
        ids = np.concatenate([np.asarray(part.ids, dtype=np.int64) for part in batch.slices])
        positions = np.concatenate(
            [np.arange(part.start, part.start + len(part.ids)) for part in batch.slices]
        )
        attend = PagedAttend(self._model.config, self._cache, batch)
        hidden = self._model(
            torch.from_numpy(ids).to(self._device),
            torch.from_numpy(positions).to(self._device),
            attend,
        )
        wanted: list[int] = []
        counts: list[int] = []
        row = 0
        for part in batch.slices:
            end = row + len(part.ids)
            rows = {"none": range(0), "last": range(end - 1, end), "all": range(row, end)}
            wanted.extend(rows[part.logits])
            counts.append(len(rows[part.logits]))
            row = end
        if not wanted:
            return [np.empty((0, self.vocab_size), np.float32) for _ in counts]
        if len(wanted) < len(hidden):
            hidden = hidden[torch.tensor(wanted, device=self._device)]
        logits = self._model.logits(hidden).cpu().numpy()
        return np.split(logits, np.cumsum(counts)[:-1])

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies whole blocks, each pair from source to target."""
        with torch.inference_mode():
            self._cache.copy(pairs)

    def close(self) -> None:
        """Gives model and cache back."""
        del self._model, self._cache
