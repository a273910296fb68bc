"""Trains a toy run in a process of its own, to be killed: python killed_run.py ROOT ID."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from kataribe.make.training.config import LoopConfig
from kataribe.make.training.runs import open_run
from kataribe.make.training.session import carry_out
from tests.make.training.toys import setup


def main() -> None:
    """Goes on with the run to its end."""
    run = open_run(Path(sys.argv[1]))
    # Slow enough that whoever kills it is not too late.
    carry_out(
        run, setup(LoopConfig.from_values(run.plan["loop"])), tell=lambda figures: time.sleep(0.05)
    )


if __name__ == "__main__":
    main()
