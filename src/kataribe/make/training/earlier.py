"""Finished runs on the same text: what they reached tells what the next one will. No PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import KataribeError
from kataribe.make.training.runs import list_runs


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


def earlier_runs(folder: Path, dataset: Path) -> list[Reached]:
    """Models that were made from nothing on the same token data, to the end.

    Args:
        folder: `Workspace.runs`.
        dataset: Of the run that is planned; its name says text and tokenizer by their contents.
    """
    found = []
    for run in list_runs(folder):
        try:
            info = run.written_info()
            if info.state != "done" or info.objective != "pretrain":
                continue
            reached = _reached(run.plan, run.result or {}, dataset.name)
        except KataribeError:
            continue  # a folder that is damaged, or another version's, has nothing to tell
        if reached is not None:
            found.append(reached)
    return found


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
