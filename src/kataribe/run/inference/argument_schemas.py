"""What a tool's schema says about its arguments, for syntaxes that are not JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kataribe.base.errors import ConstraintError
from kataribe.base.lm import ToolSpec

ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
    | {"$schema", "$id", "$comment", "$anchor", "discriminator"}
)
_DEFINITIONS = frozenset({"$defs", "definitions"})
_BY_NAME = frozenset({"properties"}) | _DEFINITIONS
_INSIDE = frozenset({"items", "prefixItems", "additionalProperties", "anyOf", "oneOf"})
_APART = frozenset({"$ref", "anyOf", "oneOf", "not", "if", "patternProperties", "propertyNames"})
_APART |= {"unevaluatedProperties", "dependentSchemas"}
_MOST_LEVELS = 64
_TYPES = ("string", "number", "boolean", "null", "array", "object")
_TELLING = {
    "object": {"properties", "required", "additionalProperties", "minProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "string": {"pattern", "minLength", "maxLength", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
_SHAPES: dict[str, type | tuple[type, ...]] = {
    "properties": Mapping,
    **dict.fromkeys(("required", "enum", "anyOf", "oneOf", "allOf"), (list, tuple)),
    **dict.fromkeys(("items", "additionalProperties"), (Mapping, bool)),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), int),
    **dict.fromkeys(("$ref", "pattern"), str),
    "type": (str, list, tuple),
}
"""What a keyword's value has to be."""

NOT_APART = (
    "The JSON schema has a oneOf of which it cannot be proved that no value fits two of its parts. "
    "Use anyOf, or give each part a required property with a const of its own."
)

_MOST_STEPS = 32
"""References and alternatives that are followed before a schema counts as going in circles."""

_LOOKS = {
    "null": "null",
    "boolean": "true|false",
    "number": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+\-]?[0-9]+)?",
    "array": r"\[(.|\n)*",
    "object": r"\{(.|\n)*",
}


def arguments_of(tool: ToolSpec) -> Mapping[str, Any]:
    """The schema of a tool's arguments.

    A schema that says nothing but that it is an object without properties allows anything in JSON
    Schema's terms, but for a function it means that there are no parameters (as in OpenAI's API).
    """
    schema = tool.parameters
    says = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
    empty = {"type": "object", "properties": {}, "required": []}
    if all(empty.get(key, says) == value for key, value in says.items()):
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return closed(schema)


def closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema without properties that it does not name, where it does not say that it has them.

    JSON Schema leaves every object open; a function takes no argument that it does not name, and
    small models invent some. Schemas that say one object in several parts (`allOf`, or `properties`
    beside an `anyOf`) stay as they are: closing a part would shut out the other.
    """
    parts = list(_parts(schema, 0))
    if any("allOf" in part or ("properties" in part and _APART & part.keys()) for part in parts):
        return schema
    told = _closed(schema, 0)
    assert isinstance(told, Mapping)
    return told


def _closed(schema: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _MOST_LEVELS:
        return schema
    told = dict(schema)
    for key in _BY_NAME & told.keys():
        if isinstance(told[key], Mapping):
            told[key] = {name: _closed(part, depth + 1) for name, part in told[key].items()}
    for key in _INSIDE & told.keys():
        value = told[key]
        is_list = isinstance(value, list | tuple)
        told[key] = [_closed(v, depth + 1) for v in value] if is_list else _closed(value, depth + 1)
    if isinstance(told.get("properties"), Mapping) and told["properties"]:
        told.setdefault("additionalProperties", False)
    return told


def _parts(schema: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if not isinstance(schema, Mapping) or depth > _MOST_LEVELS:
        return
    yield schema
    for key in _BY_NAME & schema.keys():
        if isinstance(schema[key], Mapping):
            for part in schema[key].values():
                yield from _parts(part, depth + 1)
    for key in _INSIDE & schema.keys():
        value = schema[key]
        for part in value if isinstance(value, list | tuple) else [value]:
            yield from _parts(part, depth + 1)


@dataclass(frozen=True, slots=True)
class Fields:
    """An object by its parts.

    Attributes:
        known: The schemas of properties that have a name, in their order.
        required: Which of them may not be missing.
        others: The schema of properties of any other name; None where there are none.
    """

    known: Mapping[str, Any]
    required: frozenset[str]
    others: Any = None

    def of(self, name: str) -> Any:
        """The schema of one property."""
        return self.known.get(name, {} if self.others is None else self.others)


class ArgumentSchema:
    """The schema of one tool's arguments, with its references.

    Args:
        schema: The whole schema; references start from it.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema

    @property
    def fields(self) -> Fields:
        """The arguments themselves.

        Raises:
            ConstraintError: They are no plain object with properties.
        """
        options = self.alternatives(self._root)
        if len(options) != 1 or options[0].get("type") != "object":
            raise ConstraintError(
                "This model writes arguments one by one, so their schema must be one object with "
                "properties, without alternatives. Write it so, or choose another model."
            )
        return self.fields_of(options[0])

    def fields_of(self, schema: Mapping[str, Any]) -> Fields:
        """The parts of one object; one that does not say otherwise has its properties only."""
        check_keys(schema, {"properties", "required", "additionalProperties"})
        known = dict(schema.get("properties") or {})
        required = frozenset(schema.get("required") or ())
        for name in sorted(required - known.keys()):
            known[name] = {}
        others = schema.get("additionalProperties", not known)
        return Fields(known, required, None if others is False else others)

    def alternatives(self, schema: Any, steps: int = 0) -> list[Mapping[str, Any]]:
        """The schema as a choice of schemas, each of one `type` or one `const`."""
        if steps > _MOST_STEPS:
            raise ConstraintError(
                f"The JSON schema refers to itself more than {_MOST_STEPS} times without a value "
                "in between. Give it an end."
            )
        if schema is False:
            return []
        _check_shape(schema)
        told = {} if schema is True else {k: v for k, v in schema.items() if k not in ANNOTATIONS}
        if "$ref" in told:
            told = {**target_of(self._root, told.pop("$ref")), **told}
            return self.alternatives(told, steps + 1)
        if "allOf" in told:
            parts = told.pop("allOf")
            if len(parts) != 1 or set(_as_mapping(parts[0])) & set(told):
                raise ConstraintError(
                    "A schema with allOf of several parts cannot be followed in this model's "
                    "syntax of calls. Write the combined schema."
                )
            return self.alternatives({**told, **_as_mapping(parts[0])}, steps + 1)
        if "oneOf" in told:
            raise ConstraintError(NOT_APART)
        if "anyOf" in told:
            options = told.pop("anyOf")
            rest = {k: v for k, v in told.items() if k not in _DEFINITIONS}
            return [
                found
                for option in options
                for found in self.alternatives({**rest, **_as_mapping(option)}, steps + 1)
            ]
        return list(_by_type(told))

    def kinds(self, schema: Any) -> frozenset[str]:
        """Which types of JSON a value can have; integers count as numbers."""
        return frozenset(kind_of(option) for option in self.alternatives(schema))

    def standalone(self, options: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """One schema for a choice of schemas that stand in the whole one."""
        held = {key: self._root[key] for key in _DEFINITIONS if key in self._root}
        return {**held, **(options[0] if len(options) == 1 else {"anyOf": list(options)})}


def target_of(root: Mapping[str, Any], reference: Any) -> Mapping[str, Any]:
    """The schema that a `$ref` inside `root` stands for."""
    found: Any = root
    path = str(reference)
    try:
        if path != "#" and not path.startswith("#/"):
            raise KeyError(path)
        for step in path.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found[int(step)] if isinstance(found, list) else found[step]
    except (KeyError, IndexError, TypeError, ValueError):
        raise ConstraintError(
            f"The JSON schema refers to {path[:200]!r}, which does not exist in it. "
            "References may point into the same schema only."
        ) from None
    return _as_mapping(found)


def kind_of(option: Mapping[str, Any]) -> str:
    """The type of one of `ArgumentSchema.alternatives`; integers count as numbers."""
    if "const" not in option:
        return "number" if option["type"] == "integer" else str(option["type"])
    match option["const"]:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
        case list() | tuple():
            return "array"
    return "object"


def looks_like(kinds: frozenset[str]) -> str:
    """An expression for texts that are JSON of one of these kinds rather than bare words.

    Where a parameter may be a string or something else, this alone tells the two apart: for the
    grammar, which lets no bare string look so, and for the reader.
    """
    return "|".join(_LOOKS[kind] for kind in _TYPES if kind in kinds and kind in _LOOKS)


def scalar_pattern(option: Mapping[str, Any]) -> str | None:
    """An expression for the JSON of one null, truth value or number; None for anything else.

    Raises:
        ConstraintError: A number with limits, which an expression cannot hold to.
    """
    kind = kind_of(option)
    if kind not in ("null", "boolean", "number"):
        return None
    if "const" in option:
        return re.escape(json.dumps(option["const"]))
    check_keys(option, set())
    return r"-?(0|[1-9][0-9]*)" if option["type"] == "integer" else _LOOKS[kind]


def check_keys(schema: Mapping[str, Any], known: set[str]) -> None:
    """Raises `ConstraintError` for a schema that says more than `type` and these keys."""
    more = schema.keys() - known - ANNOTATIONS - _DEFINITIONS - {"type"}
    if more:
        raise ConstraintError(
            f"The schema says {', '.join(sorted(map(repr, more)))}, which cannot be followed in "
            "this model's syntax of calls. Leave it out and check the arguments yourself."
        )


def bare_pattern(pattern: str) -> str:
    """JSON Schema's `pattern`, which may match anywhere, as an expression for the whole text."""
    ends = re.search(r"(?<!\\)(\\\\)*\$$", pattern)
    head = "" if pattern.startswith("^") else r"(.|\n)*"
    tail = "" if ends else r"(.|\n)*"
    return f"{head}({pattern.removeprefix('^').removesuffix('$' if ends else '')}){tail}"


def _check_shape(schema: Any) -> None:
    if not isinstance(schema, Mapping | bool):
        raise ConstraintError(f"{str(schema)[:100]!r} stands where a JSON schema should be.")
    for key, value in schema.items() if isinstance(schema, Mapping) else ():
        is_right = isinstance(value, _SHAPES.get(key, object))
        if key == "required" and is_right:
            is_right = all(isinstance(name, str) for name in value)
        if not is_right:
            raise ConstraintError(
                f"The JSON schema's {key!r} is {str(value)[:100]!r}, which cannot be. Correct it."
            )


def _as_mapping(schema: Any) -> Mapping[str, Any]:
    _check_shape(schema)
    if isinstance(schema, Mapping):
        return schema
    return {} if schema is True else {"enum": []}


def _by_type(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "const" in schema:
        yield {"const": schema["const"]}
        return
    if "enum" in schema:
        for value in schema["enum"]:
            yield {"const": value}
        return
    types = schema.get("type")
    if types is None:
        told = [kind for kind, keys in _TELLING.items() if keys & schema.keys()]
        types = told or _TYPES
    for kind in [types] if isinstance(types, str) else types:
        if kind not in (*_TYPES, "integer"):
            raise ConstraintError(f"The JSON schema names the type {kind!r}, which does not exist.")
        yield {**_saying(schema, kind), "type": kind}


def _saying(schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What a schema of several types says about one of them."""
    other = {
        key
        for name, keys in _TELLING.items()
        if name != ("number" if kind == "integer" else kind)
        for key in keys
    }
    return {key: value for key, value in schema.items() if key not in other}
