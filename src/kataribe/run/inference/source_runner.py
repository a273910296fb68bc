"""The PyTorch runner of encoder-decoders: sources are read whole, targets step by step.

To the scheduler a sequence is its source followed by its target, prompt and reply as ever. The
ids of a source are kept at its places until its last chunk comes; then the encoder reads it, and
what the decoder looks at takes the places of its positions. All of a sequence's past lies in its
blocks, so whoever copies these has copied it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kataribe.base.errors import UnsupportedError
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.run.inference.kv_cache import PagedCache
from kataribe.run.inference.source_attention import PagedTarget, Target, places_to, target_of
from kataribe.run.inference.step import Slice, StepBatch


class EncoderDecoderRunner:
    """Computes steps with an `EncoderDecoder`; see `Runner`.

    Args:
        model: In evaluation mode, on `device`.
        blocks: Blocks of the paged cache.
        block_size: Tokens in each.
        device: Where everything is.
        dtype: Of keys and values; None for the type of the model's hidden vectors.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        *,
        blocks: int,
        block_size: int,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        self._model = model
        self._device = device
        stack = model.config.decoder
        with torch.inference_mode():
            kind = dtype or model.embed.weight.dtype
            self._cache = PagedCache(stack, blocks, block_size, kind, device)
        self._ids = np.zeros(blocks * block_size, np.int64)  # of sources, by place
        self.vocab_size = model.config.vocab_size
        self.block_size = block_size
        self.blocks = blocks
        self.reuses_prefixes = False  # what a source's token means depends on those behind it

    @torch.inference_mode()
    def run(self, batch: StepBatch) -> list[NDArray[np.float32]]:
        """Logits for each slice: (rows, vocab_size), rows 0, 1 or `len(ids)`."""
        for part in batch.slices:
            self._keep(part)
        for part in batch.slices:
            if part.start < part.source <= part.start + len(part.ids):
                self._read(part)
        found = [target_of(part, self.block_size) for part in batch.slices]
        targets = [target for target in found if target is not None]
        rows = [np.empty((0, self.vocab_size), np.float32) for _ in found]
        if not targets:
            return rows
        hidden = self._decode(targets)
        wanted, low = [], 0
        for place, (part, target) in enumerate(zip(batch.slices, found, strict=True)):
            if target is None:
                continue
            high = low + len(target.ids)
            first = {"none": high, "last": high - 1, "all": low}[part.logits]
            wanted.append((place, range(first, high)))
            low = high
        picked = [row for _, each in wanted for row in each]
        if not picked:
            return rows
        if len(picked) < len(hidden):
            hidden = hidden[torch.tensor(picked, device=self._device)]
        logits = self._model.logits(hidden).cpu().numpy()
        for place, each in wanted:
            rows[place], logits = logits[: len(each)], logits[len(each) :]
        return rows

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies whole blocks, each pair from source to target."""
        with torch.inference_mode():
            self._cache.copy(pairs)
        by_block = self._ids.reshape(self.blocks, self.block_size)
        for source, target in pairs:
            by_block[target] = by_block[source]

    def close(self) -> None:
        """Gives model and cache back."""
        del self._model, self._cache

    def _keep(self, part: Slice) -> None:
        """Keeps the ids of a source for when all of it is there."""
        if part.source < 1:
            raise UnsupportedError(
                "A sequence for an encoder-decoder must say how much of it is the source."
            )
        end = min(part.start + len(part.ids), part.source)
        if part.start >= end:
            return
        if part.logits == "all":
            raise UnsupportedError("The tokens of a source have no logits: nothing predicts them.")
        places = places_to(part, end, self.block_size)[part.start :]
        self._ids[places] = np.asarray(part.ids)[: end - part.start]

    def _read(self, part: Slice) -> None:
        """Runs the encoder over a whole source, and puts what the decoder looks at in its places.

        One source at a time, so that what a model says to one does not depend on others' padding.
        """
        places = places_to(part, part.source, self.block_size)
        ids = torch.from_numpy(self._ids[places])[None].to(self._device)
        memory = self._model.encode(ids)[0]  # (source, hidden_size)
        at = torch.from_numpy(places).to(self._device)
        for (keys, values), (k, v) in zip(
            self._cache.layers, self._model.look_at(memory), strict=True
        ):
            keys.index_copy_(0, at, k.to(keys.dtype))
            values.index_copy_(0, at, v.to(values.dtype))

    def _decode(self, targets: Sequence[Target]) -> torch.Tensor:
        """Hidden vectors (tokens, hidden_size) of all targets' tokens."""
        ids = np.concatenate([target.ids for target in targets])
        positions = np.concatenate(
            [np.arange(target.start, target.start + len(target.ids)) for target in targets]
        )
        attend = PagedTarget(self._cache, self._model.config.decoder.scale, targets)
        return self._model.decode(
            torch.from_numpy(ids).to(self._device),
            torch.from_numpy(positions).to(self._device),
            attend,
        )
