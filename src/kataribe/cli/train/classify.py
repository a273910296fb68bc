"""`kataribe train classify`."""

from __future__ import annotations

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Labelling


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    train("classify", typed)


classify = command(Labelling, "Teach an encoder to label texts.", _run)
