"""Lines in bounded memory, arguments against strangers' schemas, answers in words."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp_types import CallToolResult

from kataribe.base.errors import InputError
from kataribe.use.agents.mcp.arguments import complaint, sound
from kataribe.use.agents.mcp.limits import ServerLimits
from kataribe.use.agents.mcp.lines import Lines, TooLong
from kataribe.use.agents.mcp.results import told


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_those_of_split(seed: int) -> None:
    rng = random.Random(seed)
    data = bytes(rng.choice(b"ab\n") for _ in range(400)) + b"\n"
    most = rng.choice([0, 1, 3, 8, 1000])
    lines, found, at = Lines(most), [], 0
    while at < len(data):
        size = rng.randint(1, 9)
        found += lines.push(data[at : at + size])
        at += size
    wanted = data.split(b"\n")[:-1]
    assert len(found) == len(wanted)
    for one, whole in zip(found, wanted, strict=True):
        if len(whole) <= most:
            assert one == whole
        else:
            assert isinstance(one, TooLong)
            assert one.size == len(whole)
            assert whole.startswith(one.head)
            assert whole.endswith(one.tail)
            assert one.head
            assert one.tail


def test_of_a_long_line_only_the_ends_are_kept() -> None:
    lines = Lines(100_000)
    assert lines.push(b'{"id": 7, "x": "') == []
    for _ in range(1000):
        assert lines.push(b"y" * 10_000) == []
    assert len(lines._part) == 0
    (found,) = lines.push(b'", "z": 1}\n')
    assert isinstance(found, TooLong)
    assert found.size == 16 + 10_000_000 + 10
    assert found.head.startswith(b'{"id": 7')
    assert found.tail.endswith(b'"z": 1}')
    assert len(found.head) == len(found.tail) == 4096
    assert lines.push(b"short\n") == [b"short"]


SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "minLength": 1},
        "depth": {"type": "integer", "minimum": 0, "maximum": 9},
        "kind": {"enum": ["file", "folder"]},
        "at": {"$ref": "#/$defs/point"},
    },
    "required": ["path"],
    "additionalProperties": False,
    "$defs": {"point": {"type": "object", "properties": {"x": {"type": "number"}}}},
}


@pytest.mark.parametrize("seed", range(60))
def test_what_fits_is_what_a_plain_validator_says(seed: int) -> None:
    rng = random.Random(seed)
    values: list[Any] = ["a", "", 3, 12, -1, 2.5, None, True, "file", {"x": 1}, {"x": "1"}, []]
    names = rng.sample(["path", "depth", "kind", "at", "other"], rng.randint(0, 4))
    arguments = {name: rng.choice(values) for name in names}
    plain = Draft202012Validator(SCHEMA).is_valid(arguments)
    assert (complaint(arguments, SCHEMA) is None) == plain, arguments


def test_a_complaint_names_place_and_value() -> None:
    told_ = complaint({"path": "a", "depth": 12}, SCHEMA)
    assert told_ == "depth: 12 is greater than the maximum of 9"
    assert complaint({"path": "a", "at": {"x": "y"}}, SCHEMA) == "at.x: 'y' is not of type 'number'"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"pattern": "(x+x+)+y"}}},
        {"patternProperties": {"(x+x+)+y": {}}, "additionalProperties": False},
        {"patternProperties": {"(x+x+)+y": {}}, "unevaluatedProperties": False},
        {"properties": {"a": {"$ref": "http://192.0.2.1/schema"}}},
        {"$ref": "#"},
        {"type": "objet"},
        {"properties": 3},
        {
            "allOf": [{"$ref": "#/$defs/d0"}],
            "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
            | {"d40": {}},
        },
    ],
)
def test_a_hostile_schema_neither_hangs_nor_reaches_out(schema: dict[str, Any]) -> None:
    assert complaint({"a": "x" * 60, "x" * 60: 1}, schema) is None


def test_halves_of_characters_do_not_travel() -> None:
    assert sound({"a": "x\ud800y", "b": [{"ü": 1}]}) == {"a": "x?y", "b": [{"ü": 1}]}


def result(*content: dict[str, Any], **more: Any) -> CallToolResult:
    return CallToolResult.model_validate({"content": list(content), **more})


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (result(), "done"),
        (result(text("a"), text("b")), "a\nb"),
        (result(text("5"), structuredContent={"result": 5}), "5"),
        (result(text("a"), text("b"), structuredContent={"result": ["a", "b"]}), "a\nb"),
        (result(text('{ "x": 1 }'), structuredContent={"x": 1}), '{ "x": 1 }'),
        (result(structuredContent={"x": "語"}), '{"x": "語"}'),
        (result(text("found:"), structuredContent={"x": 1}), 'found:\n{"x": 1}'),
        (result(text("1"), structuredContent={"result": {"x": 1}}), '1\n{"result": {"x": 1}}'),
        (
            result({"type": "image", "data": "AAAA", "mimeType": "image/png"}),
            "[image, image/png, 3 bytes; it cannot be shown here]",
        ),
        (
            result({"type": "audio", "data": "AA==", "mimeType": "audio/wav"}),
            "[audio, audio/wav, 1 bytes; it cannot be shown here]",
        ),
        (
            result({"type": "resource_link", "uri": "file:///a", "name": "a", "description": "b"}),
            "[resource a at file:///a: b]",
        ),
        (
            result({"type": "resource", "resource": {"uri": "file:///a", "text": "words"}}),
            "[resource file:///a]\nwords",
        ),
        (
            result({"type": "resource", "resource": {"uri": "file:///a", "blob": "AAAA"}}),
            "[resource file:///a, binary, 3 bytes; it cannot be shown here]",
        ),
    ],
)
def test_answers_in_words(answer: CallToolResult, words: str) -> None:
    assert told(answer) == words


def test_deeply_nested_values_are_told_somehow() -> None:
    value = json.loads("[" * 200 + "]" * 200)
    assert told(result(text("x"), structuredContent={"v": value})).startswith("x\n{")


@pytest.mark.parametrize("field", ["start", "call", "idle", "message", "tools"])
def test_limits_are_above_zero(field: str) -> None:
    with pytest.raises(InputError, match=f"{field} is 0"):
        ServerLimits(**{field: 0})
