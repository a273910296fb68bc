"""`kataribe train distill`."""

from __future__ import annotations

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Distilling


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    train("distill", typed)


distill = command(
    Distilling, "Train a small model on what a large one thinks of every next token.", _run
)
