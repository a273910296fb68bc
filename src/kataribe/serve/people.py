"""`/studio/api/me`, `sign-in`, `password`, `sessions`, `keys`: people and their ways in.

Passwords, sessions and keys are changed by somebody who has signed in, never with an API key: a
key that leaks must not make further ones or lock its person out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.types import Scope

from kataribe.base.errors import AccessError, UnsupportedError
from kataribe.serve.attempts import Attempts
from kataribe.serve.cookies import drop_session, made_token, session_token, set_session
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.shapes.people import (
    ApiKey,
    ApiKeyList,
    ApiKeyMade,
    Me,
    NewKey,
    PasswordChange,
    Person,
    SessionList,
    SessionShown,
    SignIn,
)
from kataribe.serve.who import Asker, asker_of
from kataribe.store import api_keys, passwords, people, sessions
from kataribe.store.database import Store
from kataribe.store.ids import now

_CHANGES = failures(400, 403, 404, 413, 415, 429, 503)


@dataclass(frozen=True, slots=True)
class _Door:
    """What signing in works with; `hashing` bounds the memory that scrypt takes at once."""

    desk: Desk
    attempts: Attempts = field(default_factory=Attempts)
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    @property
    def store(self) -> Store:
        return rooms_of(self.desk).store


def people_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api", tags=["people"])
    _add_door(router)
    _add_sessions(router)
    _add_keys(router)
    return router


def _door_of(http: HTTPRequest) -> _Door:
    """The door of the app that a request came to."""
    state = http.app.state
    if not hasattr(state, "door"):
        state.door = _Door(desk_of(http))
    door: _Door = state.door
    return door


def _add_door(router: APIRouter) -> None:
    @router.get(
        "/me",
        operation_id="getMe",
        summary="Say who asks, and whether signing in is needed",
        response_model=Me,
        responses=failures(),
    )
    async def me(http: HTTPRequest) -> Me:
        door = _door_of(http)
        asker = asker_of(http.scope)
        if not asker.accounts:
            keyed = door.desk.settings.key is not None
            return Me(mode="single", person=None, needs_key=keyed and not asker.server_key)
        if asker.owner is None:
            return Me(mode="accounts", person=None, needs_key=False)
        owner = asker.owner
        return _me(await door.store.read(lambda tx: people.get(tx, owner)))

    @router.post(
        "/sign-in",
        operation_id="signIn",
        summary="Sign in; the answer sets a cookie",
        response_model=Me,
        responses=_CHANGES,
        openapi_extra=takes(SignIn),
    )
    async def sign_in(http: HTTPRequest, response: Response) -> Me:
        door = _door_of(http)
        body = await read_body(http, SignIn)
        _needs_accounts(asker_of(http.scope))
        person, kept = await _prove(door, http.scope, body.name, body.password)
        token = made_token(http.scope)
        await door.store.write(lambda tx: _begin(tx, http, person, kept, token))
        response.headers["set-cookie"] = set_session(http.scope, token)
        return _me(person)

    @router.post(
        "/sign-out",
        operation_id="signOut",
        summary="End this browser's session",
        response_model=Me,
        responses=_CHANGES,
    )
    async def sign_out(http: HTTPRequest, response: Response) -> Me:
        door = _door_of(http)
        asker = asker_of(http.scope)
        _needs_accounts(asker)
        token = session_token(http.scope)
        if token is not None:
            ended = sessions.hash_of(token)
            await door.store.write(lambda tx: sessions.end(tx, ended))
            response.headers["set-cookie"] = drop_session(http.scope, token)
        return Me(mode="accounts", person=None, needs_key=False)


def _add_sessions(router: APIRouter) -> None:
    @router.post(
        "/password",
        operation_id="changePassword",
        summary="Change one's password, and end every other session",
        response_model=SessionList,
        responses=_CHANGES,
        openapi_extra=takes(PasswordChange),
    )
    async def change(http: HTTPRequest, response: Response) -> SessionList:
        door = _door_of(http)
        _, owner = _signed_in(http.scope)
        body = await read_body(http, PasswordChange)
        passwords.check_password(body.new)
        person = await door.store.read(lambda tx: people.get(tx, owner))
        _, kept = await _prove(door, http.scope, person.name, body.current)
        async with door.hashing:
            made = await asyncio.to_thread(passwords.hashed, body.new)
        token = made_token(http.scope)

        def work(tx: Connection) -> SessionList:
            begun = _begin(tx, http, person, kept, token)
            people.set_password(tx, owner, made, keep=begun.hash)
            return _sessions(sessions.list_sessions(tx, owner), begun.hash)

        shown = await door.store.write(work)
        response.headers["set-cookie"] = set_session(http.scope, token)
        return shown

    @router.get(
        "/sessions",
        operation_id="listSessions",
        summary="List the browsers that one is signed in with",
        response_model=SessionList,
        responses=failures(400),
    )
    async def list_sessions(http: HTTPRequest) -> SessionList:
        door = _door_of(http)
        asker, owner = _signed_in(http.scope)
        found = await door.store.read(lambda tx: sessions.list_sessions(tx, owner))
        return _sessions(found, asker.session)

    @router.delete(
        "/sessions/{session}",
        operation_id="endSession",
        summary="Sign another browser out",
        response_model=SessionList,
        responses=_CHANGES,
    )
    async def end_session(http: HTTPRequest, session: str) -> SessionList:
        door = _door_of(http)
        asker, owner = _signed_in(http.scope)

        def work(tx: Connection) -> list[sessions.Session]:
            sessions.end_by_id(tx, owner, session)
            return sessions.list_sessions(tx, owner)

        return _sessions(await door.store.write(work), asker.session)


def _add_keys(router: APIRouter) -> None:
    @router.get(
        "/keys",
        operation_id="listKeys",
        summary="List one's API keys",
        response_model=ApiKeyList,
        responses=failures(400),
    )
    async def list_keys(http: HTTPRequest) -> ApiKeyList:
        door = _door_of(http)
        _, owner = _signed_in(http.scope)
        return _keys(await door.store.read(lambda tx: api_keys.list_keys(tx, owner)))

    @router.post(
        "/keys",
        operation_id="makeKey",
        summary="Make an API key; it is shown this once",
        response_model=ApiKeyMade,
        responses=_CHANGES,
        openapi_extra=takes(NewKey),
    )
    async def make_key(http: HTTPRequest) -> ApiKeyMade:
        door = _door_of(http)
        _, owner = _signed_in(http.scope)
        body = await read_body(http, NewKey)
        key, words = await door.store.write(lambda tx: api_keys.make(tx, owner, body.name, now()))
        return ApiKeyMade(**_shown(key).model_dump(), key=words)

    @router.delete(
        "/keys/{key}",
        operation_id="deleteKey",
        summary="Delete an API key; what uses it is refused from then on",
        response_model=ApiKeyList,
        responses=_CHANGES,
    )
    async def delete_key(http: HTTPRequest, key: str) -> ApiKeyList:
        door = _door_of(http)
        _, owner = _signed_in(http.scope)

        def work(tx: Connection) -> list[api_keys.ApiKey]:
            api_keys.remove(tx, owner, key)
            return api_keys.list_keys(tx, owner)

        return _keys(await door.store.write(work))


async def _prove(door: _Door, scope: Scope, name: str, password: str) -> tuple[people.Person, str]:
    """The person, if the password is theirs, and what is kept of it; raises `AccessError`.

    A name that nobody has takes the same way: neither words nor time tell them apart.
    """
    client = scope.get("client")
    address = client[0] if client else ""
    key = people.sign_in_name(name)
    door.attempts.begin(key, address)
    found = await door.store.read(lambda tx: people.password_of(tx, key))
    kept = None if found is None else found[1]
    async with door.hashing:
        right = await asyncio.to_thread(passwords.is_right, password, kept)
    if found is None or not right:
        raise AccessError(
            "The name or the password is wrong. Whoever runs this server can set a new one: "
            "kataribe users password NAME",
            code="wrong_password",
        )
    door.attempts.succeed(key, address)
    return found


def _begin(
    tx: Connection, http: HTTPRequest, person: people.Person, kept: str, token: str
) -> sessions.Session:
    """A new session in the place of the one that the browser had."""
    still = people.password_of(tx, person.name)
    if still is None or still[1] != kept:  # disabled, deleted or changed since it was proved
        raise AccessError(
            "The account has just been changed. Sign in again.", code="wrong_password"
        )
    old = session_token(http.scope)
    if old is not None:
        sessions.end(tx, sessions.hash_of(old))
    return sessions.begin(tx, person.id, token, http.headers.get("user-agent", ""), now())


def _needs_accounts(asker: Asker) -> None:
    if not asker.accounts:
        raise UnsupportedError(
            "Nobody has an account here, so that nobody has to sign in. "
            "Make the first one with: kataribe users add NAME"
        )


def _signed_in(scope: Scope) -> tuple[Asker, str]:
    asker = asker_of(scope)
    _needs_accounts(asker)
    if asker.owner is None or asker.session is None:
        raise AccessError(
            "Passwords, sessions and keys are looked after by somebody who has signed in, "
            "not with a key. Sign in at /sign-in, or use: kataribe users",
            code="sign_in_needed",
        )
    return asker, asker.owner


def _me(person: people.Person) -> Me:
    shown = Person(id=person.id, name=person.shown)
    return Me(mode="accounts", person=shown, needs_key=False)


def _sessions(found: list[sessions.Session], current: str | None) -> SessionList:
    return SessionList(
        data=[
            SessionShown(
                id=one.id,
                agent=one.agent,
                created_at=one.created_at,
                seen_at=one.seen_at,
                current=one.hash == current,
            )
            for one in found
        ]
    )


def _keys(found: list[api_keys.ApiKey]) -> ApiKeyList:
    return ApiKeyList(data=[_shown(key) for key in found])


def _shown(key: api_keys.ApiKey) -> ApiKey:
    return ApiKey(
        id=key.id,
        name=key.name,
        begins=key.begins,
        created_at=key.created_at,
        used_at=key.used_at,
    )
