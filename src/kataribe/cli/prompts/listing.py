"""`kataribe prompts list`: the prompts there are."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf, told, when


def list_prompts(
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Those that can still come back.")
    ] = False,
    user: options.PromptOwner = None,
    as_json: options.Json = False,
) -> None:
    """List prompts, the one that was changed last first."""
    from kataribe.cli.output import emit_json, note, table

    with open_shelf(user) as shelf:
        found = shelf.library.all(shelf.owner, deleted=deleted)
    if as_json:
        emit_json([told(each) for each in found])
    elif found:
        rows = [
            (
                each.prompt.name,
                str(each.prompt.latest),
                ", ".join(each.version.variables) or "-",
                when(each.prompt.changed_at),
                " ".join(each.version.text.split())[:60],
            )
            for each in found
        ]
        table(("NAME", "VERSION", "VARIABLES", "CHANGED", "TEXT"), rows)
    elif deleted:
        note("No deleted prompt can come back.")
    else:
        note("There are no prompts yet. Make one: kataribe prompts new NAME")
