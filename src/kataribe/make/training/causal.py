"""Learning to write: the next token of a text, or an assistant's words in a conversation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from kataribe.make.model.decoder import Decoder
from kataribe.make.model.experts import Routes, load_balance_loss
from kataribe.make.tokens.batches import Batch, Batches, Rows
from kataribe.make.training.cross_entropy import linear_cross_entropy
from kataribe.make.training.objective import Share, StepData
from kataribe.make.training.packed import PackedAttend
from kataribe.make.training.processes import in_step, summed


class HeldOut(Protocol):
    """Rows that can be gone through once, in order."""

    def in_order(self, size: int, *, rank: int = 0, ranks: int = 1) -> Iterable[Batch]:
        """Batches of up to `size` rows; process `rank` of `ranks` gets its share."""
        ...


@dataclass(frozen=True, eq=False)
class CausalData:
    """What a decoder learns from.

    Attributes:
        rows: Rows to learn from.
        batch_rows: Rows of a step, of all processes together.
        seed: Decides their order.
        held_out: Rows to be judged by; None for none.
        eval_rows: Most of them that are looked at, 0 for all.
        bytes_per_token: Bytes of text that a taught token of the held-out rows stands for on
            average; None where nobody knows.
    """

    rows: Rows[Batch]
    batch_rows: int
    seed: int = 0
    held_out: HeldOut | None = None
    eval_rows: int = 0
    bytes_per_token: float | None = None


class CausalObjective:
    """Next tokens, where `targets` asks for them: pre-training and instruction tuning alike."""

    def __init__(self, data: CausalData, name: str = "next-token") -> None:
        self._data = data
        self._name = name
        self._batches(Share())  # raises for data shorter than one batch

    @property
    def name(self) -> str:
        """See `Objective`."""
        return self._name

    def data(self, step: int, share: Share) -> StepData:
        """See `Objective`."""
        batch = self._batches(share).at(self._data.rows, step)
        return StepData(parts(batch, share.micro_rows), batch.taught, batch.filled)

    def loss(self, model: nn.Module, part: Batch, *, compiled: bool) -> Tensor:
        """See `Objective`."""
        return causal_loss(model, part, compiled=compiled)

    def evaluate(self, model: nn.Module, share: Share) -> Mapping[str, float]:
        """See `Objective`; `bits_per_byte` is there where bytes of text are known."""
        held_out = self._data.held_out
        if held_out is None:
            return {}
        most = self._data.eval_rows or 1 << 62
        size = max(1, min(share.micro_rows, -(-most // share.ranks)))
        total, taught, left = 0.0, 0, most // share.ranks + (share.rank < most % share.ranks)
        mine = held_out.in_order(size, rank=share.rank, ranks=share.ranks)
        with torch.no_grad():
            for batch in in_step(itertools.islice(mine, -(-left // size))):
                part = next(iter(held_out.in_order(1))) if batch is None else batch
                part = cut_rows(part, slice(0, max(1, left)))
                loss = float(model(part))
                if batch is not None:
                    left -= part.rows
                    total += loss
                    taught += part.taught
        total, all_taught = summed(total, taught)
        return held_out_figures(total, all_taught, self._data.bytes_per_token)

    def _batches(self, share: Share) -> Batches:
        data = self._data
        return Batches(
            len(data.rows), data.batch_rows, seed=data.seed, rank=share.rank, ranks=share.ranks
        )


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


def held_out_figures(
    total: float, taught: float, bytes_per_token: float | None
) -> dict[str, float]:
    """Nats per token, and bits per byte of text, which no tokenizer can flatter."""
    if not taught:
        return {}
    figures = {"valid_loss": total / taught}
    if bytes_per_token:
        figures["bits_per_byte"] = total / taught / math.log(2) / bytes_per_token
    return figures


def parts(batch: Batch, rows: int) -> list[Batch]:
    """The batch in passes of at most `rows` rows."""
    return [cut_rows(batch, slice(at, at + rows)) for at in range(0, batch.rows, rows)]


def cut_rows(batch: Batch, part: slice) -> Batch:
    """Some rows of a batch."""
    return Batch(batch.ids[part], batch.targets[part], batch.positions[part], batch.documents[part])
