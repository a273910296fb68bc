"""`kataribe users rm`: delete an account with everything in it."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli.users.opened import Name, open_store, told


def rm(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an account and everything that it owns. This cannot be undone."""
    import sys

    from kataribe.base.errors import InputError
    from kataribe.cli.output import note, say
    from kataribe.store import people
    from kataribe.store.purge import scrub

    with open_store() as store:
        with store.reading() as tx:
            person = people.find(tx, name)
            owned = people.owned(tx, person.id)
            last = len(people.list_people(tx)) == 1
        note(f"With {person.shown} go for good: {told(owned)}.")
        if last:
            note("It is the last account: without any, nobody has to sign in.")
        if not yes:
            if sys.stdin is None or not sys.stdin.isatty():
                raise InputError("Deleting is asked for at a terminal; elsewhere say --yes.")
            typed = typer.prompt("Type the name to delete it", err=True)
            if people.sign_in_name(typed) != person.name:
                raise InputError(f"{typed[:80]!r} is not {person.shown!r}. Nothing was deleted.")
        with store.writing() as tx:
            gone = people.remove(tx, person.id)
        scrub(store)
    say(f"{person.shown} is deleted, with {told(gone)}.")
