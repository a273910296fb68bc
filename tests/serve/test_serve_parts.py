"""A reply as a row of parts, however its pieces interleave."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from anthropic import Anthropic
from openai import OpenAI

from kataribe.base.events import (
    Event,
    Finished,
    ReasoningDelta,
    Sealed,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import Request
from kataribe.base.messages import Message, ReasoningPart, TextPart, ToolCallPart
from kataribe.run.providers import ScriptedLM
from kataribe.serve.parts import Closed, Extended, Opened, Parts
from tests.serve.anthropic_suite import WEATHER_QUESTION
from tests.serve.anthropic_suite import WEATHER_TOOL as ANTHROPIC_TOOL
from tests.serve.conftest import live_server, source_of
from tests.serve.responses_suite import WEATHER_TOOL


def end(*parts) -> Finished:
    return Finished(Message("assistant", parts), Usage(1, 1), "tool_calls")


def told(parts: Parts) -> list[tuple]:
    """What the parts hold, as parts of a message."""
    found: list[tuple] = []
    for part in parts.parts:
        if part.kind == "call":
            found.append(("call", part.call_id, part.name, part.text))
        else:
            found.append((part.kind, part.text, part.seal))
    return found


def read(events: list[Event]) -> Parts:
    """The parts, whose changes are in order: one part open at a time, and none opened twice."""
    parts, open_, places = Parts(), None, []
    for event in events:
        for change in parts.take(event):
            match change:
                case Opened(part):
                    assert open_ is None
                    open_ = part
                    places.append(part.place)
                case Extended(part):
                    assert part is open_
                case Closed(part):
                    assert part is open_
                    open_ = None
                case _:
                    pass
    assert open_ is None
    assert places == list(range(len(parts.parts)))
    return parts


def pieces(number: int, arguments: str, chance: random.Random) -> list[ToolCallDelta]:
    """A call cut at random places."""
    cuts = sorted(chance.sample(range(1, len(arguments)), min(3, len(arguments) - 1)))
    bounds = [0, *cuts, len(arguments)]
    first = ToolCallDelta(number, "", f"id{number}", "weather")
    return [first, *(ToolCallDelta(number, arguments[a:b]) for a, b in itertools.pairwise(bounds))]


@pytest.mark.parametrize("seed", range(20))
def test_interleaved_calls_become_the_parts_of_the_same_calls_in_a_row(seed):
    chance = random.Random(seed)
    calls = [json.dumps({"city": f"{n}{'}' * n}", "deep": {"a": [{}] * n}}) for n in range(4)]
    queues = [pieces(number, text, chance) for number, text in enumerate(calls)]
    in_a_row = [event for queue in queues for event in queue]
    mixed: list[Event] = []
    # Calls begin in their order, as `ToolCallDelta` counts them.
    begun = 1
    while any(queues):
        number = chance.randrange(begun)
        if not queues[number]:
            number = next(n for n in range(4) if queues[n])
        begun = min(4, max(begun, number + 2))
        mixed.append(queues[number].pop(0))
    whole = end(*(ToolCallPart(f"id{n}", "weather", text) for n, text in enumerate(calls)))
    assert told(read([*mixed, whole])) == told(read([*in_a_row, whole]))


def test_calls_in_a_row_do_not_wait():
    parts = Parts()
    events = (
        ToolCallDelta(0, '{"a": ', "a", "f"),
        ToolCallDelta(0, "1}"),
        ToolCallDelta(1, "", "b", "g"),
        ToolCallDelta(1, "{"),
    )
    changes = [[type(change).__name__ for change in parts.take(event)] for event in events]
    assert changes == [["Opened", "Extended"], ["Extended"], ["Closed", "Opened"], ["Extended"]]


def test_what_never_becomes_whole_is_told_at_the_end():
    events = [
        ToolCallDelta(0, "{", "a", "f"),
        ToolCallDelta(1, "[", "b", "g"),
        TextDelta("Well."),
        ToolCallDelta(0, " oops"),
        ToolCallDelta(1, "]"),
    ]
    whole = end(ToolCallPart("a", "f", "{ oops"), ToolCallPart("b", "g", "[]"))
    found = told(read([*events, whole]))
    assert found == [("call", "a", "f", "{ oops"), ("call", "b", "g", "[]"), ("text", "Well.", "")]


def test_a_seal_ends_its_thought_and_one_alone_is_a_part():
    events = [
        ReasoningDelta("Hm. "),
        ReasoningDelta("So."),
        Sealed("one"),
        ReasoningDelta("More."),
        Sealed("two", alone=True),
        ToolCallDelta(0, "{}", "a", "f"),
    ]
    parts = (
        ReasoningPart("Hm. So.", "one"),
        ReasoningPart("More."),
        ReasoningPart("", "two"),
        ToolCallPart("a", "f", "{}"),
    )
    found = told(read([*events, end(*parts)]))
    assert found == [
        ("reasoning", "Hm. So.", "one"),
        ("reasoning", "More.", ""),
        ("reasoning", "", "two"),
        ("call", "a", "f", "{}"),
    ]
    assert told(read([end(*parts)])) == found


class Interleaving(ScriptedLM):
    """Writes two calls at once, as some servers do."""

    async def stream(self, request: Request):
        first, second = '{"city": "Tokyo"}', '{"city": "Oslo"}'
        yield ReasoningDelta("Hm.")
        yield ToolCallDelta(0, "", "call_a", "weather")
        yield ToolCallDelta(1, "", "call_b", "weather")
        for at in range(0, len(first), 5):
            yield ToolCallDelta(0, first[at : at + 5])
            yield ToolCallDelta(1, second[at : at + 5])
        calls = (
            ToolCallPart("call_a", "weather", first),
            ToolCallPart("call_b", "weather", second),
        )
        parts = (ReasoningPart("Hm."), *calls)
        yield Finished(Message("assistant", parts), Usage(3, 4), "tool_calls")


@pytest.fixture(scope="module")
def server():
    with live_server(source_of(Interleaving())) as live:
        yield live


def test_the_anthropic_client_reads_interleaved_calls(server):
    asked = {"model": "scripted", "max_tokens": 99, "messages": WEATHER_QUESTION}
    with Anthropic(base_url=server.url, api_key="unused-key", max_retries=0) as client:
        whole = client.messages.create(**asked, tools=[ANTHROPIC_TOOL])
        with client.messages.stream(**asked, tools=[ANTHROPIC_TOOL]) as stream:
            streamed = stream.get_final_message()
    for message in (whole, streamed):
        calls = [block for block in message.content if block.type == "tool_use"]
        assert [(call.id, call.input) for call in calls] == [
            ("call_a", {"city": "Tokyo"}),
            ("call_b", {"city": "Oslo"}),
        ]


def test_the_openai_client_reads_interleaved_calls(server):
    asked = {"model": "scripted", "input": "hi", "tools": [WEATHER_TOOL]}
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused-key", max_retries=0) as client:
        whole = client.responses.create(**asked)
        with client.responses.stream(**asked) as stream:
            streamed = stream.get_final_response()
    for response in (whole, streamed):
        calls = [item for item in response.output if item.type == "function_call"]
        assert [(call.call_id, json.loads(call.arguments)) for call in calls] == [
            ("call_a", {"city": "Tokyo"}),
            ("call_b", {"city": "Oslo"}),
        ]


def test_words_of_a_reply_stay_in_place():
    events = [TextDelta("a"), ToolCallDelta(0, "{}", "a", "f"), TextDelta("b")]
    whole = end(TextPart("a"), ToolCallPart("a", "f", "{}"), TextPart("b"))
    parts = read([*events, whole]).parts
    assert [part.before for part in parts if part.kind == "text"] == [0, 1]
