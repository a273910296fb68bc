"""`kataribe train embed`."""

from __future__ import annotations

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Embedding


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    train("embed", typed)


embed = command(
    Embedding, "Teach an encoder which passage answers which question, for search.", _run
)
