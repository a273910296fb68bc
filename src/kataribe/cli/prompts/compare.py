"""`kataribe prompts diff`: what changed between two versions."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf


def diff(
    name: options.PromptName,
    old: Annotated[int | None, typer.Argument(help="Number of a version.")] = None,
    new: Annotated[int | None, typer.Argument(help="Number of another.")] = None,
    user: options.PromptOwner = None,
) -> None:
    """Show what changed between two versions; without numbers, between the newest two."""
    from kataribe.base.errors import InputError
    from kataribe.cli import output

    with open_shelf(user) as shelf:
        shown = shelf.find(name)
        latest = shown.version.number
        first = old if old is not None else latest - 1
        second = new if new is not None else latest
        if first < 1 and old is None:
            raise InputError(
                f"{shown.name} is the first version; there is nothing before it to compare with.",
                param="version",
            )
        told = shelf.library.difference(shelf.owner, shown.prompt.id, first, second)
    if told:
        output.say(told)
    else:
        output.note("They say the same.")
