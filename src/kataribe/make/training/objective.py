"""What the loop asks of an objective: batches, their loss, and how good the model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Share:
    """Which process this is of how many, and how much one pass may hold.

    Attributes:
        rank: Number of this process, from 0.
        ranks: How many processes train together.
        micro_rows: Most rows of one pass.
    """

    rank: int = 0
    ranks: int = 1
    micro_rows: int = 1 << 30


@dataclass(frozen=True, eq=False)
class StepData:
    """What one process learns from in one step.

    Attributes:
        parts: Passes, whatever the objective's `loss` takes.
        taught: Places (or rows, or pairs) that the parts teach: what the loss is divided by.
        tokens: Tokens in them, without padding.
    """

    parts: Sequence[Any]
    taught: int
    tokens: int


class Loss(Protocol):
    """What a model is to make small."""

    def __call__(self, model: nn.Module, part: Any, *, compiled: bool) -> Tensor:
        """See `Objective.loss`."""
        ...


class Objective(Protocol):
    """What is to be learned from which data."""

    @property
    def name(self) -> str:
        """Short, for the run's folder."""
        ...

    def data(self, step: int, share: Share) -> StepData:
        """This process's part of the batch of a step: the same whenever it is asked for."""
        ...

    def loss(self, model: nn.Module, part: Any, *, compiled: bool) -> Tensor:
        """The sum of the losses in nats over what the part teaches, a float32 scalar.

        `compiled` says that the model's blocks are, and like plain operations best.
        """
        ...

    def evaluate(self, model: nn.Module, share: Share) -> Mapping[str, float]:
        """Figures on held-out data, `valid_loss` among them; empty where there are none.

        `model` is called with a part and gives its loss. All processes ask together, each looks
        at its share, and all get the same figures.
        """
        ...
