"""`kataribe assistants rm`: deletes a recipe of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli.assistants.named import Name, open_book


def rm(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an assistant of yours. One that it hid is there again then."""
    from kataribe.cli.output import note

    book = open_book()
    book.find(name)
    if not yes:
        typer.confirm(f"Delete the recipe of {name}?", abort=True, err=True)
    book.remove(name)
    note(f"{name} is deleted.")
