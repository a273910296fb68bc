"""`kataribe users disable` and `enable`: lock somebody out, and let them in again."""

from __future__ import annotations

from kataribe.cli.users.opened import Name, open_store


def disable(name: Name) -> None:
    """Lock somebody out: sessions end, API keys are refused. What they own stays."""
    from kataribe.cli.output import note, say
    from kataribe.store import people

    with open_store() as store, store.writing() as tx:
        person = people.find(tx, name)
        people.set_disabled(tx, person.id, disabled=True)
        nobody = all(one.disabled for one in people.list_people(tx))
    say(f"{person.shown} is disabled.")
    if nobody:
        note(f"Nobody can sign in now. Let somebody in: kataribe users enable {person.shown}")


def enable(name: Name) -> None:
    """Let somebody in again, with the same password and keys."""
    from kataribe.cli.output import say
    from kataribe.store import people

    with open_store() as store, store.writing() as tx:
        person = people.find(tx, name)
        people.set_disabled(tx, person.id, disabled=False)
    say(f"{person.shown} is enabled.")
