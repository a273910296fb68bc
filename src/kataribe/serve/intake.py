"""Bodies in: bytes to a checked request model, or an error that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.nearness import meant
from kataribe.serve.errors import RefusedError

Body = TypeVar("Body", bound=BaseModel)


NESTED = {
    "cache_control": "what can be cached is cached without being told.",
    "name": "messages carry no names here; write it into the content.",
}
"""Fields inside messages that clients know and this server does not serve, with the reason."""

LONGEST_SHOWN = 60
"""Characters of a value that an error repeats."""

_KEY = "[key]"
"""The step by which pydantic says that it is the key before that is wrong, not what it holds."""


class ClientGoneError(Exception):
    """Nobody is there any more to be answered."""


async def read_body(
    http: HTTPRequest, shape: type[Body], *, unsupported: Mapping[str, str] | None = None
) -> Body:
    """The request's body as `shape`.

    `unsupported` maps fields of OpenAI's API that this server knows and does not serve to the
    reason; null there counts as absent. Raises `InputError` and `RefusedError`.
    """
    _check_type(http)
    try:
        raw = await http.body()
    except ClientDisconnect:
        raise ClientGoneError from None
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise InputError("The body must be a JSON object.", code="invalid_json")
    for name, reason in (unsupported or {}).items():
        if value.get(name) is not None:
            raise UnsupportedError(f"Field {name!r} is not supported: {reason}", param=name)
        value.pop(name, None)
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise _first(error, value, shape) from None


def parse_json(raw: bytes) -> Any:
    """A JSON value; `InputError` for anything else.

    The parser refuses lone surrogates, NaN, bad UTF-8 and more than about 200 levels of nesting,
    in linear time and without recursion that could end the process.
    """
    try:
        return from_json(raw, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        raise InputError(f"The body is not valid JSON: {error}.", code="invalid_json") from None


def _check_type(http: HTTPRequest) -> None:
    kind, _, rest = http.headers.get("content-type", "").partition(";")
    charset = rest.replace(" ", "").lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        # Not only order: a browser sends application/json to another site only after asking
        # (CORS), and that is refused, so no foreign page can post here.
        raise RefusedError(
            415,
            "The body must be sent as Content-Type: application/json, in UTF-8.",
            code="unsupported_media_type",
        )
    if http.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(
            415,
            "Compressed bodies are not read. Send the body without Content-Encoding.",
            code="unsupported_media_type",
        )


def _first(error: ValidationError, value: Any, shape: type[BaseModel]) -> InputError:
    found = error.errors(include_url=False, include_input=False, include_context=True)
    one = max(found, key=lambda each: _weight(each, value))
    path = _path(one, value)
    param = _param(path)
    if one["type"] == "extra_forbidden" and one["loc"][-1] in NESTED:
        reason = NESTED[str(one["loc"][-1])]
        return UnsupportedError(f"Field {param!r} is not supported: {reason}", param=param)
    if one["type"] == "extra_forbidden":
        return InputError(
            f"Unknown field {param!r}. {_nearest(str(one['loc'][-1]), shape)}",
            param=param,
            code="unknown_field",
        )
    if one["type"] == "missing":
        return InputError(
            f"Field {param!r} is missing; it is required.", param=param, code="missing_field"
        )
    forms: Mapping[str | None, str] = getattr(shape, "FORMS", {})
    if param in forms:
        sent = _at(path, value)
        kind = sent.get("type") if isinstance(sent, dict) else None
        shown = f" has the type {kind!r}" if isinstance(kind, str) else _shown(sent)
        but = f"{shown}, but" if shown else ""
        return InputError(f"Field {param!r}{but} must be {forms[param]}.", param=param)
    shown = "" if one["loc"][-1] == _KEY else _shown(_at(path, value))
    return InputError(f"Field {param!r}{shown}: {_sentence(one)}.", param=param)


def _weight(one: ErrorDetails, value: Any) -> tuple[bool, bool, int, bool]:
    """How likely this is the error to tell, of all that one mistake causes.

    A wrong `type` makes its neighbours unknown; an unknown field may be a misspelt required one;
    and in a union every member complains: what reached deepest into the value, and was of the
    right kind there, is what was meant.
    """
    kind, place = one["type"], one["loc"]
    return (
        kind == "literal_error" and place[-1] == "type",
        kind == "extra_forbidden",
        len(_path(one, value)),
        not kind.endswith("_type"),
    )


def _sentence(one: ErrorDetails) -> str:
    message = one["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:].rstrip(".")


def _nearest(name: str, shape: type[BaseModel]) -> str:
    known = sorted(_names(shape.model_json_schema()))
    return meant(name, known, otherwise="Remove it, or see /docs for the fields.")


def _names(schema: Mapping[str, Any]) -> set[str]:
    names = set(schema.get("properties", {}))
    for part in schema.get("$defs", {}).values():
        names |= set(part.get("properties", {}))
    return names


def _path(one: ErrorDetails, value: Any) -> list[str | int]:
    """The steps to an error that are in the request; pydantic adds the names of union members."""
    steps: list[str | int] = []
    place = one["loc"]
    for number, step in enumerate(place):
        if _is_kind(step, value, is_last=number == len(place) - 1):
            continue
        inside = (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        )
        if inside:
            value = value[step]
        if inside or (one["type"] == "missing" and number == len(place) - 1):
            steps.append(step)
    return steps


def _is_kind(step: str | int, value: Any, *, is_last: bool) -> bool:
    """Whether a step is a union member's name, although the object has a field of that name too.

    Such as the block `{"type": "text", "text": ...}`, whose words have nothing inside.
    """
    if is_last or not isinstance(value, dict) or step not in (value.get("type"), value.get("role")):
        return False
    return not isinstance(value.get(step), dict | list)


def _at(path: Sequence[str | int], value: Any) -> Any:
    for step in path:
        value = value[step]
    return value


def _shown(value: Any) -> str:
    """What stands behind a field's name to say its value; nothing for long and composed ones."""
    if isinstance(value, dict | list):
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return f" is {text}" if len(text) <= LONGEST_SHOWN else ""


def _param(place: Sequence[str | int]) -> str | None:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")[:200] or None
