"""What a model writes, read piece by piece, means the same however it is cut."""

from __future__ import annotations

import json
import random

import pytest

from kataribe.base.events import ReasoningDelta, TextDelta, ToolCallDelta
from kataribe.base.lm import ToolSpec
from kataribe.base.messages import ReasoningPart, TextPart, ToolCallPart
from kataribe.run.inference.dialects import (
    GLM,
    HERMES,
    LLAMA,
    MISTRAL,
    MISTRAL_ARGS,
    MISTRAL_IDS,
    PYTHONIC,
    QWEN_CODER,
)
from kataribe.run.inference.reply_parser import ReplyParser
from tests.run.inference.dialect_writer import CALLS, CLOCK, NAMED, TRIP, written

TOOLS = (TRIP, CLOCK)
ANYWHERE = [name for name, dialect in NAMED.items() if dialect.trigger]


def read(parser: ReplyParser, text: str, cuts: random.Random) -> list:
    deltas = []
    while text:
        size = cuts.randint(1, 7)
        deltas += parser.push(text[:size])
        text = text[size:]
    return deltas + parser.finish()


def meant(calls) -> list:
    return [(call.name, json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_calls_are_read_however_they_are_cut(name, count, seed):
    parser = ReplyParser(0, NAMED[name], TOOLS)
    deltas = read(parser, written(NAMED[name], CALLS[:count]), random.Random(seed))
    calls = [part for part in parser.parts if isinstance(part, ToolCallPart)]
    assert meant(calls) == CALLS[:count]
    assert len(calls) == len(parser.parts), "no text beside the calls"
    assert len({call.id for call in calls}) == count
    for number, call in enumerate(calls):
        own = [d for d in deltas if isinstance(d, ToolCallDelta) and d.call == number]
        assert own[0].id == call.id
        assert own[0].name == call.name
        assert "".join(d.arguments for d in own) == call.arguments


@pytest.mark.parametrize("name", NAMED)
def test_the_result_does_not_depend_on_the_cuts(name):
    """Not only what is meant: the very letters are the same."""
    text = written(NAMED[name], CALLS)
    told = set()
    for size in (1, 2, 3, 5, len(text)):
        parser = ReplyParser(0, NAMED[name], TOOLS)
        for at in range(0, len(text), size):
            parser.push(text[at : at + size])
        parser.finish()
        told.add(tuple(call.arguments for call in parser.calls))
    assert len(told) == 1


@pytest.mark.parametrize("name", ANYWHERE)
@pytest.mark.parametrize("seed", range(10))
def test_words_around_calls_stay_words(name, seed):
    dialect = NAMED[name]
    parser = ReplyParser(0, dialect, TOOLS)
    text = "I look < it up [now].\n" + written(dialect, CALLS[:2]) + "\nDone <b> [x]."
    deltas = read(parser, text, random.Random(seed))
    said = "".join(d.text for d in deltas if isinstance(d, TextDelta))
    assert said == "I look < it up [now].Done <b> [x]."
    assert parser.parts[0] == TextPart(said)
    assert meant(parser.calls) == CALLS[:2]


BROKEN = {
    "HERMES": ["<tool_call> is what I write.", '<tool_call>\n{"name": "other", "arguments": {}}'],
    "QWEN_CODER": ["<tool_call>\n{}\n</tool_call>", "<tool_call>\n<function=plan_tripx>"],
    "GLM": ["<tool_call>planner\n</tool_call>", "<tool_call>plan</tool_call>", "<tool_call>"],
    "LLAMA": ['{"name": "other", "parameters": {}}', '{"name": 5}', '  {"name": "plan'],
    "PYTHONIC": ["[1, 2, 3]", "[planner(a=1)]", "  [pl", "[plan_trip"],
    "LFM": ["<|tool_call_start|>plan()"],
    "MISTRAL": ["[TOOL_CALLS] none", "[TOOL_CALLS]plan[ARGS]{}"],
    "MISTRAL_ARGS": ['[TOOL_CALLS] [{"name": "plan", "arguments": {}}]', "[TOOL_CALLS]planner[AR"],
    "MISTRAL_IDS": ["[TOOL_CALLS]plan[ARGS]{}", "[TOOL_CALLS]plan[CALL_ID]a-b-c-d-e[ARGS]{}"],
    "PHI": ["<|tool_call|>[]<|/tool_call|>"],
    "PHI_LIST": ["<|tool_call|>{}<|/tool_call|>"],
    "GRANITE": ["<|tool_call|>[]"],
    "NEMOTRON": ["<TOOLCALL>[]</TOOLCALL>"],
    "FUNCTION_GEMMA": ["<start_function_call>plan{}", "<start_function_call>call:planner{}"],
    "GEMMA4": ["<|tool_call>plan{}<tool_call|>"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts]
)
@pytest.mark.parametrize("seed", range(5))
def test_what_only_begins_like_a_call_stays_text(name, text, seed):
    dialect = NAMED[name]
    assert BROKEN.keys() == NAMED.keys()
    before = "Look:  " if dialect.trigger else ""
    parser = ReplyParser(0, dialect, TOOLS)
    deltas = read(parser, before + text, random.Random(seed))
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == before + text
    assert parser.parts == (TextPart(before + text),)
    if dialect.trigger:  # and a call may still follow
        parser = ReplyParser(0, dialect, TOOLS)
        read(parser, text + "\n" + written(dialect, CALLS[1:2]), random.Random(seed))
        assert parser.parts[0] == TextPart(text)
        assert meant(parser.calls) == CALLS[1:2]


def test_what_follows_a_call_and_begins_no_other_is_not_lost():
    for dialect, after, left in (
        (HERMES, "\n<tool_call>\nno call", "<tool_call>\nno call"),
        (MISTRAL_ARGS, "[TOOL_CALLS]no call", "[TOOL_CALLS]no call"),
        (LLAMA, "; and so on", "; and so on"),
        (GLM, "\n<tool_call>none", "<tool_call>none"),
    ):
        for seed in range(10):
            parser = ReplyParser(0, dialect, TOOLS)
            read(parser, written(dialect, CALLS[:1]) + after, random.Random(seed))
            assert meant(parser.calls) == CALLS[:1]
            assert parser.parts[0].text.strip() == left


@pytest.mark.parametrize(
    "text",
    ["Hello.", "a <tool", "<tool_call", "  leading and trailing  \n", "", '{"name"', "[TOOL", "["],
)
@pytest.mark.parametrize("name", [None, *NAMED])
@pytest.mark.parametrize("seed", range(3))
def test_text_without_calls_is_unchanged(text, name, seed):
    parser = ReplyParser(0, name and NAMED[name], TOOLS, thinks=True)
    deltas = read(parser, text, random.Random(seed))
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == text
    assert parser.parts == (TextPart(text),)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("dialect", [HERMES, MISTRAL, GLM])
def test_thoughts_are_apart(seed, opened, dialect):
    parser = ReplyParser(0, dialect, TOOLS, thinks=True, thinking=opened)
    text = ("" if opened else "<think>\n") + "Is 2 < 3?\nYes.</think>\n\nIt is.\n"
    deltas = read(parser, text + written(dialect, CALLS[:1]), random.Random(seed))
    thought = "".join(d.text for d in deltas if isinstance(d, ReasoningDelta))
    assert thought == "Is 2 < 3?\nYes."
    assert parser.parts[:2] == (ReasoningPart(thought), TextPart("It is."))
    assert meant(parser.calls) == CALLS[:1]


@pytest.mark.parametrize("dialect", [LLAMA, PYTHONIC])
@pytest.mark.parametrize("seed", range(10))
def test_calls_after_a_thought_need_no_trigger(dialect, seed):
    parser = ReplyParser(0, dialect, TOOLS, thinks=True)
    text = "<think>\n[plan(\n</think>\n\n" + written(dialect, CALLS[:1])
    read(parser, text, random.Random(seed))
    assert parser.parts[0].text == "[plan("
    assert meant(parser.calls) == CALLS[:1]
    assert len(parser.parts) == 2


@pytest.mark.parametrize(
    ("dialect", "text", "arguments"),
    [
        (HERMES, '<tool_call>\n{"name": "plan", "arguments": {"a": [1, 2', '{"a": [1, 2'),
        (QWEN_CODER, "<tool_call>\n<function=plan>\n<parameter=a>\nx\n</pa", '{"a": "x\\n</pa'),
        (QWEN_CODER, "<tool_call>\n<function=plan>\n<parameter=a", "{"),
        (GLM, "<tool_call>plan\n<arg_key>b</arg_key>\n<arg_value>[1, 2", '{"b": [1, 2'),
        (PYTHONIC, '[plan(a="x", b=[Tr', '{"a": "x", "b": [Tr'),
        (MISTRAL_IDS, '[TOOL_CALLS]plan[CALL_ID]abcdefgh1[ARGS]{"a"', '{"a"'),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_call_cut_by_a_limit_keeps_what_came(dialect, text, arguments, seed):
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "array"}}}
    parser = ReplyParser(0, dialect, (ToolSpec("plan", "", schema),))
    deltas = read(parser, text, random.Random(seed))
    assert parser.calls[0].arguments == arguments
    assert "".join(d.arguments for d in deltas if isinstance(d, ToolCallDelta)) == arguments
    assert len(parser.parts) == 1


def test_long_strings_are_passed_on_as_they_come():
    for dialect, opening in (
        (QWEN_CODER, "<tool_call>\n<function=f>\n<parameter=a>\n"),
        (MISTRAL_ARGS, '[TOOL_CALLS]f[ARGS]{"a": "'),
        (PYTHONIC, '[f(a="'),
        (NAMED["GEMMA4"], '<|tool_call>call:f{a:<|"|>'),
    ):
        tool = ToolSpec("f", "", {"properties": {"a": {"type": "string"}}})
        parser = ReplyParser(0, dialect, (tool,))
        parser.push(opening)
        (delta,) = parser.push("once upon a time")
        assert delta.arguments == "once upon a time"


def test_an_id_that_the_model_writes_is_the_calls_id():
    parser = ReplyParser(0, MISTRAL_IDS, TOOLS)
    read(parser, "[TOOL_CALLS]plan[CALL_ID]aB3dE6gH9[ARGS]{}", random.Random(1))
    assert parser.calls[0].id == "aB3dE6gH9"


def test_nothing_certain_is_held_back():
    parser = ReplyParser(0, HERMES, TOOLS)
    assert parser.push("Hello wor") == [TextDelta("Hello wor", 0)]
    assert parser.push("ld <") == [TextDelta("ld", 0)]
    assert parser.push("b>") == [TextDelta(" <b>", 0)]


def test_full_width_spaces_belong_to_the_text():
    """Japanese paragraphs begin with U+3000; only ASCII blanks around markers mean nothing."""
    text = "\u3000むかし\u3000"
    parser = ReplyParser(0, HERMES, TOOLS, thinks=True, thinking=True)
    read(parser, f"{text}</think>\n{text}\n<tool_call>\n{{}}", random.Random(1))
    thought, said, *_ = parser.parts
    assert thought.text == text
    assert said.text.startswith(text)
