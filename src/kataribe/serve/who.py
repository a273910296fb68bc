"""Who asks: found out by the gate for every request, and told to whatever serves it."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from starlette.types import Scope

from kataribe.base.errors import AccessError, StorageError
from kataribe.serve.cookies import session_token
from kataribe.serve.desk import Desk
from kataribe.store import api_keys, people, sessions
from kataribe.store.ids import now
from kataribe.store.tables import LOCAL

log = logging.getLogger("kataribe.serve")

OWNER = "kataribe.owner"
ASKER = "kataribe.asker"


@dataclass(frozen=True, slots=True)
class Asker:
    """What a request says of who sends it.

    Attributes:
        accounts: Somebody has an account here, so that everybody has to say who they are.
        owner: Id of the person; `local` while there are no accounts; None where nobody is known,
            or only the server's own key came.
        session: Hash of the session that came in a cookie.
        server_key: The server's own key came.
        wrong: A key came that opens nothing.
        renewed: The session's token, where its cookie should last from now on.
    """

    accounts: bool = False
    owner: str | None = None
    session: str | None = None
    server_key: bool = False
    wrong: bool = False
    renewed: str | None = None


def owner_of(scope: Scope) -> str:
    """The id of the person who asks; `local` while there are no accounts.

    Raises `AccessError` for whoever is no person: with accounts, the server's own key opens what
    belongs to nobody (models, figures) and none of people's things.
    """
    owner: str | None = scope.get(OWNER, LOCAL)
    if owner is None:
        raise AccessError(
            "This belongs to people, and the server's own key is nobody's. Sign in, or send a "
            "person's API key (sk-kataribe-...) as Authorization: Bearer KEY.",
            code="person_needed",
        )
    return owner


def asker_of(scope: Scope) -> Asker:
    """What the gate found out."""
    asker: Asker = scope[ASKER]
    return asker


def key_of(scope: Scope) -> str | None:
    """The key that came: the word after `Bearer`, else `x-api-key` (Anthropic's clients).

    '' for a header that has none or says something else; None where neither header came.
    """
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if not sent:
        keys = [value for name, value in scope["headers"] if name == b"x-api-key"]
        if not keys:
            return None
        return str(keys[0].strip().decode("latin-1")) if len(keys) == 1 else ""
    kind, _, word = sent[0].partition(b" ")
    if len(sent) > 1 or kind.lower() != b"bearer":
        return ""
    return str(word.strip().decode("latin-1"))


async def find_asker(desk: Desk, scope: Scope) -> Asker:
    """Finds out who sends a request; refuses nobody."""
    word = key_of(scope)
    alone = _alone(desk, word)
    if desk.rooms is None:
        return alone
    token = session_token(scope)
    # One look for every request: an account made at the terminal counts from the next one on.
    asker, note = await desk.rooms.store.read(lambda tx: _look(tx, alone, word, token))
    if note is not None:
        try:
            await desk.rooms.store.write(note)
        except StorageError as error:
            log.warning("That a key or session was used is not written down: %s", error)
            return replace(asker, renewed=None)
    return asker


def _alone(desk: Desk, word: str | None) -> Asker:
    """Who asks where nobody has an account."""
    key = desk.settings.key
    if key is None:
        return Asker(owner=LOCAL)
    if word is None:
        return Asker()
    # Compared in constant time, so that no one can guess it letter by letter.
    right = hmac.compare_digest(word.encode("latin-1"), key.encode())
    return Asker(owner=LOCAL if right else None, server_key=right, wrong=not right)


_Note = Callable[[Connection], None]


def _look(
    tx: Connection, alone: Asker, word: str | None, token: str | None
) -> tuple[Asker, _Note | None]:
    if not people.have_accounts(tx):
        return alone, None
    at = now()
    found = Asker(accounts=True, server_key=alone.server_key)
    if word is not None and not found.server_key:
        key = api_keys.find(tx, word)
        if key is None:
            return replace(found, wrong=True), None
        due = key.is_due(at)
        note = (lambda tx: api_keys.note_use(tx, key.id, at)) if due else None
        return replace(found, owner=key.person), note
    session = None if token is None else sessions.find(tx, token, at)
    if session is None or token is None:
        return found, None
    found = replace(found, owner=session.person, session=session.hash)
    if not session.is_due(at):
        return found, None
    return replace(found, renewed=token), lambda tx: sessions.renew(tx, session.hash, at)
