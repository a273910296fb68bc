"""`kataribe train instruct`: a model that writes learns to answer."""

from __future__ import annotations

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Instruction


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    train("instruct", typed)


instruct = command(
    Instruction,
    "Teach a model to answer, from conversations: only the assistant's words teach.",
    _run,
)
