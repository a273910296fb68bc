"""The gate: who may ask, from where, and how much they may send, before anything is read."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.routing import Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kataribe.base.errors import AccessError, KataribeError
from kataribe.serve.cookies import set_session
from kataribe.serve.desk import Desk
from kataribe.serve.errors import RefusedError, error_response
from kataribe.serve.intake import ClientGoneError
from kataribe.serve.settings import ServerSettings, is_loopback
from kataribe.serve.who import ASKER, OWNER, Asker, find_asker

OPEN = frozenset(
    {"/health", "/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"}
)
"""Routes that answer without a key; any other needs it. The studio's files are no routes."""

WHO = ("GET", "/studio/api/me")
"""Tells whoever asks how to get in."""

DOOR = frozenset({("POST", "/studio/api/sign-in"), ("POST", "/studio/api/sign-out")})
"""With accounts, how to get in and out; without any, routes like all others."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

BODY_SECONDS = 30.0
"""Longest silence while a body is sent."""

RECHECKED = 15.0
"""Seconds after which a stream asks again whether its reader may still read it."""

LONGER = {"/studio/api/import": 2 * 1024**3}
"""Routes that read longer bodies than all others, in bytes; they lay them down on the disk."""

SHORTER = dict.fromkeys(
    ("/studio/api/sign-in", "/studio/api/sign-out", "/studio/api/password"), 32 * 1024
)
"""Routes for passwords, in bytes: whoever has no key yet can make the server read no more."""

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""What every answer says, unless its route says otherwise."""


class Gate:
    """ASGI middleware; `router` tells which paths are routes."""

    def __init__(self, app: ASGIApp, *, desk: Desk, router: Router) -> None:
        self._app = app
        self._desk = desk
        self._router = router
        self._hosts = _own_hosts(desk.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the request in, or answers why not."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cookies: list[tuple[bytes, bytes]] = []
        send = _with_headers(send, cookies)
        try:
            asker = await self._check(scope)
        except KataribeError as error:
            await error_response(error, scope)(scope, receive, send)
            return
        scope[ASKER] = asker
        scope[OWNER] = asker.owner
        if asker.renewed is not None:
            cookies.append((b"set-cookie", set_session(scope, asker.renewed).encode()))
        if self._desk.rooms is not None:
            send = self._while_known(scope, asker, send)
        await self._app(scope, _limited(receive, self._longest(scope)), send)

    async def _check(self, scope: Scope) -> Asker:
        host = self._check_host(scope)
        changes = scope["method"] not in SAFE
        if changes:
            self._check_origin(scope, host)
        if scope["path"] in OPEN or not self._is_route(scope):
            return Asker()
        asker = await find_asker(self._desk, scope)
        if asker.session is not None and not changes:
            self._check_origin(scope, host)  # a cookie comes by itself, whoever made it come
        self._check_asker(scope, asker)
        if changes:
            self._desk.lifecycle.check()
            self._check_length(scope)
        return asker

    def _while_known(self, scope: Scope, asker: Asker, send: Send) -> Send:
        """`send` that ends a long stream when its session or key does."""
        checked = time.monotonic()

        async def sending(message: Message) -> None:
            nonlocal checked
            flows = message["type"] == "http.response.body" and message.get("more_body", False)
            if flows and time.monotonic() - checked >= RECHECKED:
                checked = time.monotonic()
                if (await find_asker(self._desk, scope)).owner != asker.owner:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    raise ClientGoneError
            await send(message)

        return sending

    def _is_route(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self._router.routes)

    def _check_host(self, scope: Scope) -> str:
        # A page of any site can make a browser send requests here by pointing its own name at
        # this address (DNS rebinding); only the Host header gives that away.
        hosts = _all(scope, b"host")
        name = _host_name(hosts[0]) if len(hosts) == 1 else None
        if name is None or not (name in self._hosts or self._is_own_address(name)):
            raise RefusedError(
                421,
                f"This server does not answer to the host {', '.join(hosts)[:200]!r}. Use its own "
                "address, or allow the name: kataribe up --allow-host NAME, or KATARIBE_HOSTS, or "
                "hosts in kataribe.toml.",
                code="foreign_host",
            )
        return hosts[0]

    def _is_own_address(self, name: str) -> bool:
        # Who listens for others cannot know all the addresses it is reached by; and a bare
        # address cannot be rebound, because no name is looked up.
        if is_loopback(self._desk.settings.host):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _check_origin(self, scope: Scope, host: str) -> None:
        origins = _all(scope, b"origin")
        allowed = self._desk.settings.allowed_origins
        for origin in origins:
            if origin not in allowed and _place_of(origin) != host.lower():
                raise _foreign(f"A page of {origin[:200]!r}")
        # Browsers leave the origin out of some requests, and say this much of all of them.
        sites = _all(scope, b"sec-fetch-site")
        if not origins and not {"same-origin", "none"}.issuperset(sites):
            raise _foreign("A page of another site")

    def _check_asker(self, scope: Scope, asker: Asker) -> None:
        call = (scope["method"], scope["path"])
        if asker.owner is not None or asker.server_key or call == WHO:
            return
        if not asker.accounts:
            what = (
                "The key is wrong. Send the right one"
                if asker.wrong
                else "A key is needed. Send it"
            )
            raise AccessError(f"{what} as Authorization: Bearer KEY, or as x-api-key: KEY.")
        if call in DOOR:
            return
        if asker.wrong:
            raise AccessError(
                "The key is wrong, deleted, or of a disabled account. Send a person's API key "
                "(sk-kataribe-...) as Authorization: Bearer KEY; people make them in the settings."
            )
        raise AccessError(
            "People have accounts here. Sign in at /sign-in, or send a person's API key as "
            "Authorization: Bearer sk-kataribe-...",
            code="sign_in_needed",
        )

    def _longest(self, scope: Scope) -> int:
        usual = self._desk.settings.max_body_bytes
        return LONGER.get(scope["path"], min(usual, SHORTER.get(scope["path"], usual)))

    def _check_length(self, scope: Scope) -> None:
        limit = self._longest(scope)
        for length in _all(scope, b"content-length"):
            if not length.isdecimal() or int(length[:20]) > limit:
                raise _too_long(limit, f"{length[:20]} bytes long")


def _own_hosts(settings: ServerSettings) -> frozenset[str]:
    names: Iterable[str] = (
        "localhost",
        "127.0.0.1",
        "::1",
        settings.host,
        *settings.allowed_hosts,
    )
    if not is_loopback(settings.host):  # others reach it by this machine's name
        own = socket.gethostname()
        names = (*names, own, f"{own.partition('.')[0]}.local")
    return frozenset(name.strip("[]").lower().rstrip(".") for name in names)


def _host_name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return None
    if parts.netloc != host or "@" in host or parts.path or parts.query or parts.fragment:
        return None
    return (parts.hostname or "").rstrip(".") or None


def _place_of(origin: str) -> str | None:
    """Host and port of a page's origin; None for what is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _all(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _foreign(who: str) -> RefusedError:
    return RefusedError(
        403,
        f"{who} may not send requests here. Open the studio at this server's own address, or allow "
        "the origin: KATARIBE_ORIGINS, or origins in kataribe.toml.",
        code="foreign_origin",
    )


def _too_long(limit: int, length: str) -> RefusedError:
    return RefusedError(
        413,
        f"The body is {length}, but at most {limit} bytes are read. Send less at a time.",
        code="body_too_long",
    )


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive` that gives up on a body which is too long or has stopped coming."""
    seen = 0
    whole = False

    async def careful() -> Message:
        nonlocal seen, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await receive()
        except TimeoutError:
            raise RefusedError(
                408,
                f"Nothing more of the body came for {BODY_SECONDS:g} seconds.",
                code="body_timeout",
                headers={"Connection": "close"},
            ) from None
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if seen > limit:
            raise _too_long(limit, f"longer than {limit} bytes")
        return message

    return careful


def _with_headers(send: Send, cookies: list[tuple[bytes, bytes]]) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            named = {name.lower() for name, _ in headers}
            headers += [header for header in (*HEADERS, *cookies) if header[0] not in named]
            message = {**message, "headers": headers}
        await send(message)

    return adding
