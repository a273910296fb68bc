"""`kataribe users rm`: delete an account with everything in it."""

from __future__ import annotations

import time
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
    from kataribe.base.workspace import Workspace
    from kataribe.cli.metering import trace_store
    from kataribe.cli.output import note, say
    from kataribe.cli.users.leftovers import discard_jobs
    from kataribe.store import people, purge
    from kataribe.store.upgrade import BACKUP_SECONDS, backups

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
        gone = purge.empty_account(store, person.id)
        for failure in discard_jobs(store, person.id):
            note(f"What a job left may still be here. {failure}")
        purge.remove_account(store, person.id)
        trace_store(Workspace.locate()).forget(person.id)
        purge.scrub(store)
        left = backups(store.path)
    say(f"{person.shown} is deleted, with {told(gone)}.")
    for backup in left:
        until = backup.stat().st_mtime + BACKUP_SECONDS
        note(
            f"What {person.shown} wrote may still be in {backup}, which an upgrade of the database "
            f"left. A server that runs removes it after {_day(until)}; if nothing else in it is "
            "needed, delete that file now."
        )


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))
