"""`${NAME}` in `mcp.json`, resolved from the environment; and values kept out of what is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from kataribe.base.errors import SettingsError
from kataribe.use.agents.mcp.entries import Entry, Kind, check_address

SHORTEST_SECRET = 6
"""Characters. What is shorter is no secret, and would be blotted out everywhere."""
HIDDEN = "[hidden]"
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """A server with every variable in its place.

    Attributes:
        name: What it is called in the file.
        kind: How it is spoken to.
        command: Program and arguments; empty for one elsewhere.
        env: What its environment has beside the few usual variables.
        cwd: Where it runs.
        url: Its address; empty for a program.
        headers: Sent with every request.
        seconds: That a call may take; None for the usual.
        secrets: Values that nobody may read, the longest first.
    """

    name: str
    kind: Kind
    command: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path = Path()
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    seconds: float | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def hide(self, text: str) -> str:
        """The text with every secret value blotted out."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def resolved(name: str, entry: Entry, environment: Mapping[str, str], folder: Path) -> Target:
    """The entry with variables resolved; relative folders begin at `folder`.

    `${NAME}` must be set, `${NAME:-other}` has a value for where it is not, and `${env:NAME}` is
    how some hosts write `${NAME}`. Raises `SettingsError` naming server, field and variable.
    """
    filling = _Filling(name, environment)
    command = (entry.command, *entry.args) if entry.command else ()
    fill = filling.fill
    target = Target(
        name,
        entry.kind,
        tuple(fill(word, "args" if place else "command") for place, word in enumerate(command)),
        {key: fill(value, f"env.{key}") for key, value in entry.env.items()},
        folder / Path(fill(entry.cwd, "cwd")).expanduser(),
        fill(entry.url, "url"),
        {key: fill(value, f"headers.{key}") for key, value in entry.headers.items()},
        entry.timeout,
    )
    if target.url:
        _check(target)
    hidden = {*filling.values, *target.env.values(), *target.headers.values()}
    hidden |= {word for value in target.headers.values() for word in value.split()}
    hidden |= set(_secrets_in(target.url))
    secrets = sorted((one for one in hidden if len(one) >= SHORTEST_SECRET), key=len, reverse=True)
    return Target(
        target.name, target.kind, target.command, target.env, target.cwd, target.url,
        target.headers, target.seconds, tuple(secrets),
    )  # fmt: skip


def _check(target: Target) -> None:
    try:
        check_address(target.url)
    except ValueError as error:
        raise SettingsError(f"The MCP server {target.name!r} {error}.", param="url") from None
    for key, value in target.headers.items():
        if not (value.isascii() and value.isprintable()):
            raise SettingsError(
                f"The MCP server {target.name!r} has headers.{key} with characters that no header "
                "can have. Use letters, digits and signs of ASCII.",
                param="headers",
            )


def _secrets_in(url: str) -> Iterator[str]:
    """What an address says beside a place: a password, and the values of its query."""
    parts = urlsplit(url)
    yield from (part for part in (parts.username, parts.password, parts.query) if part)
    yield from (value for _, value in parse_qsl(parts.query))


class _Filling:
    """Puts values in the places of variables, and remembers them."""

    def __init__(self, server: str, environment: Mapping[str, str]) -> None:
        self._server = server
        self._environment = environment
        self.values: set[str] = set()

    def fill(self, text: str, where: str) -> str:
        return _VARIABLE.sub(lambda found: self._value(found[1], where), text)

    def _value(self, inside: str, where: str) -> str:
        found = _NAME.fullmatch(inside)
        said = f"The MCP server {self._server!r} has ${{{inside[:80]}}} in {where}"
        if found is None:
            raise SettingsError(
                f"{said}, which names no variable. Write ${{NAME}} or ${{NAME:-default}}.",
                param=where,
            )
        name, default = found.groups()
        value = self._environment.get(name)
        if not value and default is not None:
            return str(default)
        if value is None:
            raise SettingsError(
                f"{said}, but the environment has no {name}. Set {name}, or write "
                f"${{{name}:-default}}.",
                param=where,
            )
        self.values.add(value)
        return value
