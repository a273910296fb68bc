"""`kataribe prompts show`: what a prompt says, and its versions."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf, told, when


def show(
    name: options.PromptName,
    versions: Annotated[
        bool, typer.Option("--versions", help="List the versions instead.")
    ] = False,
    user: options.PromptOwner = None,
    as_json: options.Json = False,
) -> None:
    """Print a prompt as it stands.

    Example: kataribe prompts show translate@2 > old.txt
    """
    from kataribe.cli.output import emit_json, say, table

    with open_shelf(user) as shelf:
        shown = shelf.find(name)
        known = shelf.library.versions(shelf.owner, shown.prompt.id)
    if as_json:
        listed = [
            {"version": each.number, "note": each.note, "created_at": each.created_at}
            | {"variables": list(each.variables), "answers": each.answers}
            for each in known
        ]
        emit_json({**told(shown), "versions": listed})
    elif versions:
        rows = [
            (
                f"{shown.prompt.name}@{each.number}",
                when(each.created_at),
                str(each.answers),
                ", ".join(each.variables) or "-",
                each.note,
            )
            for each in reversed(known)
        ]
        table(("VERSION", "MADE", "ANSWERS", "VARIABLES", "NOTE"), rows)
    else:
        say(shown.version.text, end="" if shown.version.text.endswith("\n") else "\n")
