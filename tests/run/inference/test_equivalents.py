"""What the compiler refuses is said in other words only where they mean the same."""

from __future__ import annotations

import copy
import json
import time

import jsonschema
import numpy as np
import pytest

from kataribe.base.errors import ConstraintError
from kataribe.base.lm import JsonFormat, TextFormat, ToolChoice, ToolSpec
from kataribe.run.inference.constraint import compile_constraint
from kataribe.run.inference.equivalents import in_other_words
from kataribe.run.inference.tool_grammar import tool_format
from tests.run.inference.dialect_writer import NAMED, written
from tests.run.inference.test_constraint import Bytes, Vocabulary, write
from tests.run.inference.test_tool_grammar import read

CIRCLE = {
    "type": "object",
    "properties": {"kind": {"const": "circle"}, "r": {"type": "integer", "maximum": 9}},
    "required": ["kind", "r"],
    "additionalProperties": False,
}
SQUARE = {
    "type": "object",
    "properties": {"kind": {"const": "square"}, "next": {"$ref": "#/$defs/Shape"}},
    "required": ["kind"],
    "additionalProperties": False,
}
REFERRED = {"oneOf": [{"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Square"}]}
DEFINED = {"Circle": CIRCLE, "Square": SQUARE, "Shape": REFERRED}

APART = {
    "references": REFERRED,
    "a reference or nothing": {"oneOf": [{"$ref": "#/$defs/Circle"}, {"type": "null"}]},
    "ranges": {"oneOf": [{"type": "integer", "maximum": 3}, {"type": "number", "minimum": 3.5}]},
    "lengths": {"oneOf": [{"type": "string", "maxLength": 2}, {"type": "string", "minLength": 3}]},
    "a value and a range": {"oneOf": [{"const": 1}, {"type": "integer", "minimum": 2}]},
    "constants": {"oneOf": [{"enum": ["a", 1]}, {"enum": ["b", True, 2]}]},
    "closed objects": {
        "oneOf": [
            {"$ref": "#/$defs/Circle"},
            {"type": "object", "properties": {"x": {}}, "additionalProperties": False},
        ]
    },
}
OVERLAPPING = {
    "integers are numbers": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "touching ranges": {
        "oneOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 3}]
    },
    "no type": {"oneOf": [{"type": "string"}, {"minLength": 2}]},
    "the same value": {"oneOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]},
    "a kind that may be missing": {
        "oneOf": [{**CIRCLE, "required": []}, {**SQUARE, "required": []}]
    },
    "patterns": {"oneOf": [{"type": "string", "pattern": "a"}, {"type": "string"}]},
    "an object that holds itself": {
        "oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}],
        "$defs": {
            name: {
                "type": "object",
                "properties": {"child": {"$ref": f"#/$defs/{name}"}},
                "required": ["child"],
            }
            for name in "AB"
        },
    },
    "more than can be proved": {
        "oneOf": [
            {"enum": list(range(start, start + 2000))} | {"title": str(start)}
            for start in range(0, 60_000, 2000)
        ]
    },
}


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(Bytes(), 300)


def whole(schema):
    return {**schema, "$defs": schema.get("$defs", DEFINED)}


@pytest.mark.parametrize("schema", APART.values(), ids=APART)
def test_alternatives_that_exclude_each_other_are_taken(vocabulary, schema):
    before = copy.deepcopy(schema)
    constraint = compile_constraint(JsonFormat(whole(schema)), vocabulary)
    assert schema == before
    for seed in range(20):
        text = write(constraint, np.random.default_rng(seed).choice)
        if text is not None:
            jsonschema.validate(json.loads(text), whole(schema))


@pytest.mark.parametrize("schema", OVERLAPPING.values(), ids=OVERLAPPING)
def test_alternatives_that_may_not_are_refused_with_a_way_out(vocabulary, schema):
    began = time.process_time()
    schema = whole(schema)
    assert "oneOf" in in_other_words(schema)
    assert time.process_time() - began < 2
    if len(schema["oneOf"]) == 2:
        with pytest.raises(ConstraintError, match="Use anyOf"):
            compile_constraint(JsonFormat(schema), vocabulary)


@pytest.mark.parametrize("name", NAMED)
def test_tools_have_unions_too(vocabulary, name):
    """As pydantic writes a union with a discriminator."""
    dialect = NAMED[name]
    schema = {
        "type": "object",
        "properties": {"shape": REFERRED},
        "required": ["shape"],
        "additionalProperties": False,
        "$defs": DEFINED,
    }
    tool = ToolSpec("draw", "", schema)
    form = tool_format(dialect, [tool], ToolChoice("required"), TextFormat())
    assert compile_constraint(form, vocabulary) is not None
    calls = [("draw", {"shape": {"kind": "square", "next": {"kind": "circle", "r": 3}}})]
    assert read(dialect, [tool], written(dialect, calls)) == ("", calls)
    bad = ToolSpec("draw", "", {**schema, "properties": {"shape": OVERLAPPING["no type"]}})
    with pytest.raises(ConstraintError, match=r"tool 'draw'.*Use anyOf") as caught:
        compile_constraint(
            tool_format(dialect, [bad], ToolChoice("required"), TextFormat()), vocabulary
        )
    assert caught.value.param == "tools"


@pytest.mark.parametrize(
    ("limits", "count"), [({}, 16), ({"minItems": 2}, 12), ({"minItems": 1, "maxItems": 2}, 9)]
)
def test_unique_items_out_of_a_few_values(vocabulary, limits, count):
    items = {"enum": ["a", 1, True]}
    schema = {"type": "array", "items": items, "uniqueItems": True, **limits}
    assert len(in_other_words(schema)["enum"]) == count
    constraint = compile_constraint(JsonFormat(schema), vocabulary)
    told = set()
    for seed in range(60):
        text = write(constraint, np.random.default_rng(seed).choice)
        jsonschema.validate(json.loads(text), schema)
        told.add(text.replace(" ", ""))
    assert len(told) > 3


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"type": "array", "items": {"enum": list("abcdefg")}, "uniqueItems": True},
        {"type": "array", "items": {"enum": [[], {}]}, "uniqueItems": True},
        {"items": {"enum": ["a"]}, "uniqueItems": True},
        {"type": "array", "items": {"enum": list(range(10_000))}, "uniqueItems": True},
    ],
)
def test_other_unique_items_are_left_to_be_refused(vocabulary, schema):
    assert in_other_words(schema) == schema
    with pytest.raises(ConstraintError, match="uniqueItems"):
        compile_constraint(JsonFormat(schema), vocabulary)


def test_lists_that_are_unique_anyway_need_not_say_so():
    assert in_other_words({"type": "array", "uniqueItems": False}) == {"type": "array"}
    short = {"type": "array", "maxItems": 1}
    assert in_other_words({**short, "uniqueItems": True}) == short


def test_values_and_names_are_no_keywords():
    schema = {
        "type": "object",
        "properties": {"oneOf": {"type": "string"}, "uniqueItems": {"type": "boolean"}},
        "default": {"oneOf": [{"const": 1}, {"const": 2}]},
        "enum": [{"uniqueItems": True, "maxItems": 1}],
    }
    assert in_other_words(schema) == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": 5},
        {"oneOf": [5, "x"]},
        {"oneOf": [{"type": 5}, {"type": ["string", {}]}]},
        {"oneOf": [{"type": "object", "required": 5}, {"type": "object", "properties": 5}]},
        {"oneOf": [{"type": "object", "required": [[]]}, {"type": "object"}]},
        {"uniqueItems": "yes", "minItems": "x"},
    ],
)
def test_malformed_schemas_are_refused(vocabulary, schema):
    with pytest.raises(ConstraintError):
        compile_constraint(JsonFormat(schema), vocabulary)
