"""JSON inside of a reply: bare, in a fence, or after some words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn

_FENCE = re.compile(r"\A```[\w-]*\s*\n(?P<inside>.*?)\n?```\Z", re.DOTALL)
_OPENING = re.compile(r"[\[{]")


@dataclass(frozen=True, slots=True)
class Found:
    """A JSON value.

    Attributes:
        written: As it stands.
        value: What it says.
        normal: One spelling for equal values: keys sorted, no spaces, 1.0 as 1.
        is_all: Nothing but it (and a fence) is in the text.
    """

    written: str
    value: Any
    normal: str
    is_all: bool


def last_json(text: str) -> Found | None:
    """The whole text as JSON, else the last object or list in it that is complete."""
    bare = text.strip()
    fenced = _FENCE.match(bare)
    inside = fenced["inside"].strip() if fenced else bare
    whole = _read(inside, 0)
    if whole is not None and len(whole.written) == len(inside):
        return replace(whole, is_all=True)
    last = None
    at = 0
    while opening := _OPENING.search(text, at):
        found = _read(text, opening.start())
        at = opening.end() if found is None else opening.start() + len(found.written)
        last = found or last
    return last


def _read(text: str, start: int) -> Found | None:
    try:
        value, end = json.JSONDecoder(parse_constant=_refuse).raw_decode(text, start)
        normal = json.dumps(
            _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
    except (ValueError, RecursionError):  # a model in a loop opens brackets without end
        return None
    return Found(text[start:end], value, normal, is_all=False)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
