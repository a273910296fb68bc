"""The session's cookie: how it is named, read and set.

Cookies know no ports, so the name has the server's: two servers on one machine do not sign each
other out. Where the browser came by https it is `Secure` and named `__Host-`, which no other host
of the same domain can set; its token begins with `s` and counts under that name only.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

from kataribe.store.sessions import LASTS, new_token

_NAME = "kataribe"
_HOST = "__Host-"
_SECURE, _PLAIN = "s", "p"


def made_token(scope: Scope) -> str:
    """A token for a session of the browser that sends this request."""
    return (_SECURE if _by_https(scope) else _PLAIN) + new_token()


def session_token(scope: Scope) -> str | None:
    """The token that came in a cookie."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name != b"cookie":
            continue
        for pair in value.decode("latin-1").split(";"):
            key, _, word = pair.strip().partition("=")
            found.setdefault(key, word)
    name = _name(scope)
    for key, kind in ((_HOST + name, _SECURE), (name, _PLAIN)):
        if found.get(key, "").startswith(kind):
            return found[key]
    return None


def set_session(scope: Scope, token: str) -> str:
    """The `Set-Cookie` that gives a browser its token."""
    return _cookie(scope, token, int(LASTS))


def drop_session(scope: Scope, token: str) -> str:
    """The `Set-Cookie` that takes it away."""
    return _cookie(scope, token[:1], 0)


def _cookie(scope: Scope, token: str, seconds: int) -> str:
    secure = token.startswith(_SECURE)
    name = (_HOST if secure else "") + _name(scope)
    word = token if seconds else ""
    parts = [f"{name}={word}", "Path=/", f"Max-Age={seconds}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, "Secure"] if secure else parts)


def _name(scope: Scope) -> str:
    port = urlsplit(f"//{_header(scope, b'host')}").port  # checked by the gate
    return _NAME if port is None else f"{_NAME}-{port}"


def _by_https(scope: Scope) -> bool:
    # Behind a proxy that speaks https for us the connection says http; what the browser sees says
    # the Origin, which it sends with every POST and which the gate has held against the Host.
    return scope["scheme"] == "https" or _header(scope, b"origin").startswith("https://")


def _header(scope: Scope, wanted: bytes) -> str:
    for name, value in scope["headers"]:
        if name == wanted:
            return str(value.decode("latin-1"))
    return ""
