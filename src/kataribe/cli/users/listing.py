"""`kataribe users list`: who has an account."""

from __future__ import annotations

import time

from kataribe.cli import options
from kataribe.cli.users.opened import open_store


def list_users(json: options.Json = False) -> None:
    """List the accounts, and what each of them owns."""
    from kataribe.cli.output import emit_json, note, table
    from kataribe.store import people

    with open_store() as store, store.reading() as tx:
        found = [(person, people.owned(tx, person.id)) for person in people.list_people(tx)]
    if json:
        emit_json(
            [
                {
                    "id": person.id,
                    "name": person.shown,
                    "disabled": person.disabled,
                    "created_at": person.created_at,
                    "conversations": owned.conversations,
                    "api_keys": owned.api_keys,
                }
                for person, owned in found
            ]
        )
        return
    if not found:
        note(
            "Nobody has an account, so nobody has to sign in. "
            "Make the first one with: kataribe users add NAME"
        )
        return
    rows = [
        (
            person.shown,
            "disabled" if person.disabled else "enabled",
            time.strftime("%Y-%m-%d", time.localtime(person.created_at)),
            str(owned.conversations),
            str(owned.api_keys),
        )
        for person, owned in found
    ]
    table(("name", "state", "since", "conversations", "API keys"), rows)
