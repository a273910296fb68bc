"""The file `mcp.json`: which MCP servers there are, in the form that every host of them reads.

    {"mcpServers": {"files": {"command": "npx", "args": ["-y", "some-server", "/data"]},
                    "issues": {"url": "https://mcp.example.org/mcp",
                               "headers": {"Authorization": "Bearer ${ISSUES_TOKEN}"}}}}

A server whose entry is wrong is there with what is wrong about it, and the others work. Values may
be secret, so errors name fields and never show what stands in `env` or `headers`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kataribe.base.errors import FormatError, InputError, NotFoundError, StorageError
from kataribe.base.nearness import listed, meant, near

SERVERS = "mcpServers"
LONGEST = 1 << 20
"""Bytes of the file."""
LONGEST_NAME = 100
SECRET = ("env", "headers")
"""Fields whose values are never shown."""

Kind: TypeAlias = Literal["stdio", "http", "sse"]
_KINDS: Mapping[str, Kind] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "sse": "sse",
}
"""How hosts write the kinds of transport."""


class Entry(BaseModel):
    """One server as the file says it, with variables as they stand there.

    Attributes:
        command: The program of a server on this machine, spoken to over its standard streams.
        args: Its arguments.
        env: Further variables of its environment.
        cwd: Where it runs; the file's folder where nothing is said.
        url: The address of a server elsewhere.
        headers: Sent with every request there.
        type: `stdio`, `http` (streamable HTTP) or `sse`; a command is `stdio`, an address `http`.
        timeout: Seconds that a call may take.
        disabled: It is there and not used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    cwd: str = ""
    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    type: str | None = None
    timeout: float | None = Field(default=None, gt=0, le=3600)
    disabled: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Entry:
        if bool(self.command) == bool(self.url):
            both = "both command and url; leave out one" if self.url else "neither command nor url"
            raise ValueError(f"has {both}")
        if self.type is not None and self.type not in _KINDS:
            raise ValueError(f"has type {self.type!r:.40}; known ones are {', '.join(_KINDS)}")
        if self.type is not None and (_KINDS[self.type] == "stdio") != bool(self.command):
            needed = "a command" if _KINDS[self.type] == "stdio" else "a url"
            raise ValueError(f"has type {self.type}, which needs {needed}")
        stray = ("url", "headers") if self.command else ("args", "env", "cwd")
        for name in stray:
            if getattr(self, name):
                owner = "url" if self.command else "command"
                raise ValueError(f"has {name}, which only a server with a {owner} can have")
        if self.url and "${" not in self.url:
            check_address(self.url)
        return self

    @property
    def kind(self) -> Kind:
        """How it is spoken to."""
        return _KINDS[self.type] if self.type else "stdio" if self.command else "http"

    @property
    def place(self) -> str:
        """Its program, or its host: never arguments or a query, where a secret may stand."""
        if self.command:
            return self.command
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_address(url: str) -> None:
    """Raises `ValueError`, without the address, for what is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("has a url that does not begin with http:// or https:// and a host")


@dataclass(frozen=True, slots=True)
class Listed:
    """A server of the file: its entry, or what is wrong with it.

    Attributes:
        name: What it is called there.
        entry: What it says; None where that is wrong.
        problem: What is wrong and the way out; empty where nothing is.
    """

    name: str
    entry: Entry | None = field(default=None, repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """A server that was taken out.

    Attributes:
        name: What it was called.
        value: What the file said of it, right or wrong.
        place: How many servers stood before it.
    """

    name: str
    value: Any = field(repr=False)
    place: int


def read_servers(path: Path) -> dict[str, Listed]:
    """The servers of a file by name, in its order; none where there is no file.

    Raises `FormatError` for what is no such file at all.
    """
    return {
        name: _listed(name, value, path.name) for name, value in _servers(_read(path), path).items()
    }


def add_server(path: Path, name: str, entry: Entry) -> None:
    """Writes a server into the file; everything else in it stays as it is.

    Raises `InputError` where the name is taken or cannot be one.
    """
    _check_name(name)
    whole = _read(path)
    servers = _servers(whole, path)
    if name in servers:
        raise _taken(path, name)
    said = entry.model_dump(mode="json", exclude_defaults=True)
    _write(path, {**whole, SERVERS: {**servers, name: said}})


def remove_server(path: Path, name: str) -> Removed:
    """Takes a server out of the file; raises `NotFoundError`, with near names."""
    whole = _read(path)
    servers = dict(_servers(whole, path))
    if name not in servers:
        raise unknown_server(name, servers, str(path))
    removed = Removed(name, servers[name], list(servers).index(name))
    del servers[name]
    _write(path, {**whole, SERVERS: servers})
    return removed


def restore_server(path: Path, removed: Removed) -> None:
    """Puts a server back where it was, whatever it says; `InputError` where its name is taken."""
    whole = _read(path)
    servers = _servers(whole, path)
    if removed.name in servers:
        raise _taken(path, removed.name)
    rows = list(servers.items())
    rows.insert(removed.place, (removed.name, removed.value))
    _write(path, {**whole, SERVERS: dict(rows)})


def _taken(path: Path, name: str) -> InputError:
    return InputError(
        f"{path} has a server {name!r} already. Take another name, or remove that one: "
        f"kataribe mcp rm {name}",
        param="name",
    )


def unknown_server(name: str, known: Mapping[str, Any], where: str) -> NotFoundError:
    """The error for a name that no server has."""
    hint = meant(name, known, most=2) if known else f"{where} has none: kataribe mcp add"
    return NotFoundError(f"There is no MCP server {name!r:.80}. {hint}", param="server")


def unknown_tool(
    name: str, known: Collection[str], server: str, *, param: str | None = None
) -> NotFoundError:
    """The error for a name that no tool of a server has."""
    hint = meant(name, known, most=2, there="It has")
    return NotFoundError(f"The MCP server {server!r} has no tool {name!r:.80}. {hint}", param=param)


def entry_of(name: str, value: Any, where: str) -> Entry:
    """The entry that plain values make; `InputError` names server, field and way out."""
    said = f"The MCP server {name!r:.100} in {where}"
    try:
        # As JSON, where lists are lists and nothing is taken for something else.
        return Entry.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise _explained(error, said) from None


def _listed(name: str, value: Any, where: str) -> Listed:
    try:
        _check_name(name)
        return Listed(name, entry_of(name, value, where))
    except InputError as error:
        return Listed(name, problem=error.message)


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"{name[:LONGEST_NAME]!r} cannot name an MCP server: use 1 to {LONGEST_NAME} "
            "characters that can be seen.",
            param="name",
        )


def _explained(error: ValidationError, said: str) -> InputError:
    first = error.errors(include_url=False, include_context=False)[0]
    steps = [str(step) for step in first["loc"]]
    path = ".".join(steps)
    if first["type"] == "extra_forbidden":
        known = list(Entry.model_fields)
        hint = meant(steps[0], known, there="It may have")
        return InputError(f"{said} has {path!r:.80}, which is unknown. {hint}", param=path)
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return InputError(f"{said} {problem}.", param=path or None)
    if not steps:
        return InputError(f'{said} must be an object such as {{"command": "..."}}.')
    given = "" if steps[0] in SECRET else f" {first['input']!r:.80}"
    return InputError(f"{said} has {path}{given}: {problem}.", param=path)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LONGEST:
            raise FormatError(f"{path} has more than {LONGEST} bytes; it lists a few servers.")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is no UTF-8 text: {error.reason}. Mend or remove it.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{path} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}. Mend it."
        ) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    if not isinstance(found, dict):
        raise FormatError(f'{path} must be an object such as {{"{SERVERS}": {{}}}}.')
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are there once: of two, one would be lost without a word."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"it has {name!r:.80} twice; give each its own name")
        found[name] = value
    return found


def _servers(whole: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    servers = whole.get(SERVERS)
    if servers is None and whole:
        found = near(SERVERS, whole, most=1)
        hint = f"Did you mean that by {found[0]!r:.80}?" if found else f"It has {listed(whole)}."
        raise FormatError(f"{path} has no {SERVERS!r}. {hint}")
    if servers is None:
        return {}
    if not isinstance(servers, dict):
        raise FormatError(f"{path} has {SERVERS!r} that is no object of servers by name.")
    return servers


def _write(path: Path, whole: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(  # only its owner may read it: headers may be secret
            "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", delete=False
        ) as file:
            json.dump(whole, file, ensure_ascii=False, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            Path(file.name).chmod(path.stat().st_mode & 0o777)
        Path(file.name).replace(path.resolve())
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
