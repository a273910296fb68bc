"""A call that a grammar allows is well formed, and is read as it was meant."""

from __future__ import annotations

import json
import random

import jsonschema
import llguidance
import numpy as np
import pytest

from kataribe.base.errors import ConstraintError, UnsupportedError
from kataribe.base.events import TextDelta
from kataribe.base.lm import JsonFormat, RegexFormat, TextFormat, ToolChoice, ToolSpec
from kataribe.run.inference.argument_schemas import closed
from kataribe.run.inference.dialects import (
    FUNCTION_GEMMA,
    GLM,
    HERMES,
    LLAMA,
    MISTRAL,
    MISTRAL_IDS,
    PYTHONIC,
    QWEN_CODER,
)
from kataribe.run.inference.reply_parser import ReplyParser
from kataribe.run.inference.tool_grammar import tool_format
from tests.run.inference.dialect_writer import CALLS, CLOCK, NAMED, TRIP, written

TOOLS = (TRIP, CLOCK)
EOS = 256
IN_WORDS = [name for name, dialect in NAMED.items() if dialect.notation is not None]


class ByteTokens:
    """One token per byte, and an end token: the smallest vocabulary that can say everything."""

    eos_token_id = EOS
    bos_token_id = None
    special_token_ids = (EOS,)

    def __init__(self):
        self.tokens = [*(bytes([i]) for i in range(256)), b"\xff<end>"]

    def __call__(self, text):
        return list(text.encode() if isinstance(text, str) else text)


@pytest.fixture(scope="module")
def vocabulary():
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(ByteTokens()))


def matcher_of(vocabulary, response_format):
    matcher = llguidance.LLMatcher(vocabulary, response_format.grammar)
    assert not matcher.get_error(), matcher.get_error()
    return matcher


def accepts(vocabulary, response_format, text: str) -> bool:
    matcher = matcher_of(vocabulary, response_format)
    ids = list(text.encode())
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


def read(dialect, tools, text, seed=0):
    """What a parser makes of a text that comes in pieces."""
    parser, cuts = ReplyParser(0, dialect, tuple(tools)), random.Random(seed)
    deltas = []
    while text:
        size = cuts.randint(1, 9)
        deltas += parser.push(text[:size])
        text = text[size:]
    deltas += parser.finish()
    said = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    return said, [(call.name, json.loads(call.arguments)) for call in parser.calls]


def random_reply(vocabulary, response_format, seed) -> str | None:
    """A reply of random tokens that the grammar allows; None where it comes to no end."""
    rng = np.random.default_rng(seed)
    matcher = matcher_of(vocabulary, response_format)
    out = bytearray()
    for _ in range(3000):
        bits = np.unpackbits(
            np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little"
        )
        allowed = np.flatnonzero(bits[: EOS + 1])
        token = int(rng.choice(allowed))
        if token == EOS:
            break
        out.append(token)
        matcher.consume_token(token)
        if matcher.is_stopped():
            break
    else:
        return None
    return out.decode()


def only(tool):
    return ToolChoice("function", (tool.name,))


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("mode", ["auto", "required"])
def test_what_a_model_writes_passes_and_is_read(vocabulary, name, mode):
    dialect = NAMED[name]
    form = tool_format(dialect, TOOLS, ToolChoice(mode), TextFormat())
    for calls in (CALLS[:1], CALLS[1:2], CALLS[2:], CALLS):
        text = written(dialect, calls)
        fits = len(calls) <= dialect.most_calls
        assert accepts(vocabulary, form, text) == fits, text
        for seed in range(10):
            assert read(dialect, TOOLS, text, seed) == ("", calls)
        words = "I look < it up [now].\n"
        told = accepts(vocabulary, form, words + text)
        assert told == (mode == "auto" and (fits or not dialect.trigger))
        if dialect.trigger:
            assert read(dialect, TOOLS, words + text) == (words.rstrip(), calls)
    assert accepts(vocabulary, form, "It is sunny.") == (mode == "auto")


@pytest.mark.parametrize("name", NAMED)
def test_broken_calls_are_refused(vocabulary, name):
    dialect = NAMED[name]
    form = tool_format(dialect, TOOLS, ToolChoice(), TextFormat())
    good = {"city": "Oslo", "is_open": True}
    assert accepts(vocabulary, form, written(dialect, [("plan_trip", good)]))
    for arguments in (
        {"is_open": True},
        {"city": "Oslo", "is_open": 3},
        {"city": "Oslo", "is_open": None},
        {"city": "Oslo", "days": 100, "is_open": True},
        {"city": "Oslo", "days": 1.5, "is_open": True},
        {"city": "", "is_open": True},
        {"city": "a city of a long name", "is_open": True},
        {"city": "Oslo", "unit": "miles", "is_open": True},
        {"city": "Oslo", "note": 7, "is_open": True} if dialect.notation is None else {},
        {"city": "Oslo", "tags": ["long tag"], "is_open": True},
        {"city": "Oslo", "tags": ["a"] * 4, "is_open": True},
        {"city": "Oslo", "is_open": True, "place": {"x": 9}},
        {"city": "Oslo", "is_open": True, "place": {"label": "a"}},
        {"city": "Oslo", "is_open": True, "place": {"x": 1, "label": "B"}},
        {"city": "Oslo", "is_open": True, "level": 3},
        {"city": "Oslo", "is_open": True, "town": "x"},
    ):
        assert not accepts(vocabulary, form, written(dialect, [("plan_trip", arguments)])), (
            arguments
        )
    unknown = written(dialect, [("unknown", {})])
    assert accepts(vocabulary, form, unknown) == (dialect is PYTHONIC), "no offered name: a list"
    assert read(dialect, TOOLS, unknown) == (unknown, [])
    assert not accepts(vocabulary, form, written(dialect, [("plan_trip", good)])[:-1]) or (
        dialect.closing + dialect.tail == ""
    )


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("seed", range(12))
def test_whatever_a_grammar_allows_is_read_and_follows_the_schema(vocabulary, name, seed):
    dialect = NAMED[name]
    form = tool_format(dialect, TOOLS, only(TRIP), TextFormat(), at_most=1)
    text = random_reply(vocabulary, form, seed)
    assert text is not None
    said, calls = read(dialect, TOOLS, text, seed)
    assert said == "", text
    ((called, arguments),) = calls
    assert called == "plan_trip"
    jsonschema.validate(arguments, TRIP.parameters)
    assert list(arguments) == [key for key in TRIP.parameters["properties"] if key in arguments]


def test_a_named_function_is_the_only_one(vocabulary):
    form = tool_format(HERMES, TOOLS, only(CLOCK), TextFormat())
    assert accepts(vocabulary, form, written(HERMES, CALLS[1:2]))
    assert not accepts(vocabulary, form, written(HERMES, CALLS[:1]))


@pytest.mark.parametrize("name", NAMED)
def test_one_call_at_most(vocabulary, name):
    dialect = NAMED[name]
    form = tool_format(dialect, TOOLS, ToolChoice("required"), TextFormat(), at_most=1)
    assert accepts(vocabulary, form, written(dialect, CALLS[:1]))
    assert not accepts(vocabulary, form, written(dialect, CALLS[:2]))


@pytest.mark.parametrize("name", NAMED)
def test_tools_beside_a_schema(vocabulary, name):
    dialect = NAMED[name]
    schema = JsonFormat(
        {
            "type": ["object", "array"],
            "properties": {"name": {"type": "string"}, "a": {"type": "integer"}},
        }
    )
    form = tool_format(dialect, TOOLS, ToolChoice(), schema)
    for text in ('{"a": 1}', '{"name": "plan", "a": 1}', "[1, 2]", "[{}]"):
        assert accepts(vocabulary, form, text), text
    assert accepts(vocabulary, form, written(dialect, CALLS[:1]))
    assert not accepts(vocabulary, form, "words")
    assert form.otherwise is schema


def test_tools_beside_a_regex_are_refused_by_name():
    with pytest.raises(UnsupportedError, match="regular expression") as caught:
        tool_format(HERMES, TOOLS, ToolChoice(), RegexFormat("a+"))
    assert caught.value.param == "response_format"


def test_no_tools_leave_the_format_alone():
    plain = TextFormat()
    assert tool_format(HERMES, TOOLS, ToolChoice("none"), plain) is plain
    assert tool_format(HERMES, [], ToolChoice("auto"), plain) is plain


@pytest.mark.parametrize(
    ("dialect", "tokens"),
    [
        (MISTRAL, {"[TOOL_CALLS]": 5}),
        (MISTRAL_IDS, {"[TOOL_CALLS]": 5, "[ARGS]": 6, "[CALL_ID]": 7}),
        (HERMES, {"<tool_call>": 5, "</tool_call>": 6}),
        (FUNCTION_GEMMA, {"<start_function_call>": 5, "<end_function_call>": 6, "<escape>": 7}),
        (GLM, {"<tool_call>": 5, "</tool_call>": 6, "<arg_key>": 7, "</arg_value>": 8}),
    ],
)
def test_control_tokens_stand_as_ids_wherever_they_are(dialect, tokens):
    for mode in ("auto", "required"):
        form = tool_format(dialect, TOOLS, ToolChoice(mode), TextFormat(), control_token=tokens.get)
        for text, number in tokens.items():
            assert f"<[{number}]>" in form.grammar
            spelled = [line for line in form.grammar.splitlines() if text in line]
            assert all("~(" in line for line in spelled), "only bare text must not spell it"


class Controls(ByteTokens):
    """As above, with control tokens."""

    names = ("<start_function_call>", "<end_function_call>", "<escape>")

    def __init__(self):
        super().__init__()
        self.tokens += [b"\xff" + name.encode() for name in self.names]
        self.special_token_ids = tuple(range(EOS, EOS + 4))


def test_strings_between_control_tokens(vocabulary):
    vocabulary = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Controls()))
    ids = {name: EOS + 1 + place for place, name in enumerate(Controls.names)}
    form = tool_format(FUNCTION_GEMMA, TOOLS, ToolChoice(), TextFormat(), control_token=ids.get)
    spoken = list(("Look. " + written(FUNCTION_GEMMA, CALLS[:1])).encode())
    for name, number in ids.items():
        letters = list(name.encode())
        while any(spoken[at : at + len(letters)] == letters for at in range(len(spoken))):
            at = next(a for a in range(len(spoken)) if spoken[a : a + len(letters)] == letters)
            spoken[at : at + len(letters)] = [number]
    matcher = matcher_of(vocabulary, form)
    assert matcher.try_consume_tokens(spoken) == len(spoken)
    assert matcher.is_accepting()


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(
    "schema", [{}, {"type": "object", "properties": {}}, {"properties": {}, "title": "T"}]
)
def test_a_function_without_parameters_gets_none(vocabulary, name, schema):
    dialect = NAMED[name]
    form = tool_format(dialect, [ToolSpec("f", "", schema)], ToolChoice("required"), TextFormat())
    for arguments, fits in (({}, True), ({"made": "up"}, False)):
        assert accepts(vocabulary, form, written(dialect, [("f", arguments)])) == fits


@pytest.mark.parametrize("name", NAMED)
def test_an_object_that_is_open_on_purpose_stays_open(vocabulary, name):
    dialect = NAMED[name]
    tool = ToolSpec(
        "f",
        "",
        {
            "type": "object",
            "properties": {"first": {"type": "string"}},
            "additionalProperties": {"type": "integer"},
        },
    )
    form = tool_format(dialect, [tool], ToolChoice("required"), TextFormat())
    for arguments, fits in (
        ({"first": "x", "a": 1, "b_2": 2}, True),
        ({"a": 1}, True),
        ({"a": "x"}, False),
        ({"first": 1} if dialect.notation in (None, PYTHONIC.notation) else {"a": None}, False),
    ):
        text = written(dialect, [("f", arguments)])
        assert accepts(vocabulary, form, text) == fits, text
        if fits:
            assert read(dialect, [tool], text) == ("", [("f", arguments)])


@pytest.mark.parametrize("name", NAMED)
def test_values_of_any_kind(vocabulary, name):
    dialect = NAMED[name]
    tool = ToolSpec("f", "", {"type": "object", "properties": {"x": {}}, "required": ["x"]})
    form = tool_format(dialect, [tool], ToolChoice("required"), TextFormat())
    for value in ("a b", 1, -2.5, True, None, [], {}, [[1], {"a": {"b": [None, "c"]}}]):
        text = written(dialect, [("f", {"x": value})])
        assert accepts(vocabulary, form, text), text
        assert read(dialect, [tool], text) == ("", [("f", {"x": value})])


@pytest.mark.parametrize("name", NAMED)
def test_schemas_that_hold_themselves(vocabulary, name):
    dialect = NAMED[name]
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    schema = {"type": "object", "properties": {"tree": {"$ref": "#/$defs/Node"}}}
    tool = ToolSpec("f", "", {**schema, "additionalProperties": False, "$defs": {"Node": node}})
    form = tool_format(dialect, [tool], ToolChoice("required"), TextFormat())
    tree = {"name": "a", "parts": [{"name": "b", "parts": []}, {"name": "c"}]}
    text = written(dialect, [("f", {"tree": tree})])
    assert accepts(vocabulary, form, text)
    assert read(dialect, [tool], text) == ("", [("f", {"tree": tree})])
    tree["parts"][1]["parts"] = [{"parts": []}]
    assert not accepts(vocabulary, form, written(dialect, [("f", {"tree": tree})]))


@pytest.mark.parametrize("dialect", [QWEN_CODER, GLM])
def test_bare_words_and_json_are_told_apart(vocabulary, dialect):
    """A string that may be something else cannot look like it; a plain string can look like all."""
    plain = ToolSpec("f", "", {"properties": {"x": {"type": "string"}}})
    mixed = ToolSpec("f", "", {"properties": {"x": {"type": ["string", "null", "array"]}}})
    for text, as_plain, as_mixed in (
        ("null", "null", None),
        ("[1, 2]", "[1, 2]", [1, 2]),
        ("5", "5", "5"),
        ("nullable", "nullable", "nullable"),
        ('"quoted"', '"quoted"', '"quoted"'),
        (" two\n\nlines ", " two\n\nlines ", " two\n\nlines "),
        ("", "", ""),
    ):
        spoken = written(dialect, [("f", {"x": text})])
        for tool, meant in ((plain, as_plain), (mixed, as_mixed)):
            form = tool_format(dialect, [tool], ToolChoice("required"), TextFormat())
            assert accepts(vocabulary, form, spoken)
            assert read(dialect, [tool], spoken) == ("", [("f", {"x": meant})])
    broken = written(dialect, [("f", {"x": "[1, 2"})])
    form = tool_format(dialect, [mixed], ToolChoice("required"), TextFormat())
    assert not accepts(vocabulary, form, broken)


@pytest.mark.parametrize("name", IN_WORDS)
@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"anyOf": [{"type": "object"}, {"type": "string"}]}, "one object"),
        ({"type": "object", "minProperties": 1}, "'minProperties'"),
        ({"properties": {"x": {"$ref": "#/$defs/none"}}}, "does not exist"),
        ({"properties": {"x": {"$ref": "http://a/b"}}}, "does not exist"),
        ({"properties": {"x": {"type": "nonsense"}}}, "'nonsense'"),
        ({"properties": {"x": {"enum": []}}}, "no value"),
        ({"properties": {"x": {"$ref": "#/properties/x"}}}, "refers to itself"),
        ({"properties": 5}, "'properties'"),
        ({"required": [[]]}, "'required'"),
        ({"properties": {"x": 5}}, "where a JSON schema should be"),
        ({"properties": {"x": {"enum": "abc"}}}, "'enum'"),
        ({"properties": {"x": {"anyOf": {}}}}, "'anyOf'"),
        ({"properties": {"x": {"allOf": [5]}}}, "where a JSON schema should be"),
        ({"properties": {"x": {"type": 5}}}, "'type'"),
        ({"properties": {"x": {"type": "string", "maxLength": "5"}}}, "'maxLength'"),
        ({"properties": {"a>\n=:</arg_key>\n<arg_value>": {}}}, "Rename"),
    ],
)
def test_schemas_that_a_notation_cannot_follow_are_refused_by_name(name, schema, reason):
    tool = ToolSpec("bad", "", schema)
    with pytest.raises(ConstraintError, match="tool 'bad'") as caught:
        tool_format(NAMED[name], [CLOCK, tool], ToolChoice(), TextFormat())
    assert reason in caught.value.message
    assert caught.value.param == "tools"


def test_text_may_begin_as_a_call_does_but_for_its_name(vocabulary):
    form = tool_format(PYTHONIC, TOOLS, ToolChoice(), TextFormat())
    for text in ("[1, 2]", "[planner(1)]", '[print("a")] is Python.'):
        assert accepts(vocabulary, form, text)
        assert read(PYTHONIC, TOOLS, text) == (text, [])
    assert not accepts(vocabulary, form, "[plan(")
    form = tool_format(LLAMA, TOOLS, ToolChoice(), TextFormat())
    assert accepts(vocabulary, form, '{"a": 1}')
    assert not accepts(vocabulary, form, '{"name": "other", "parameters": {}}')


@pytest.mark.parametrize("name", NAMED)
def test_what_a_schema_does_not_name_is_not_invented(vocabulary, name):
    """JSON Schema leaves objects open; a function does not take what it does not name."""
    dialect = NAMED[name]
    inner = {"type": "object", "properties": {"x": {"type": "integer"}}}
    free = {"type": "object"}
    tool = ToolSpec("f", "", {"type": "object", "properties": {"a": inner, "free": free}})
    form = tool_format(dialect, [tool], ToolChoice("required"), TextFormat())
    for arguments, fits in (
        ({"a": {"x": 1}}, True),
        ({"a": {"x": 1}, "free": {"k": 1}}, True),
        ({"a": {"x": 1, "y": 2}}, False),
        ({"a": {"x": 1}, "b": 2}, False),
    ):
        assert accepts(vocabulary, form, written(dialect, [("f", arguments)])) == fits, arguments


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {"type": "integer"}}}]},
        {"properties": {"a": {}}, "anyOf": [{"required": ["a"]}, {"properties": {"b": {}}}]},
        {"properties": {"c": {"$ref": "#/$defs/N", "properties": {"d": {}}}}, "$defs": {"N": {}}},
        {"properties": {"a": {}}, "patternProperties": {"^x": {}}},
    ],
)
def test_objects_that_are_said_in_parts_stay_as_they_are(schema):
    assert closed(schema) is schema


def test_only_objects_that_name_properties_are_closed():
    schema = {
        "properties": {"properties": {"items": {"properties": {"a": {}}}}, "open": {}},
        "$defs": {
            "N": {"properties": {"a": {}}, "additionalProperties": {"properties": {"b": {}}}}
        },
    }
    found = closed(schema)
    assert found["additionalProperties"] is False
    inner = found["properties"]["properties"]
    assert "additionalProperties" not in inner
    assert inner["items"]["additionalProperties"] is False
    assert found["properties"]["open"] == {}
    assert found["$defs"]["N"]["additionalProperties"]["additionalProperties"] is False
    assert "additionalProperties" not in schema, "the tool's own schema is not changed"
