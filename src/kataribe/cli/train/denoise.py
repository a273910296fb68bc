"""`kataribe train denoise`."""

from __future__ import annotations

from kataribe.cli.train.flags import Typed, command
from kataribe.make.training.asked import Denoising


def _run(typed: Typed) -> None:
    from kataribe.cli.train.training import train

    train("denoise", typed)


denoise = command(
    Denoising, "Train an encoder-decoder to fill gaps (T5), from nothing or further.", _run
)
