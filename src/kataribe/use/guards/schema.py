"""Sees to it that a reply is JSON of the schema that was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kataribe.base.errors import ConstraintError, SettingsError
from kataribe.base.events import FinishReason
from kataribe.base.lm import JsonFormat, Request
from kataribe.base.messages import Message, text_message
from kataribe.use.guards.guard import ALL, Action, Sighting, Verdict, check_action, excerpt
from kataribe.use.guards.json_repair import mended, parsed


@dataclass(frozen=True, slots=True)
class Schema:
    """The guard `schema`.

    A broken reply is mended where only one mending is possible, and that is always told.

    Attributes:
        schema: A JSON schema (Draft 2020-12 unless it names another); None for the one in the
            request's response format. Where neither is, nothing is checked.
        action: For what cannot be mended: `retry`, `stop` or `note`.
        otherwise: For a reply that is broken when no retry is left: `stop` or `note`. Its words go
            out either way.
    """

    schema: Mapping[str, Any] | None = None
    action: Action = "retry"
    otherwise: Literal["stop", "note"] = "stop"
    name: str = field(default="schema", init=False)
    about: str = field(
        default="Mends replies that break their JSON schema, or asks again.", init=False
    )
    holds: str = field(default="the whole reply, where a schema applies", init=False)
    reads_reasoning: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_action(self.name, "action", self.action, ("retry", "stop", "note"))
        check_action(self.name, "otherwise", self.otherwise, ("stop", "note"))
        if self.schema is not None:
            try:
                _check(self.schema)
            except ConstraintError as error:
                raise SettingsError(error.message, param="schema") from error

    def watch(self, request: Request) -> SchemaWatch:
        """A watch on one choice; `ConstraintError` for a schema that is none."""
        form = request.response_format
        if self.schema is not None:
            return SchemaWatch(self, self.schema)
        if not isinstance(form, JsonFormat):
            return SchemaWatch(self, None)
        schema = {} if form.schema is None else form.schema
        _check(schema)
        return SchemaWatch(self, schema)


class SchemaWatch:
    """Holds one choice back until it is whole, then checks it."""

    def __init__(self, guard: Schema, schema: Mapping[str, Any] | None) -> None:
        self._guard = guard
        self._schema = schema
        self._text: list[str] = []

    def push(self, text: str, tokens: int) -> Verdict:  # noqa: ARG002
        """Takes the next characters."""
        self._text.append(text)
        return Verdict(hold=0 if self._schema is None else ALL)

    def finish(self, reason: FinishReason, *, calls: bool) -> Verdict:
        """Takes the end."""
        if self._schema is None or calls or reason not in ("stop", "length"):
            return Verdict()
        said = "".join(self._text)
        wrong = complaint(said, self._schema)
        if wrong is None:
            return Verdict()
        made = mended(said)
        if made is not None and complaint(made, self._schema) is None:
            return Verdict(ALL, self._seen("the JSON was mended", wrong, said, "repair"), text=made)
        seen = self._seen("the JSON is wrong", wrong, said, self._guard.action)
        hint: tuple[Message, ...] = (
            text_message("assistant", said),
            text_message(
                "user",
                f"That broke the JSON schema: {wrong}. Answer once more with the JSON alone.\n"
                f"Schema: {json.dumps(self._schema, ensure_ascii=False)}",
            ),
        )
        return Verdict(ALL, seen, hint=hint, otherwise=self._guard.otherwise)

    def _seen(self, what: str, wrong: str, said: str, action: Action) -> Sighting:
        return Sighting(
            self._guard.name, f"{what}: {wrong}", "the whole reply", excerpt(said), action
        )


def complaint(text: str, schema: Mapping[str, Any]) -> str | None:
    """What keeps a text from being JSON of a schema, in a line; None for nothing."""
    is_json, value = parsed(text)
    if not is_json:
        return "it is no JSON"
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(_validator(schema).iter_errors(value))
    except RecursionError:
        return "it is nested too deeply to be checked"
    except Unresolvable as unresolved:
        return f"its schema refers to {unresolved.ref}, which is not in it"
    if error is None:
        return None
    message = error.message if len(error.message) <= 200 else f"{error.message[:199]}…"
    return f"{message} (at {error.json_path})"


def _validator(schema: Mapping[str, Any]) -> Any:
    """A validator that reaches for nothing outside of the schema."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    return validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())


def _check(schema: Mapping[str, Any]) -> None:
    """Raises `ConstraintError` for what is no JSON schema, or refers to what is not in it."""
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    try:
        validator = _validator(schema)
        validator.check_schema(schema)
        for reference in _references(schema):
            validator._resolver.lookup(reference)  # it has no public name
    except SchemaError as error:
        raise ConstraintError(
            f"This is no JSON schema: {error.message} (at {error.json_path}). Put it right, or "
            "leave it out.",
            param="schema",
        ) from error
    except Unresolvable as error:
        raise ConstraintError(
            f"The JSON schema refers to {error.ref}, which is not in it. Put the definition into "
            "$defs; nothing is fetched.",
            param="schema",
        ) from error


def _references(schema: Any) -> list[str]:
    """What a schema refers to; parts with an `$id` of their own, which move the root, left out."""
    if isinstance(schema, Mapping):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [each for value in schema.values() for each in _nested(value)]
    if isinstance(schema, list | tuple):
        return [each for value in schema for each in _nested(value)]
    return []


def _nested(schema: Any) -> list[str]:
    moved = isinstance(schema, Mapping) and "$id" in schema
    return [] if moved else _references(schema)
