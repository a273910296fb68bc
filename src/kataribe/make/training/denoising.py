"""Denoising: an encoder-decoder reads a text with gaps and writes what belongs into them (T5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.model.layers.source_attention import (
    Bias,
    SourceAttend,
    TargetAttend,
    added_scores,
)
from kataribe.make.tokens.batches import PairBatch
from kataribe.make.training.cross_entropy import linear_cross_entropy
from kataribe.make.training.devices import tensors


class PackedSource(SourceAttend):
    """Every token of a source sees its own document; `documents` is (batch, source).

    Distances within a document are those within the row, so relative positions need no care.
    """

    def __init__(self, model: EncoderDecoder, documents: Tensor) -> None:
        super().__init__(model.config)
        self._hidden = (documents[:, :, None] != documents[:, None, :])[:, None]


class PackedTarget(TargetAttend):
    """Each token sees itself, what stands before it in its document, and that document's source."""

    def __init__(
        self, model: EncoderDecoder, memory: Tensor, documents: Tensor, sources: Tensor
    ) -> None:
        super().__init__(model.config, model.look_at(memory))
        self._foreign = (documents[:, :, None] != documents[:, None, :])[:, None]
        self._unreal = (documents[:, :, None] != sources[:, None, :])[:, None]

    def begin(self, x: Tensor, relative: Bias | None) -> None:
        """See `AttendBoth`."""
        super().begin(x, relative)
        assert self._added is not None  # of whole targets it always is
        self._added = added_scores(self._added, self._foreign, x)


def denoising_loss(model: nn.Module, part: PairBatch, *, compiled: bool = False) -> Tensor:  # noqa: ARG001
    """The sum of -log p(target) in nats over what was cut out, a float32 scalar."""
    assert isinstance(model, EncoderDecoder)
    device = model.embed.weight.device
    source, target = part.source, part.target
    documents, ids, at = tensors(device, source.documents, source.ids, source.positions)
    memory = model.encoder(model._embedded(ids), at, PackedSource(model, documents))
    own, given, places, wanted = tensors(
        device, target.documents, target.ids, target.positions, target.targets
    )
    hidden = model.decode(given, places, PackedTarget(model, memory, own, documents))
    if model.logits_bias is not None:
        logits = model.logits(hidden).flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, wanted.flatten(), reduction="sum")
    if model.config.output_scale != 1.0:
        hidden = hidden * model.config.output_scale
    return linear_cross_entropy(hidden.flatten(0, 1), model.head.weight, wanted.flatten())
