"""One of several processes that `torchrun` starts: two_processes.py RUN [WORKSPACE].

Trains a toy run; with a workspace it plans and trains the run that is there, and says how it went.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kataribe.base.errors import KataribeError
from kataribe.base.workspace import Workspace
from kataribe.make.training import pilot, plans
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.objective import Objective, Share, StepData
from kataribe.make.training.plans import carry
from kataribe.make.training.processes import joined, rank
from kataribe.make.training.runs import RunFolder, open_run
from kataribe.make.training.session import Setup, carry_out
from tests.make.training.toys import setup


def note_rows(objective: Objective, path: Path) -> None:
    """Writes down which rows this process gets."""
    real = objective.data

    def data(step: int, share: Share) -> StepData:
        found = real(step, share)
        rows = [row.tolist() for part in found.parts for row in part.ids]
        with path.open("a") as file:
            file.write(json.dumps([step, rows]) + "\n")
        return found

    objective.data = data  # type: ignore[method-assign]


def plan_and_train(run: RunFolder, workspace: Workspace) -> None:
    """Writes down what stopped it."""
    try:
        with joined():
            number = rank()
            if number == 1 and (run.path / "unlucky").exists():
                raise_while_building()
            if (run.path / "flies").exists():
                pilot.LEAST_TOKENS = 64  # a run of seconds gets a pilot, too
            carry(workspace, run, say=lambda words: None)
    except KataribeError as error:
        (run.path / f"said-{number}.txt").write_text(error.message)


def raise_while_building() -> None:
    """This process has no memory for the model."""

    def build(plan: Mapping[str, Any]) -> Setup:
        raise MemoryError

    found = dataclasses.replace(plans.kinds()["pretrain"], build=build)
    plans.kinds = lambda: {"pretrain": found}


def main() -> None:
    """Trains the run to its end, or to where somebody stops it."""
    torch.set_num_threads(1)
    run = open_run(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        plan_and_train(run, Workspace(Path(sys.argv[2])))
        return
    with joined():
        given = setup(LoopConfig.from_values(run.plan["loop"]))
        note_rows(given.objective, run.path / f"rows-{rank()}.jsonl")
        carry_out(run, given)


if __name__ == "__main__":
    main()
