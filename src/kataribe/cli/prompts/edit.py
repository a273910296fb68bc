"""`kataribe prompts edit` and `rename`: what a prompt says from now on, and what it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf
from kataribe.cli.prompts.new import File, Words, given_text


def edit(
    name: options.PromptName,
    text: Words = None,
    file: File = None,
    note: options.VersionNote = "",
    user: options.PromptOwner = None,
) -> None:
    """Give a prompt another version; the earlier ones stay as they are.

    The editor opens with the version that is named, so an old one can be taken up again.
    """
    from kataribe.cli import output

    with open_shelf(user) as shelf:
        before = shelf.find(name)
        words = given_text(text, file, before.version.text, f"{before.prompt.name}.txt")
        shown = shelf.library.write(shelf.owner, before.prompt.id, words, note)
    output.say(shown.name)
    if shown.version.number == before.prompt.latest:
        output.note("Nothing was changed.")


def rename(
    name: options.PromptName,
    to: Annotated[str, typer.Argument(metavar="NEW", help="What it is to be called.")],
    user: options.PromptOwner = None,
) -> None:
    """Give a prompt another name; versions and answers stay with it."""
    from kataribe.cli import output

    with open_shelf(user) as shelf:
        shown = shelf.library.rename(shelf.owner, shelf.find(name).prompt.id, to)
    output.say(shown.prompt.name)
