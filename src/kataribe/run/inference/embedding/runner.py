"""An encoder in memory, computing packed batches with PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kataribe.base.errors import SettingsError
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.encoder import Encoder, PackedAttend
from kataribe.make.model.weights.encoder_loading import load_encoder
from kataribe.make.model.weights.opened import Checkpoint
from kataribe.make.model.weights.sentences import SentenceSettings
from kataribe.run.inference.embedding.batches import PackedBatch
from kataribe.run.inference.torch_load import pick_device

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class TorchEncoder:
    """Computes vectors and logits of packed texts; used by one thread at a time."""

    def __init__(self, model: Encoder, settings: SentenceSettings, device: str) -> None:
        self._model = model
        self._settings = settings
        self._device = device

    @torch.inference_mode()
    def vectors(self, batch: PackedBatch) -> NDArray[np.float32]:
        """float32 (texts, hidden_size): each text's tokens pooled, and normed if so wished."""
        hidden = self._hidden(batch)
        match self._settings.pooling:
            case "mean":
                pooled = self._mean(hidden, batch)
            case "cls":
                pooled = self._first(hidden, batch).float()
            case "pooler":
                pooled = self._model.pooled(self._first(hidden, batch)).float()
        if self._settings.normalize:
            pooled = torch.nn.functional.normalize(pooled)
        return _array(pooled)

    @torch.inference_mode()
    def logits(self, batch: PackedBatch) -> NDArray[np.float32]:
        """float32 (texts, labels) of a classifier, (tokens, labels) of a tagger."""
        hidden = self._hidden(batch)
        if self._model.config.head == "classify":
            hidden = self._first(hidden, batch)
        return _array(self._model.logits(hidden))

    def _hidden(self, batch: PackedBatch) -> Tensor:
        """(tokens, hidden_size)."""
        ids = torch.from_numpy(batch.ids).to(self._device)
        positions = torch.from_numpy(batch.positions).to(self._device)
        attend = PackedAttend(self._model.config, batch.lengths)
        hidden: Tensor = self._model(ids, positions, attend)
        return hidden

    def _first(self, hidden: Tensor, batch: PackedBatch) -> Tensor:
        return hidden[torch.from_numpy(batch.starts).to(self._device)]

    def _mean(self, hidden: Tensor, batch: PackedBatch) -> Tensor:
        """Summed in float32: 512 values of 8 bits would lose each other."""
        lengths = torch.tensor(batch.lengths, device=self._device)
        text = torch.repeat_interleave(torch.arange(len(lengths), device=self._device), lengths)
        sums = torch.zeros(len(lengths), hidden.shape[1], device=self._device)
        sums.index_add_(0, text, hidden.float())
        return sums / lengths[:, None]


def load_torch_encoder(
    checkpoint: Checkpoint[EncoderConfig],
    settings: SentenceSettings,
    *,
    precision: str,
    device: str,
    threads: int | None,
) -> TorchEncoder:
    """The encoder of a checkpoint.

    Raises `SettingsError` for a precision that encoders are not computed in.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = pick_device(device)
    if precision == "auto":
        fast = chosen != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        precision = "bfloat16" if fast else "float32"
    if precision not in _DTYPES:
        raise SettingsError(
            f"Encoders are computed in {' or '.join(_DTYPES)}, not in {precision!r}. Set "
            "--precision (KATARIBE_PRECISION) to one of these or to auto.",
            param="precision",
        )
    model = load_encoder(checkpoint, dtype=_DTYPES[precision], device=chosen)
    return TorchEncoder(model, settings, chosen)


def _array(values: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = values.float().cpu().numpy()
    return found
