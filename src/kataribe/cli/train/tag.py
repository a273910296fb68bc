"""`kataribe train tag`."""

from __future__ import annotations

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Labelling


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    train("tag", typed)


tag = command(Labelling, "Teach an encoder to label words.", _run)
