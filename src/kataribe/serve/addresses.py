"""Addresses that were meant otherwise: the API's own without the `/v1` in front."""

from __future__ import annotations

from starlette.routing import Match
from starlette.types import Scope

PREFIX = "/v1"


def meant(scope: Scope) -> str | None:
    """The address below `/v1` that a request for no route was meant for; None where none is."""
    path = PREFIX + scope["path"]
    moved = {**scope, "path": path}
    found = any(route.matches(moved)[0] is not Match.NONE for route in scope["app"].routes)
    return path if found else None


def is_page(scope: Scope) -> bool:
    """Whether a browser asks for something to show."""
    accepted = (value for name, value in scope["headers"] if name == b"accept")
    return any(b"text/html" in value for value in accepted)
