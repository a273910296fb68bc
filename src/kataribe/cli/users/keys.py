"""`kataribe users keys`: the API keys of a person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli.users.opened import Name, open_store

if TYPE_CHECKING:
    from kataribe.store.api_keys import ApiKey


def keys(
    name: Name,
    new: Annotated[
        str | None,
        typer.Option("--new", metavar="LABEL", help="Make a key for what LABEL names; print it."),
    ] = None,
    rm: Annotated[
        str | None, typer.Option("--rm", metavar="ID", help="Delete the key with this id.")
    ] = None,
) -> None:
    """List a person's API keys by their first letters; make or delete one."""
    from kataribe.base.errors import InputError
    from kataribe.cli.output import note, say, table
    from kataribe.store import api_keys, people
    from kataribe.store.ids import now

    if new is not None and rm is not None:
        raise InputError("Either --new or --rm, not both.")
    with open_store() as store, store.writing() as tx:
        person = people.find(tx, name)
        if new is not None:
            key, words = api_keys.make(tx, person.id, new, now())
        elif rm is not None:
            key = api_keys.remove(tx, person.id, rm)
        found = api_keys.list_keys(tx, person.id)
    if new is not None:
        note(f"A key of {person.shown}, shown only now ({key.id}):")
        say(words)
    elif rm is not None:
        say(f"{key.name} ({key.begins}...) is deleted.")
    elif not found:
        note(f"{person.shown} has no keys. Make one with: kataribe users keys {name} --new LABEL")
    else:
        table(("id", "name", "begins", "made", "last used"), [_row(one) for one in found])


def _row(key: ApiKey) -> tuple[str, ...]:
    return (key.id, key.name, f"{key.begins}...", _day(key.created_at), _day(key.used_at))


def _day(at: float | None) -> str:
    return "never" if at is None else time.strftime("%Y-%m-%d", time.localtime(at))
