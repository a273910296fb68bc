"""Finished runs on the same text: what they reached tells what the next one will. No PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import KataribeError
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.families import config_from_hf
from kataribe.make.training.dial import choose
from kataribe.make.training.runs import list_runs

ALIKE = 2.0
"""Learning rates up to this factor apart are nearly the same. One that is far from the dial's makes
a run that tells of itself, and not of its text."""


@dataclass(frozen=True)
class Reached:
    """What a finished run reached.

    Attributes:
        parameters: Of its model.
        tokens: That it learned from.
        steps: Changes of its weights.
        bits_per_byte: Of held-out text, at its end.
    """

    parameters: int
    tokens: int
    steps: int
    bits_per_byte: float


@dataclass(frozen=True)
class Recipe:
    """How a run learns, as far as what it reaches tells of others.

    Attributes:
        context: Tokens of a row.
        optimiser: What changes the weights.
        rate: Its learning rate beside the dial's for its model.
    """

    context: int
    optimiser: str
    rate: float

    @classmethod
    def of(cls, model: ModelConfig, context: int, optimiser: str, learning_rate: float) -> Recipe:
        """A model's, with its learning rate as it is."""
        return cls(context, optimiser, learning_rate / choose(model, 1, context).learning_rate)

    def alike(self, other: Recipe) -> bool:
        """Whether two runs differ in size and length alone, but for little."""
        same = (self.context, self.optimiser) == (other.context, other.optimiser)
        return same and 1 / ALIKE <= self.rate / other.rate <= ALIKE


def earlier_runs(folder: Path, dataset: Path, recipe: Recipe, owner: str) -> list[Reached]:
    """Models that were made from nothing on the same token data, to the end, in the same way.

    Args:
        folder: `Workspace.runs`.
        dataset: Of the run that is planned; its name says text and tokenizer by their contents.
        recipe: Of the run that is planned.
        owner: Whose it is: runs of others are not theirs to see.
    """
    found = []
    for run in list_runs(folder):
        try:
            info = run.written_info()
            if (info.state, info.objective, info.owner) != ("done", "pretrain", owner):
                continue
            plan = run.plan
            reached = _reached(plan, run.result or {}, dataset.name)
            if reached is not None and not _recipe(plan).alike(recipe):
                continue
        except (KataribeError, KeyError, TypeError, ValueError):
            continue  # a folder that is damaged, or another version's, has nothing to tell
        if reached is not None:
            found.append(reached)
    return found


def _recipe(plan: Mapping[str, Any]) -> Recipe:
    """Raises `KeyError` or `ValueError` for a plan that does not say."""
    optimisation = plan["loop"]["optimisation"]
    rate = float(optimisation["learning_rate"])
    if not rate > 0:
        raise ValueError(rate)
    model = config_from_hf(plan["model"]["config"])
    return Recipe.of(model, plan["data"]["context"], optimisation["optimiser"], rate)


def _reached(plan: Mapping[str, Any], result: Mapping[str, Any], dataset: str) -> Reached | None:
    data, model, loop = (plan.get(part) or {} for part in ("data", "model", "loop"))
    if Path(data.get("dataset") or ".").name != dataset or model.get("base"):
        return None
    parameters, tokens = result.get("parameters"), result.get("tokens")
    steps, bits = loop.get("steps"), result.get("bits_per_byte")
    counts = parameters, tokens, steps
    if not bits or not all(isinstance(each, int) and each > 0 for each in counts):
        return None
    return Reached(int(parameters or 0), int(tokens or 0), int(steps or 0), float(bits))
