"""The PyTorch runner: steps in, logits out. The only part of the engine that touches the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.mixers import recurrent_mixers
from kataribe.run.inference.attention import PagedAttention
from kataribe.run.inference.kv_cache import PagedCache
from kataribe.run.inference.requests import MOST_WITH_STATES
from kataribe.run.inference.states import StateStep, StateStore
from kataribe.run.inference.step import StepBatch


class TorchRunner:
    """Computes steps with a `Decoder`; see `Runner`.

    Args:
        model: In evaluation mode, on `device`; packed or not.
        blocks: Blocks of the paged cache.
        block_size: Tokens in each.
        device: Where everything is.
        dtype: Of keys and values; None for the type of the model's hidden vectors.
        sequences: Of a model with recurrent layers, how many may have a state.
    """

    def __init__(
        self,
        model: Decoder,
        *,
        blocks: int,
        block_size: int,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        sequences: int = MOST_WITH_STATES,
    ) -> None:
        self._model = model
        self._device = device
        with torch.inference_mode():
            first = torch.zeros(1, dtype=torch.int64, device=device)
            cache = PagedCache(
                model.config, blocks, block_size, dtype or model.embed(first).dtype, device
            )
            mixers = {mixer.layer: mixer for mixer in recurrent_mixers(model)}
            self._states = StateStore(mixers, sequences, cache.keys) if mixers else None
        self._attention = PagedAttention(model.config, cache)
        self.vocab_size = model.config.vocab_size
        self.block_size = block_size
        self.blocks = blocks
        self.reuses_prefixes = self._states is None

    @torch.inference_mode()
    def run(self, batch: StepBatch) -> list[NDArray[np.float32]]:
        """Logits for each slice: (rows, vocab_size), rows 0, 1 or `len(ids)`."""
        ids = np.concatenate([np.asarray(part.ids, dtype=np.int64) for part in batch.slices])
        positions = np.concatenate(
            [np.arange(part.start, part.start + len(part.ids)) for part in batch.slices]
        )
        states = None if self._states is None else StateStep(self._states, batch)
        hidden = self._model(
            torch.from_numpy(ids).to(self._device),
            torch.from_numpy(positions).to(self._device),
            self._attention.step(batch, states),
        )
        if states is not None:
            states.done()
        wanted, counts = _wanted(batch)
        if not wanted:
            return [np.empty((0, self.vocab_size), np.float32) for _ in counts]
        if len(wanted) < len(hidden):
            hidden = hidden[torch.tensor(wanted, device=self._device)]
        logits = self._model.logits(hidden).cpu().numpy()
        return np.split(logits, np.cumsum(counts)[:-1])

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies whole blocks, each pair from source to target, and states with first ones."""
        with torch.inference_mode():
            self._attention.cache.copy(pairs)
            if self._states is not None:
                self._states.copy(pairs)

    def close(self) -> None:
        """Gives model and cache back."""
        del self._model, self._attention, self._states


def _wanted(batch: StepBatch) -> tuple[list[int], list[int]]:
    """Rows of the step whose logits are wanted, and how many of them each slice has."""
    wanted: list[int] = []
    counts: list[int] = []
    row = 0
    for part in batch.slices:
        end = row + len(part.ids)
        rows = {"none": range(0), "last": range(end - 1, end), "all": range(row, end)}
        wanted.extend(rows[part.logits])
        counts.append(len(rows[part.logits]))
        row = end
    return wanted, counts
