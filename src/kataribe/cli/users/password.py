"""`kataribe users password`: set a new password."""

from __future__ import annotations

from kataribe.cli.users.opened import FromStdin, Name, new_password, open_store


def password(name: Name, password_stdin: FromStdin = False) -> None:
    """Set a new password; whoever is signed in under this name has to sign in again."""
    from kataribe.cli.output import say
    from kataribe.store import people

    with open_store() as store:
        with store.reading() as tx:
            person = people.find(tx, name)
        kept = new_password(person.shown, from_stdin=password_stdin)
        with store.writing() as tx:
            ended = people.set_password(tx, person.id, kept)
    say(f"{person.shown} has a new password; {ended} sessions ended. API keys stay as they are.")
