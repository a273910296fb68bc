"""Learning to write: the next token of a text, or an assistant's words in a conversation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.experts import Routes, load_balance_loss
from kataribe.make.tokens.batches import IGNORED, Batch
from kataribe.make.training.cross_entropy import linear_cross_entropy
from kataribe.make.training.devices import tensors
from kataribe.make.training.packed import PackedAttend


def causal_loss(model: nn.Module, part: Batch, *, compiled: bool) -> Tensor:
    """The sum of -log p(target) in nats over a batch, a float32 scalar.

    While a mixture of experts learns, how unevenly it uses them is added (Fedus et al. 2021).
    """
    assert isinstance(model, Decoder)
    spec = model.config.experts
    routes = None if spec is None or not torch.is_grad_enabled() else Routes()
    hidden = decoder_hidden(model, part, routes, compiled=compiled)  # (batch, seq, hidden_size)
    wanted = part.targets.reshape(-1)
    places = np.flatnonzero(wanted != IGNORED)  # counted here: a device would be waited for
    hidden = hidden.flatten(0, 1)
    if len(places) < len(wanted):
        taught, targets = tensors(hidden.device, places, wanted[places])
        hidden = hidden.index_select(0, taught)
    else:
        (targets,) = tensors(hidden.device, wanted)
    loss = linear_cross_entropy(
        hidden, model.head.weight, targets, model.config.logits_softcap,
        all_taught=True, compiled=compiled,
    )  # fmt: skip
    if spec is None or routes is None:
        return loss
    (real,) = tensors(hidden.device, part.documents >= 0)
    return loss + part.taught * spec.balance * load_balance_loss(routes, spec, real)


def decoder_hidden(
    model: Decoder, part: Batch, routes: Routes | None = None, *, compiled: bool
) -> Tensor:
    """Hidden vectors (batch, seq, hidden_size) of packed rows, after the final norm."""
    device = model.head.weight.device
    ids, positions, documents = tensors(device, part.ids, part.positions, part.documents)
    packed = bool((part.documents != part.documents[:, :1]).any())
    past = PackedAttend(model.config, documents, compiled=compiled, packed=packed)
    hidden: Tensor = model(ids, positions, past, routes)
    return hidden
