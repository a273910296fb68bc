"""What every command of `kataribe users` does first: opens the database, reads a password."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from kataribe.store.database import Store
    from kataribe.store.people import Owned

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name to sign in with.")]
FromStdin: TypeAlias = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input, one line."),
]


_OLDER = (
    "The database of the workspace {root} was written by an older Kataribe and has to be brought "
    "up to date, but another process{who} works with it. Stop it first, then try again."
)


@contextlib.contextmanager
def open_store() -> Iterator[Store]:
    """The workspace's database; a server may have it open, too, and notices what changes.

    An older database is brought up to date, but never under a server: an older one knows nothing
    of the new form. Raises `UnavailableError` then.
    """
    from kataribe.base.workspace import Workspace
    from kataribe.store.database import Store, needs_upgrade
    from kataribe.store.serving import holding

    workspace = Workspace.locate()
    alone = (
        holding(workspace, _OLDER)
        if needs_upgrade(workspace.database)
        else contextlib.nullcontext()
    )
    with alone:
        store = Store(workspace.database)
    try:
        yield store
    finally:
        store.close()


def new_password(name: str, *, from_stdin: bool) -> str:
    """A password that is long enough, asked for twice or piped in; as it is to be kept."""
    from kataribe.base.errors import InputError
    from kataribe.cli.given import piped_text
    from kataribe.store.passwords import check_password, hashed

    if from_stdin:
        given = piped_text()
        password = given.removesuffix("\n").removesuffix("\r")
        if "\n" in password:
            raise InputError("Standard input has several lines; the password is one line.")
        return hashed(check_password(password))
    if sys.stdin is None or not sys.stdin.isatty():
        raise InputError(
            "The password is asked for at a terminal, and here is none. "
            "Pipe it in with --password-stdin."
        )
    password = check_password(typer.prompt(f"Password of {name}", hide_input=True, err=True))
    if typer.prompt("The same once more", hide_input=True, err=True) != password:
        raise InputError("The two passwords differ. Nothing was changed; try again.")
    return hashed(password)


def told(owned: Owned) -> str:
    """How much somebody owns, in words."""
    counts = (
        (owned.conversations, "conversation"),
        (owned.messages, "message"),
        (owned.attachments, "attached file"),
        (owned.jobs, "job"),
        (owned.api_keys, "API key"),
    )
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts)
