"""What encoders learn: hidden words, a text's label, each word's label, vectors that tell apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.base.errors import UnsupportedError
from kataribe.make.model.encoder import Encoder
from kataribe.make.tokens.batches import IGNORED, Batch, PairBatch
from kataribe.make.training.devices import tensors
from kataribe.make.training.trainee import WithLoss

TEMPERATURE = 0.05
"""By which cosines are divided before the softmax (Gao et al. 2021)."""


class DocumentAttend:
    """Every token sees all of its own document; q, k, v are (batch, seq, heads, head_dim)."""

    def __init__(self, head_dim: int, documents: Tensor) -> None:
        self._scale = head_dim**-0.5
        # Padding sees padding: a row that sees nothing would be NaN.
        self._visible = (documents[:, :, None] == documents[:, None, :])[:, None]

    def __call__(self, _layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        out = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), self._visible,
            scale=self._scale,
        )  # fmt: skip
        return out.transpose(1, 2)


def encoder_hidden(model: Encoder, part: Batch) -> Tensor:
    """Vectors (batch, seq, hidden_size) of packed or filled-up rows."""
    device = model.embed.weight.device
    ids, positions, documents = tensors(device, part.ids, part.positions, part.documents)
    hidden: Tensor = model(ids, positions, DocumentAttend(model.config.head_dim, documents))
    return hidden


def labelled_loss(model: nn.Module, part: Batch, *, compiled: bool = False) -> Tensor:  # noqa: ARG001
    """The sum of -log p(target) over taught places: masked words, labels, tags alike.

    Only taught places go through the head: of masked rows that is about one in seven.
    """
    logits, targets = _taught_logits(model, part)
    return functional.cross_entropy(logits, targets, reduction="sum")


def labels_right(model: nn.Module, part: Batch) -> float:
    """How many taught places have their target as the likeliest."""
    inner = model.model if isinstance(model, WithLoss) else model
    logits, targets = _taught_logits(inner, part)
    return float((logits.argmax(dim=-1) == targets).sum())


def _taught_logits(model: nn.Module, part: Batch) -> tuple[Tensor, Tensor]:
    """float32 (taught, classes) and int64 (taught,)."""
    assert isinstance(model, Encoder)
    if model.config.problem != "single":
        raise UnsupportedError(
            f"This model's labels are a {model.config.problem!r} problem; one label of several "
            "is what can be trained here."
        )
    (targets,) = tensors(model.embed.weight.device, part.targets)
    taught = targets != IGNORED
    return model.logits(encoder_hidden(model, part)[taught]), targets[taught]


def contrastive_loss(model: nn.Module, part: PairBatch, *, compiled: bool = False) -> Tensor:  # noqa: ARG001
    """InfoNCE within the batch (van den Oord et al. 2018), both ways, summed over pairs.

    Each question's own passage must be nearer than those of the batch's other questions, and each
    passage's question likewise.
    """
    assert isinstance(model, Encoder)
    queries, passages = (mean_vectors(model, side) for side in (part.source, part.target))
    scores = queries @ passages.T / TEMPERATURE  # (pairs, pairs)
    own = torch.arange(len(scores), device=scores.device)
    there = functional.cross_entropy(scores, own, reduction="sum")
    return (there + functional.cross_entropy(scores.T, own, reduction="sum")) / 2


def mean_vectors(model: Encoder, part: Batch) -> Tensor:
    """float32 (batch, hidden_size): the mean over a row's tokens, of length 1."""
    hidden = encoder_hidden(model, part).float()
    real = tensors(hidden.device, part.documents >= 0)[0][..., None]
    return functional.normalize((hidden * real).sum(dim=1) / real.sum(dim=1), dim=-1)
