"""Forms that replies must have: what comes out always has it, and hostile forms are refused."""

from __future__ import annotations

import json
import re
import time

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kataribe.base.errors import ConstraintError
from kataribe.base.lm import (
    ChoiceFormat,
    GrammarFormat,
    JsonFormat,
    RegexFormat,
    TextFormat,
    ToolChoice,
    ToolSpec,
)
from kataribe.run.inference.constraint import Vocabulary, compile_constraint
from kataribe.run.inference.dialects import HERMES
from kataribe.run.inference.tool_grammar import tool_format
from tests.run.inference.dialect_writer import NAMED

EOS = 256
WORDS = [b'{"', b'": ', b"true", b"name", b'"}', b"  ", "日本".encode(), "日".encode()[:2], b"12"]


class Bytes:
    """Every byte is a token, and some words are."""

    vocab_size = 257 + len(WORDS)
    eos_ids = frozenset({EOS})
    prefix = ""

    def token_bytes(self, token_id):
        if token_id < EOS:
            return bytes([token_id])
        return b"<|im_end|>" if token_id == EOS else WORDS[token_id - 257]

    def is_special(self, token_id):
        return token_id == EOS

    def encode(self, text, *, special=True, add_bos=None):
        return list((self.prefix + text).encode())


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(Bytes(), 300)


def write(constraint, draw, most=4000):
    """A reply of random allowed tokens; None where it did not come to an end."""
    state = constraint.start()
    out = b""
    for _ in range(most):
        mask = state.mask()
        assert mask.shape == (300,)
        assert not mask[Bytes.vocab_size :].any(), "a token that does not exist is allowed"
        token = draw(np.flatnonzero(mask))
        if token == EOS:
            assert state.is_accepting
            return out.decode()
        out += Bytes().token_bytes(int(token))
        state.advance(int(token))
        if state.is_finished:
            return out.decode()
    return None


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "日本", "c"]}, "maxItems": 3},
        "more": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_random_replies_follow_the_schema(vocabulary, seed):
    rng = np.random.default_rng(seed)
    text = write(compile_constraint(JsonFormat(SCHEMA), vocabulary), rng.choice)
    jsonschema.validate(json.loads(text), SCHEMA)


def test_json_without_a_schema_is_an_object(vocabulary):
    constraint = compile_constraint(JsonFormat(), vocabulary)
    state = constraint.start()
    first = {Bytes().token_bytes(int(token))[:1] for token in np.flatnonzero(state.mask())}
    assert b"{" in first
    assert not first - {b"{", b" ", b"\n", b"\t"}


def test_blanks_between_json_tokens_come_to_an_end(vocabulary):
    constraint = compile_constraint(JsonFormat({"type": "object"}), vocabulary)
    blanks = [32, 9, 10, 257 + WORDS.index(b"  ")]

    def only_blanks(allowed):
        return next((token for token in blanks if token in allowed), 123 if 123 in allowed else 125)

    assert len(write(constraint, only_blanks)) < 300


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_random_replies_match_the_expression(vocabulary, seed):
    rng = np.random.default_rng(seed)
    pattern = r"(日本|[a-c]{2,5})-[0-9]{1,3}( ok)?"
    text = write(compile_constraint(RegexFormat(pattern), vocabulary), rng.choice)
    assert re.fullmatch(pattern, text)


def test_a_grammar_holds(vocabulary):
    grammar = 'start: "(" start ")" | "x"'
    text = (
        write(
            compile_constraint(GrammarFormat(grammar), vocabulary),
            lambda allowed: 40 if 40 in allowed and state.pop() else allowed[-1],
        )
        if (state := [0, 1, 1, 1])
        else None
    )
    assert re.fullmatch(r"\(*x\)*", text)
    assert text.count("(") == text.count(")") > 0


def test_text_has_no_constraint(vocabulary):
    assert compile_constraint(TextFormat(), vocabulary) is None


def test_starts_are_independent_and_compiling_again_is_remembered(vocabulary):
    constraint = compile_constraint(RegexFormat("ab"), vocabulary)
    assert compile_constraint(RegexFormat("ab"), vocabulary) is constraint
    one, two = constraint.start(), constraint.start()
    one.advance(97)
    assert np.flatnonzero(one.mask()).tolist() == [98]
    assert np.flatnonzero(two.mask()).tolist() == [97]
    one.advance(98)
    assert one.is_finished
    assert not two.is_finished


def test_a_token_that_was_not_allowed_is_an_error(vocabulary):
    state = compile_constraint(RegexFormat("ab"), vocabulary).start()
    with pytest.raises(ConstraintError):
        state.advance(120)


def test_a_tokenizer_that_puts_a_space_in_front_does_not_break_forced_text():
    tokens = Bytes()
    tokens.prefix = " "
    constraint = compile_constraint(RegexFormat("name: [a-z]{3}!"), Vocabulary(tokens, 300))
    text = write(constraint, lambda allowed: allowed[-1])
    assert re.fullmatch("name: [a-z]{3}!", text)


def deep(levels):
    schema = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def cyclic():
    schema = {"type": "array"}
    schema["items"] = schema
    return schema


HOSTILE = {
    "unknown type": JsonFormat({"type": "nonsense"}),
    "unknown keyword": JsonFormat({"type": "array", "uniqueItems": True}),
    "reference to nothing": JsonFormat({"$ref": "#/$defs/none"}),
    "reference to the network": JsonFormat({"$ref": "http://example.com/schema.json"}),
    "not JSON": JsonFormat({"enum": [object()]}),
    "not a number": JsonFormat({"minimum": float("nan")}),
    "deep": JsonFormat(deep(100_000)),
    "cyclic": JsonFormat(cyclic()),
    "wide": JsonFormat({"properties": {f"p{i}": {} for i in range(100_000)}}),
    "huge enum": JsonFormat({"enum": [f"value {i}" for i in range(200_000)]}),
    "conflict": JsonFormat({"type": "integer", "minimum": 5, "maximum": 4}),
    "patterns together": JsonFormat({"allOf": [{"pattern": f"x{i}.*"} for i in range(50)]}),
    "repetition in a schema": JsonFormat({"type": "string", "pattern": "^(a{1000}){1000}$"}),
    "chain of references": JsonFormat(
        {
            "$defs": {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(20_000)},
            "$ref": "#/$defs/a0",
        }
    ),
    "open group": RegexFormat("("),
    "lookahead": RegexFormat("(?=a)b"),
    "repetition": RegexFormat("(a{1000}){1000}"),
    "optional letters": RegexFormat("a?" * 20_000),
    "deep groups": RegexFormat("(" * 100_000 + "a" + ")" * 100_000),
    "bad grammar": GrammarFormat("start: ("),
    "unknown rule": GrammarFormat("start: nothing"),
    "no start": GrammarFormat('other: "a"'),
    "chain of rules": GrammarFormat(
        "start: r0\n" + "".join(f'r{i}: "a" r{i + 1}\n' for i in range(20_000)) + 'r20000: "b"'
    ),
    "intersections": GrammarFormat("start: T\nT: " + " & ".join(f"/x{i}.*/" for i in range(50))),
    "a schema in a grammar": GrammarFormat(
        'start: %json {"allOf": [' + ",".join(f'{{"pattern": "x{i}.*"}}' for i in range(50)) + "]}"
    ),
    "endless without a letter": GrammarFormat("start: start"),
}


@pytest.mark.parametrize("form", HOSTILE.values(), ids=HOSTILE)
def test_hostile_forms_are_refused_in_bounded_time(vocabulary, form):
    began = time.process_time()
    with pytest.raises(ConstraintError) as caught:
        compile_constraint(form, vocabulary)
    assert caught.value.param == "response_format"
    assert len(caught.value.message) < 1000
    print(f"{time.process_time() - began:.2f} s")


def test_no_end_token_is_said_clearly():
    tokens = Bytes()
    tokens.eos_ids = frozenset()
    with pytest.raises(ConstraintError, match="no token that ends"):
        Vocabulary(tokens)


def tool(name="f", **schema):
    return ToolSpec(name, "R&D: uses allOf", {"type": "object", **schema})


def compile_tools(vocabulary, tools, otherwise):
    return compile_constraint(tool_format(HERMES, tools, ToolChoice(), otherwise), vocabulary)


def test_what_tools_say_counts_for_nothing(vocabulary):
    """Signs that make strangers' grammars expensive are only words in a tool's description."""
    text = {"type": "string", "description": "R&D & Q&A: allOf " * 5}
    fields = {f"p{place}": text for place in range(5)}
    fields["inner"] = {"allOf": [{"$ref": "#/$defs/Inner"}]}  # as pydantic writes it
    inner = {"Inner": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    tools = [tool(f"f{place}", properties=fields, **{"$defs": inner}) for place in range(40)]
    form = tool_format(HERMES, tools, ToolChoice(), TextFormat())
    assert compile_constraint(form, vocabulary) is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(a{1000}){1000}", "type": "string"},
        {"allOf": [{}] * 20},
        {"type": "wrong"},
        {"$ref": "#/nowhere"},
    ],
)
def test_errors_name_the_tool_and_the_field(vocabulary, schema):
    tools = [tool("good"), tool("bad", properties={"a": schema})]
    with pytest.raises(ConstraintError, match="tool 'bad'") as caught:
        compile_tools(vocabulary, tools, TextFormat())
    assert caught.value.param == "tools"


@pytest.mark.parametrize("schema", [{"type": "wrong"}, {"allOf": [{}] * 20}])
@pytest.mark.parametrize("param", ["response_format", "structured_outputs"])
def test_errors_of_a_schema_name_the_field_that_held_it(vocabulary, schema, param):
    wanted = JsonFormat(schema, param=param)
    with pytest.raises(ConstraintError) as caught:
        compile_constraint(wanted, vocabulary)
    assert caught.value.param == param
    with pytest.raises(ConstraintError) as caught:
        compile_tools(vocabulary, [tool()], wanted)
    assert caught.value.param == param


def test_errors_of_other_forms_name_their_field_too(vocabulary):
    for form in (
        RegexFormat("(", param="structured_outputs"),
        RegexFormat("a" * 5000, param="structured_outputs"),
        GrammarFormat("start: & & & & & & & & & & &", param="structured_outputs"),
        ChoiceFormat(("a" * 300_000,), param="structured_outputs"),
    ):
        with pytest.raises(ConstraintError) as caught:
            compile_constraint(form, vocabulary)
        assert caught.value.param == "structured_outputs"


def test_a_reply_is_one_of_many_long_choices(vocabulary):
    rng = np.random.default_rng(5)
    signs = list('ab :&|\\"/日\n{}[]')
    choices = tuple({"".join(rng.choice(signs, 20)) for _ in range(1000)})
    constraint = compile_constraint(ChoiceFormat(choices), vocabulary)
    assert {write(constraint, rng.choice) for _ in range(20)} <= set(choices)


@pytest.mark.parametrize("name", NAMED)
def test_many_tools_of_every_dialect_are_compiled(vocabulary, name):
    def schema(at):
        words = {f"w{at}_{place}": {"type": "string", "maxLength": 90 + at} for place in range(6)}
        inner = {f"i{at}": {"type": ["string", "null"]}, "n": {"type": "array", "items": {}}}
        return {**words, "more": {"type": "object", "properties": inner}}

    tools = [tool(f"f{at}", properties=schema(at)) for at in range(60)]
    form = tool_format(NAMED[name], tools, ToolChoice(), TextFormat())
    assert compile_constraint(form, vocabulary) is not None


HOSTILE_ARGUMENTS = {
    "no such count": {"type": "array", "items": {}, "minItems": 5, "maxItems": 2},
    "lookahead": {"type": "string", "pattern": "(?=a)b"},
    "repetition": {"type": "string", "pattern": "(a{1000}){1000}"},
    "deep": deep(1000),
    "cyclic": cyclic(),
}
LARGE_ARGUMENTS = {
    "long": {"type": "string", "maxLength": 10**7},
    "many": {"type": "array", "items": {}, "minItems": 10**7},
    "alternatives": {"anyOf": [{"type": "string", "maxLength": at} for at in range(1000)]},
}
NOTED = [name for name in NAMED if NAMED[name].notation]


def compile_argument(vocabulary, name, schema):
    form = tool_format(NAMED[name], [tool(properties={"a": schema})], ToolChoice(), TextFormat())
    return compile_constraint(form, vocabulary)


@pytest.mark.parametrize("name", NOTED)
@pytest.mark.parametrize("schema", HOSTILE_ARGUMENTS.values(), ids=HOSTILE_ARGUMENTS)
def test_hostile_arguments_are_refused_in_every_notation(vocabulary, name, schema):
    with pytest.raises(ConstraintError) as caught:
        compile_argument(vocabulary, name, schema)
    assert caught.value.param == "tools"


@pytest.mark.parametrize("name", NOTED)
@pytest.mark.parametrize("schema", LARGE_ARGUMENTS.values(), ids=LARGE_ARGUMENTS)
def test_large_arguments_take_bounded_time(vocabulary, name, schema):
    began = time.process_time()
    assert compile_argument(vocabulary, name, schema) is not None
    assert time.process_time() - began < 10
