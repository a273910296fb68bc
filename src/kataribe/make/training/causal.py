"""Learning to write: the next token of a text, or an assistant's words in a conversation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kataribe.make.model.decoder import Decoder
from kataribe.make.model.experts import Routes, load_balance_loss
from kataribe.make.tokens.batches import Batch
from kataribe.make.training.cross_entropy import linear_cross_entropy
from kataribe.make.training.packed import PackedAttend


def causal_loss(model: nn.Module, part: Batch, *, compiled: bool) -> Tensor:
    """The sum of -log p(target) in nats over a batch, a float32 scalar.

    While a mixture of experts learns, how unevenly it uses them is added (Fedus et al. 2021).
    """
    assert isinstance(model, Decoder)
    spec = model.config.experts
    routes = None if spec is None or not torch.is_grad_enabled() else Routes()
    hidden = decoder_hidden(model, part, routes, compiled=compiled)  # (batch, seq, hidden_size)
    targets = torch.from_numpy(part.targets).to(hidden.device)
    cap = model.config.logits_softcap
    loss = linear_cross_entropy(hidden.flatten(0, 1), model.head.weight, targets.flatten(), cap)
    if spec is None or routes is None:
        return loss
    real = torch.from_numpy(part.documents >= 0).to(hidden.device)
    return loss + part.taught * spec.balance * load_balance_loss(routes, spec, real)


def decoder_hidden(
    model: Decoder, part: Batch, routes: Routes | None = None, *, compiled: bool
) -> Tensor:
    """Hidden vectors (batch, seq, hidden_size) of packed rows, after the final norm."""
    device = model.head.weight.device
    ids = torch.from_numpy(part.ids).to(device)
    positions = torch.from_numpy(part.positions).to(device)
    documents = torch.from_numpy(part.documents).to(device)
    past = PackedAttend(model.config, documents, compiled=compiled)
    hidden: Tensor = model(ids, positions, past, routes)
    return hidden
