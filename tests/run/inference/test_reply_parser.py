"""What a model writes, read piece by piece, means the same however it is cut."""

from __future__ import annotations

import json
import random

import pytest

from kataribe.base.events import ReasoningDelta, TextDelta, ToolCallDelta
from kataribe.base.messages import ReasoningPart, TextPart, ToolCallPart
from kataribe.run.inference.dialects import HERMES, LLAMA, MISTRAL, ToolDialect
from kataribe.run.inference.reply_parser import ReplyParser


def written(dialect: ToolDialect, calls: list[tuple[str, str]]) -> str:
    bodies = [
        f'{{"name": {json.dumps(name)}, "{dialect.arguments_key}": {arguments}}}'
        for name, arguments in calls
    ]
    return dialect.opening + dialect.between.join(bodies) + dialect.closing


def read(parser: ReplyParser, text: str, cuts: random.Random) -> list:
    deltas = []
    while text:
        size = cuts.randint(1, 7)
        deltas += parser.push(text[:size])
        text = text[size:]
    return deltas + parser.finish()


CALLS = [
    ("get_weather", '{"city": "東京", "note": "a \\"}\\" b"}'),
    ("f", "{}"),
    ("list", '{"xs": [1, {"y": "}]"}], "z": null}'),
]


@pytest.mark.parametrize("dialect", [HERMES, LLAMA, MISTRAL])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_calls_are_read_however_they_are_cut(dialect, count, seed):
    parser = ReplyParser(0, dialect)
    deltas = read(parser, written(dialect, CALLS[:count]), random.Random(seed))
    calls = [part for part in parser.parts if isinstance(part, ToolCallPart)]
    assert [(call.name, call.arguments) for call in calls] == CALLS[:count]
    assert len(calls) == len(parser.parts), "no text beside the calls"
    assert len({call.id for call in calls}) == count
    for number, call in enumerate(calls):
        own = [d for d in deltas if isinstance(d, ToolCallDelta) and d.call == number]
        assert own[0].id == call.id
        assert own[0].name == call.name
        assert "".join(d.arguments for d in own) == call.arguments


@pytest.mark.parametrize("dialect", [HERMES, MISTRAL])
@pytest.mark.parametrize("seed", range(20))
def test_words_before_a_call_stay_words(dialect, seed):
    parser = ReplyParser(0, dialect)
    text = "I look < it up [now].\n" + written(dialect, CALLS[:1])
    deltas = read(parser, text, random.Random(seed))
    said = "".join(d.text for d in deltas if isinstance(d, TextDelta))
    assert said == "I look < it up [now]."
    assert parser.parts[0] == TextPart(said)
    assert parser.calls[0].arguments == CALLS[0][1]


@pytest.mark.parametrize(
    "text",
    ["Hello.", "a <tool", "<tool_call", "  leading and trailing  \n", "", '{"name"', "[TOOL"],
)
@pytest.mark.parametrize("dialect", [None, HERMES, LLAMA, MISTRAL])
@pytest.mark.parametrize("seed", range(5))
def test_text_without_calls_is_unchanged(text, dialect, seed):
    parser = ReplyParser(0, dialect, thinks=True)
    deltas = read(parser, text, random.Random(seed))
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == text
    assert parser.parts == (TextPart(text),)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("opened", [False, True])
def test_thoughts_are_apart(seed, opened):
    parser = ReplyParser(0, HERMES, thinks=True, thinking=opened)
    text = ("" if opened else "<think>\n") + "Is 2 < 3?\nYes.</think>\n\nIt is.\n"
    deltas = read(parser, text + written(HERMES, CALLS[:1]), random.Random(seed))
    thought = "".join(d.text for d in deltas if isinstance(d, ReasoningDelta))
    assert thought == "Is 2 < 3?\nYes."
    assert parser.parts[:2] == (ReasoningPart(thought), TextPart("It is."))
    assert parser.calls[0].name == "get_weather"


def test_a_call_cut_by_a_limit_keeps_what_came():
    parser = ReplyParser(0, HERMES)
    parser.push('<tool_call>\n{"name": "f", "arguments": {"a": [1, 2')
    parser.finish()
    assert parser.calls[0].arguments == '{"a": [1, 2'


def test_a_marker_that_begins_no_call_is_text():
    parser = ReplyParser(0, HERMES)
    parser.push("<tool_call> is what I would write.")
    parser.finish()
    assert parser.parts == (TextPart("<tool_call> is what I would write."),)


def test_nothing_certain_is_held_back():
    parser = ReplyParser(0, HERMES)
    assert parser.push("Hello wor") == [TextDelta("Hello wor", 0)]
    assert parser.push("ld <") == [TextDelta("ld", 0)]
    assert parser.push("b>") == [TextDelta(" <b>", 0)]


def test_full_width_spaces_belong_to_the_text():
    """Japanese paragraphs begin with U+3000; only ASCII blanks around markers mean nothing."""
    text = "\u3000むかし\u3000"
    parser = ReplyParser(0, HERMES, thinks=True, thinking=True)
    read(parser, f"{text}</think>\n{text}\n<tool_call>\n{{}}", random.Random(1))
    thought, said, *_ = parser.parts
    assert thought.text == text
    assert said.text.startswith(text)


@pytest.mark.parametrize("dialect", [HERMES, LLAMA, MISTRAL])
def test_ids_suit_the_dialect(dialect):
    parser = ReplyParser(0, dialect)
    read(parser, written(dialect, CALLS[:1]), random.Random(1))
    (call,) = parser.calls
    if dialect is MISTRAL:
        assert len(call.id) == 9
        assert call.id.isalnum()
    else:
        assert call.id.startswith("call_")
