"""Schemas in other words: what llguidance refuses, as something that it takes and that is the same.

`oneOf` is `anyOf` where no value can fit two of its schemas; llguidance sees that only without
references, which is how pydantic writes unions. Lists of unique items out of a few values are an
`enum` of lists. What cannot be said otherwise stays as it is, for the compiler to refuse.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kataribe.run.inference.argument_schemas import kind_of, target_of

_VALUES = frozenset({"enum", "const", "default", "examples"})
_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_MOST_LISTS = 2000
"""Lists of unique items that are written out: those of six values, in any order."""
_MOST_COMPARED = 20_000
"""Pairs that are compared before a proof is given up."""
_MOST_STEPS = 16
_ANY = "any"
_SIZES = {
    "number": ("minimum", "maximum"),
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
}

_Option = Mapping[str, Any]


def in_other_words(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema with what the compiler refuses said otherwise, where that can be done.

    Its depth must have been checked (`schema_bounds.Bounds`).
    """
    return dict(_said(schema, _Proof(schema)))


def _said(schema: Any, proof: _Proof) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    told = {}
    for key, value in schema.items():
        if key in _VALUES:
            told[key] = value
        elif key in _BY_NAME and isinstance(value, Mapping):
            told[key] = {name: _said(part, proof) for name, part in value.items()}
        elif isinstance(value, list | tuple):
            told[key] = [_said(part, proof) for part in value]
        else:
            told[key] = _said(value, proof)
    told = {key: value for key, value in told.items() if not _says_nothing(key, value, told)}
    options = told.get("oneOf")
    if isinstance(options, list) and "anyOf" not in told and proof.are_all_apart(options):
        told = {"anyOf" if key == "oneOf" else key: value for key, value in told.items()}
    return _unique(told, proof) if "uniqueItems" in told else told


def _says_nothing(key: str, value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a keyword that the compiler does not know rules nothing out as it stands."""
    match key:
        case "propertyNames":
            return value is True or value in ({}, {"type": "string"})
        case "unevaluatedProperties" | "unevaluatedItems":
            return value is True or value == {}
        case "dependentRequired" | "dependentSchemas" | "dependencies":
            return bool(value == {})
        case "not":
            return value is False
        case "if":
            return "then" not in schema and "else" not in schema
        case "then" | "else":
            return "if" not in schema
        case "minContains" | "maxContains":
            return "contains" not in schema
    return False


def _unique(schema: dict[str, Any], proof: _Proof) -> dict[str, Any]:
    rest = {key: value for key, value in schema.items() if key != "uniqueItems"}
    least, most = rest.get("minItems", 0), rest.get("maxItems", _MOST_LISTS)
    if not isinstance(least, int) or not isinstance(most, int):
        return schema
    if schema["uniqueItems"] is False or most <= 1:
        return rest
    items = proof.options(rest.get("items", {}))
    if rest.get("type") != "array" or "prefixItems" in rest or len(items) > _MOST_LISTS:
        return schema
    if not all("const" in item and kind_of(item) not in ("array", "object") for item in items):
        return schema
    values = list({(kind_of(item), item["const"]): item["const"] for item in items}.values())
    lists: list[list[Any]] = []
    for size in range(max(0, least), min(most, len(values)) + 1):
        if len(lists) + math.perm(len(values), size) > _MOST_LISTS:
            return schema
        lists += map(list, itertools.permutations(values, size))
    told = {k: v for k, v in rest.items() if k not in ("type", "items", "minItems", "maxItems")}
    return {**told, "enum": lists}


class _Proof:
    """Proves that no value fits two schemas; gives up rather than take long."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._compared = 0

    def are_all_apart(self, schemas: Sequence[Any]) -> bool:
        """Whether no value fits two of these."""
        kinds = [self.options(schema) for schema in schemas]
        return all(self._are_apart(*pair, 0) for pair in itertools.combinations(kinds, 2))

    def options(self, schema: Any, steps: int = 0) -> list[_Option]:
        """Schemas of one type or constant each, which together take at least what it takes."""
        if schema is False:
            return []
        if not isinstance(schema, Mapping) or steps > _MOST_STEPS:
            return [{"type": _ANY}]
        if "$ref" in schema:
            return self.options(target_of(self._root, schema["$ref"]), steps + 1)
        if "const" in schema:
            return [{"const": schema["const"]}]
        if isinstance(schema.get("enum"), list | tuple):
            return [{"const": value} for value in schema["enum"]]
        types = schema.get("type", _ANY)
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list | tuple) and types == _ANY:
                parts = [self.options(part, steps + 1) for part in schema[key]]
                return list(itertools.chain.from_iterable(parts))
        named = types if isinstance(types, list | tuple) else [types]
        return [{**schema, "type": kind} for kind in named]

    def _are_apart(self, one: Sequence[_Option], other: Sequence[_Option], depth: int) -> bool:
        return depth <= _MOST_STEPS and all(
            self._is_apart(a, b, depth) for a, b in itertools.product(one, other)
        )

    def _is_apart(self, one: _Option, other: _Option, depth: int) -> bool:
        self._compared += 1
        kind = kind_of(one)
        if self._compared > _MOST_COMPARED or _ANY in (kind, kind_of(other)):
            return False
        if kind != kind_of(other):
            return True
        if "const" in one and "const" in other:
            return bool(one["const"] != other["const"])
        if kind in _SIZES:
            return _ends_before(one, other, kind) or _ends_before(other, one, kind)
        if kind != "object" or "const" in one or "const" in other:
            return False
        return self._keeps_off(one, other, depth) or self._keeps_off(other, one, depth)

    def _keeps_off(self, one: _Option, other: _Option, depth: int) -> bool:
        """Whether a property that one object must have cannot be so in the other."""
        needed, known = one.get("required"), one.get("properties", {})
        others = other.get("properties", {})
        if not isinstance(needed, list | tuple) or not isinstance(known, Mapping):
            return False
        if not isinstance(others, Mapping):
            return False
        is_closed = other.get("additionalProperties") is False and "patternProperties" not in other
        for name in needed:
            if name not in others:
                if is_closed:
                    return True
                continue
            mine, theirs = self.options(known.get(name, True)), self.options(others[name])
            if self._are_apart(mine, theirs, depth + 1):
                return True
        return False


def _ends_before(one: _Option, other: _Option, kind: str) -> bool:
    """Whether all sizes of one are below all of the other."""
    low, high = _SIZES[kind]
    end, start = _size(one, high, kind), _size(other, low, kind)
    return end is not None and start is not None and end < start


def _size(option: _Option, limit: str, kind: str) -> float | None:
    size = option.get(limit)
    if "const" in option:
        size = option["const"] if kind == "number" else len(option["const"])
    return size if isinstance(size, int | float) and not isinstance(size, bool) else None
