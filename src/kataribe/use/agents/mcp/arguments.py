"""Whether arguments fit a schema that a stranger wrote: nothing of it is fetched or runs long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MOST_REFERENCES = 10_000
"""Followed in one check. A few definitions that refer to each other twice grow without end."""


class _TooMuch(Exception):  # noqa: N818 - it ends a check and is no error
    pass


def complaint(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """What does not fit, in a line; None where all does, or where only the server can tell.

    The server checks its arguments itself. This tells a model sooner and in better words, so it
    leaves alone what could hurt: regular expressions, references to other documents, schemas that
    are none. JSON Schema, draft 2020-12 unless it names another.
    """
    from jsonschema.exceptions import SchemaError, best_match
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
        careful = _careful(kind)(schema, registry=Registry())
        error = best_match(careful.iter_errors(dict(arguments)))
    except (SchemaError, Unresolvable, RecursionError, _TooMuch):
        return None
    if error is None:
        return None
    message = error.message if len(error.message) <= 300 else f"{error.message[:299]}…"
    return message if error.json_path == "$" else f"{error.json_path[2:]}: {message}"


def _careful(kind: Any) -> Any:
    """The validator without expressions, counting what it follows."""
    from jsonschema import validators

    known: Mapping[str, Callable[..., Any]] = kind.VALIDATORS
    followed = 0

    def counted(check: Callable[..., Any]) -> Callable[..., Any]:
        def follow(*given: Any) -> Any:
            nonlocal followed
            followed += 1
            if followed > MOST_REFERENCES:
                raise _TooMuch
            return check(*given)

        return follow

    def additional(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if "patternProperties" not in schema:
            yield from known["additionalProperties"](validator, value, instance, schema) or ()

    changed: dict[str, Callable[..., Any]] = dict.fromkeys(
        ("pattern", "patternProperties", "unevaluatedProperties"), _nothing
    )
    changed["additionalProperties"] = additional
    changed |= {
        name: counted(known[name])
        for name in ("$ref", "$dynamicRef", "$recursiveRef")
        if name in known
    }
    extend: Callable[..., Any] = validators.extend
    return extend(kind, changed)


def _nothing(*_: Any) -> Iterator[Any]:
    return iter(())


def sound(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments without halves of characters, which no wire carries."""
    text = json.dumps(dict(arguments), ensure_ascii=False).encode("utf-8", "replace")
    found: dict[str, Any] = json.loads(text)
    return found
