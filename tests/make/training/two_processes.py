"""Trains a toy run in one of several processes that `torchrun` starts: two_processes.py RUN."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from kataribe.make.training.config import LoopConfig
from kataribe.make.training.objective import Objective, Share, StepData
from kataribe.make.training.processes import joined, rank
from kataribe.make.training.runs import open_run
from kataribe.make.training.session import carry_out
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


def main() -> None:
    """Trains the run to its end, or to where somebody stops it."""
    torch.set_num_threads(1)
    run = open_run(Path(sys.argv[1]))
    with joined():
        given = setup(LoopConfig.from_values(run.plan["loop"]))
        note_rows(given.objective, run.path / f"rows-{rank()}.jsonl")
        carry_out(run, given)


if __name__ == "__main__":
    main()
