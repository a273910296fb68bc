"""`kataribe train masked`."""

from __future__ import annotations

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Masking


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    train("masked", typed)


masked = command(
    Masking, "Train an encoder to find hidden words (BERT), from nothing or further.", _run
)
