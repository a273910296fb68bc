"""Addresses that were meant otherwise: the API's own without the `/v1` in front, or with two."""

from __future__ import annotations

from starlette.routing import Match
from starlette.types import Scope

PREFIX = "/v1"

DOUBLED = "/v1/v1/messages"
"""What Anthropic's clients ask for when their base URL ends in `/v1`, which they add themselves."""


def meant(scope: Scope) -> str | None:
    """The address below `/v1` that a request for no route was meant for; None where none is."""
    path = PREFIX + scope["path"]
    moved = {**scope, "path": path}
    found = any(route.matches(moved)[0] is not Match.NONE for route in scope["app"].routes)
    return path if found else None


def way_out(scope: Scope) -> str:
    """What to do for somebody who asked for no route."""
    if scope["path"].startswith(DOUBLED):
        return (
            f"Did you mean {scope['path'].removeprefix(PREFIX)}? Anthropic's clients add {PREFIX} "
            "themselves: give them this server's address without it."
        )
    if (address := meant(scope)) is not None:
        return f"Did you mean {address}? The base URL of this API ends in {PREFIX}."
    return "See /docs for what there is."


def is_page(scope: Scope) -> bool:
    """Whether a browser asks for something to show."""
    accepted = (value for name, value in scope["headers"] if name == b"accept")
    return any(b"text/html" in value for value in accepted)
