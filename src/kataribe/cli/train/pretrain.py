"""`kataribe train pretrain`: a model of one's own, from text."""

from __future__ import annotations

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Pretraining


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    train("pretrain", typed)


pretrain = command(
    Pretraining, "Train a model from nothing on a corpus, or go on with another (--base).", _run
)
