"""`kataribe prompts rm` and `restore`: deletes a prompt, and brings it back."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf


def rm(
    name: options.PromptName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    user: options.PromptOwner = None,
) -> None:
    """Delete a prompt with all its versions. For ten minutes it can come back (restore)."""
    from kataribe.base.errors import InputError
    from kataribe.cli import output

    with open_shelf(user) as shelf:
        shown = shelf.find(name)
        if "@" in name:
            raise InputError(
                "A version is never deleted alone: what it has answered must be there to look at. "
                f"Leave out the number to delete all of {shown.prompt.name}.",
                param="prompt",
            )
        if not yes:
            typer.confirm(
                f"Delete {shown.prompt.name} with {shown.prompt.latest} versions?",
                abort=True,
                err=True,
            )
        shelf.library.delete(shelf.owner, shown.prompt.id)
    output.note(
        f"{shown.prompt.name} is deleted. Bring it back: "
        f"kataribe prompts restore {shown.prompt.name}"
    )


def restore(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The prompt's name.")],
    user: options.PromptOwner = None,
) -> None:
    """Bring back a prompt that was deleted."""
    from kataribe.base.errors import NotFoundError
    from kataribe.cli import output
    from kataribe.store.prompts import normal_name

    with open_shelf(user) as shelf:
        gone = shelf.library.all(shelf.owner, deleted=True)
        found = [each for each in gone if each.prompt.name == normal_name(name)]
        if not found:
            there = ", ".join(each.prompt.name for each in gone) or "none"
            raise NotFoundError(
                f"No deleted prompt {name[:60]!r} can come back. There is: {there}.",
                param="prompt",
            )
        # Of several with that name the one that was deleted last.
        last = max(found, key=lambda each: each.prompt.deleted_at or 0)
        shown = shelf.library.restore(shelf.owner, last.prompt.id)
    output.say(shown.name)
