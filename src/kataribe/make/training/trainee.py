"""A model in training: what is saved, what computes, and what the optimiser changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from kataribe.make.model.decoder import Decoder
from kataribe.make.training.config import Work
from kataribe.make.training.devices import choose
from kataribe.make.training.fast_view import fast_view
from kataribe.make.training.objective import Loss


class WithLoss(nn.Module):
    """A model whose output is an objective's loss: what is computed as one, in any process."""

    def __init__(self, model: nn.Module, loss: Loss, *, compiled: bool) -> None:
        super().__init__()
        self.model = model
        self._loss = loss
        self._compiled = compiled

    def forward(self, part: Any) -> Tensor:
        """The sum of the losses of a part, a float32 scalar."""
        return self._loss(self.model, part, compiled=self._compiled)


class Trainee:
    """A model in training; its weights are brought to the device that it is trained on.

    Attributes:
        device: Where it is computed.
        plain: The model in float32, as it is saved and as samples are drawn from it.
        module: What computes the loss of a part, to be called in training.
        judge: The same for looking at held-out data, never compiled: without gradients a block
            would have to be compiled once more.
        named: What the optimiser changes, by the names of `plain`.
    """

    def __init__(self, plain: nn.Module, loss: Loss, work: Work) -> None:
        """`work` must be settled: neither precision nor compile may be `auto` any more."""
        rounded = work.precision == "bfloat16"
        # A compiler would unroll the way along a recurrence, token by token.
        recurrent = isinstance(plain, Decoder) and plain.config.is_recurrent
        compiled = work.compile == "on" and not recurrent
        self.device = choose(work.device)
        self.plain = plain.to(self.device)
        view = fast_view(plain, rounded=rounded)
        for block in blocks(view):
            if work.recompute:
                block.forward = _recomputing(block.forward)
            if compiled:
                block.compile()
        self.module: nn.Module = WithLoss(view, loss, compiled=compiled)
        self.judge: nn.Module = WithLoss(fast_view(plain, rounded=rounded), loss, compiled=False)
        self.named: Mapping[str, nn.Parameter] = dict(plain.named_parameters())

    def gather(self) -> None:
        """Brings `plain` up to date where the weights are spread over processes."""
        if not any(isinstance(parameter, DTensor) for parameter in self.named.values()):
            return
        with torch.no_grad():
            for name, parameter in self.plain.named_parameters():
                spread = self.named[name]
                parameter.copy_(spread.full_tensor() if isinstance(spread, DTensor) else spread)


def blocks(model: nn.Module) -> list[nn.Module]:
    """The repeated parts of a model: everything in its lists of modules, outermost first."""
    found: list[nn.Module] = []
    for child in model.children():
        found += list(child) if isinstance(child, nn.ModuleList) else blocks(child)
    return found


def _recomputing(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return run
