"""`kataribe users add`: make an account."""

from __future__ import annotations

from kataribe.cli.users.opened import FromStdin, Name, new_password, open_store, told


def add(name: Name, password_stdin: FromStdin = False) -> None:
    """Make an account. With the first one, everybody has to sign in from then on.

    The first account takes over what was made without any. A server that runs notices at once.
    """
    from kataribe.cli.output import say
    from kataribe.store import people
    from kataribe.store.ids import now

    with open_store() as store:
        with store.reading() as tx:
            people.check_free(tx, name)  # before somebody chooses a password for nothing
        kept = new_password(name, from_stdin=password_stdin)
        with store.writing() as tx:
            person, taken = people.add(tx, name, kept, now())
    say(f"{person.shown} has an account.")
    if taken is not None:
        say(
            "It is the first: from now on everybody signs in, and programs send a person's API key "
            f"(kataribe users keys {person.shown} --new LABEL)."
        )
        say(f"{person.shown} takes over what was made without an account: {told(taken)}.")
