"""What every command of `kataribe assistants` begins with: the recipes, and a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from kataribe.use.assistants.book import Book

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The assistant's name.")]


def open_book() -> Book:
    """The recipes of the workspace and those that come with Kataribe."""
    from kataribe.base.workspace import Workspace
    from kataribe.use.assistants.book import Book

    return Book(Workspace.locate().assistants)
