"""A call that a grammar allows is well formed; everything else about calls is refused."""

from __future__ import annotations

import llguidance
import pytest

from kataribe.base.errors import UnsupportedError
from kataribe.base.lm import JsonFormat, RegexFormat, TextFormat, ToolChoice, ToolSpec
from kataribe.run.inference.dialects import (
    HERMES,
    LLAMA,
    MISTRAL,
    dialect_of,
    tool_format,
)

WEATHER = ToolSpec(
    "get_weather",
    "Weather of a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
CLOCK = ToolSpec("時計")


class ByteTokens:
    """One token per byte, and an end token: the smallest vocabulary that can say everything."""

    eos_token_id = 256
    bos_token_id = None
    special_token_ids = (256,)

    def __init__(self):
        self.tokens = [*(bytes([i]) for i in range(256)), b"\xff<end>"]

    def __call__(self, text):
        return list(text.encode() if isinstance(text, str) else text)


@pytest.fixture(scope="module")
def vocabulary():
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(ByteTokens()))


def accepts(vocabulary, response_format, text: str) -> bool:
    matcher = llguidance.LLMatcher(vocabulary, response_format.grammar)
    assert not matcher.get_error(), matcher.get_error()
    ids = list(text.encode())
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


def call(dialect, name="get_weather", arguments='{"city": "東京"}'):
    return f'{{"name": "{name}", "{dialect.arguments_key}": {arguments}}}'


@pytest.mark.parametrize("dialect", [HERMES, LLAMA, MISTRAL])
@pytest.mark.parametrize("mode", ["auto", "required"])
def test_well_formed_calls_pass_and_others_do_not(vocabulary, dialect, mode):
    grammar = tool_format(dialect, [WEATHER, CLOCK], ToolChoice(mode), TextFormat())

    def reply(*calls):
        return dialect.opening + dialect.between.join(calls) + dialect.closing

    assert accepts(vocabulary, grammar, reply(call(dialect)))
    both = accepts(vocabulary, grammar, reply(call(dialect), call(dialect, "時計", "{}")))
    assert both == (dialect is not LLAMA), "Llama's templates show one call in a turn"
    assert not accepts(vocabulary, grammar, reply(call(dialect, "unknown")))
    assert not accepts(vocabulary, grammar, reply(call(dialect, arguments='{"town": "x"}')))
    assert not accepts(vocabulary, grammar, reply(call(dialect, arguments='{"city": 5}')))
    assert not accepts(vocabulary, grammar, reply(call(dialect)[:-3]))
    assert accepts(vocabulary, grammar, "It is sunny.") == (mode == "auto")
    told = accepts(vocabulary, grammar, "Look:\n" + reply(call(dialect)))
    assert told == (mode == "auto")


def test_a_named_function_is_the_only_one(vocabulary):
    choice = ToolChoice("function", ("時計",))
    grammar = tool_format(HERMES, [WEATHER, CLOCK], choice, TextFormat())
    assert accepts(
        vocabulary, grammar, HERMES.opening + call(HERMES, "時計", "{}") + HERMES.closing
    )
    assert not accepts(vocabulary, grammar, HERMES.opening + call(HERMES) + HERMES.closing)


def test_one_call_at_most(vocabulary):
    grammar = tool_format(HERMES, [WEATHER], ToolChoice("required"), TextFormat(), at_most=1)
    one = call(HERMES)
    assert accepts(vocabulary, grammar, HERMES.opening + one + HERMES.closing)
    two = HERMES.opening + one + HERMES.between + one + HERMES.closing
    assert not accepts(vocabulary, grammar, two)


def test_tools_beside_a_schema(vocabulary):
    schema = JsonFormat({"type": "object", "properties": {"a": {"type": "integer"}}})
    grammar = tool_format(HERMES, [WEATHER], ToolChoice(), schema)
    assert accepts(vocabulary, grammar, '{"a": 1}')
    assert accepts(vocabulary, grammar, HERMES.opening + call(HERMES) + HERMES.closing)
    assert not accepts(vocabulary, grammar, "words")


def test_tools_beside_a_regex_are_refused_by_name():
    with pytest.raises(UnsupportedError, match="regular expression") as caught:
        tool_format(HERMES, [WEATHER], ToolChoice(), RegexFormat("a+"))
    assert caught.value.param == "response_format"


def test_no_tools_leave_the_format_alone():
    plain = TextFormat()
    assert tool_format(HERMES, [WEATHER], ToolChoice("none"), plain) is plain
    assert tool_format(HERMES, [], ToolChoice("auto"), plain) is plain


def test_control_tokens_stand_as_ids():
    ids = {"[TOOL_CALLS]": 5}
    for mode in ("auto", "required"):
        grammar = tool_format(
            MISTRAL, [WEATHER], ToolChoice(mode), TextFormat(), control_token=ids.get
        ).grammar
        assert "<[5]>" in grammar
        assert "TOOL_CALLS" not in grammar


def test_templates_show_their_dialect():
    assert dialect_of("{{ '[TOOL_CALLS]' }}") is MISTRAL
    assert dialect_of('{{ \'{"name": "\' }}{{ \'"parameters": \' }}') is LLAMA
    assert dialect_of("<tool_call>") is HERMES
    assert dialect_of("nothing") is HERMES


@pytest.mark.parametrize(
    "schema", [{}, {"type": "object", "properties": {}}, {"properties": {}, "title": "T"}]
)
def test_a_function_without_parameters_gets_none(vocabulary, schema):
    grammar = tool_format(HERMES, [ToolSpec("f", "", schema)], ToolChoice("required"), TextFormat())
    for arguments, fits in (("{}", True), ('{"made": "up"}', False)):
        said = HERMES.opening + call(HERMES, "f", arguments) + HERMES.closing
        assert accepts(vocabulary, grammar, said) == fits


def test_an_object_that_is_open_on_purpose_stays_open(vocabulary):
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    grammar = tool_format(HERMES, [ToolSpec("f", "", schema)], ToolChoice("required"), TextFormat())
    assert accepts(
        vocabulary, grammar, HERMES.opening + call(HERMES, "f", '{"a": 1}') + HERMES.closing
    )
