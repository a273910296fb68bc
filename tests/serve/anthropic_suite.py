"""What the official `anthropic` client must be able to do with any model behind this server.

Each check takes a client and the name of a model and asserts what holds for every model, so the
same suite runs over a scripted model here and over real ones in `tests/e2e`.
"""

from __future__ import annotations

import json

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message

from tests.serve.conftest import WEATHER
from tests.serve.openai_suite import City

QUESTION = [{"role": "user", "content": "What is the capital of Japan?"}]
WEATHER_TOOL = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": WEATHER["function"]["parameters"],
}
WEATHER_QUESTION = [{"role": "user", "content": "How is the weather in Tokyo?"}]
GREEDY = {"extra_body": {"temperature": 0}}  # no longer among the client's own arguments


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def read(message: Message) -> int:
    """Tokens of the prompt."""
    return message.usage.input_tokens + message.usage.cache_read_input_tokens


def check_text(client: Anthropic, model: str) -> None:
    answer = client.messages.create(model=model, messages=QUESTION, max_tokens=16, **GREEDY)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", model)
    assert answer.id.startswith("msg_")
    assert text_of(answer)
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert read(answer) > 0
    assert 0 < answer.usage.output_tokens <= 16


def check_shape(client: Anthropic, model: str) -> None:
    """The client takes what comes as it comes; its own types are stricter."""
    raw = client.messages.with_raw_response.create(model=model, messages=QUESTION, max_tokens=4)
    assert raw.headers["request-id"] == raw.headers["x-request-id"]
    told = Message.model_validate(json.loads(raw.http_response.text))
    assert not told.model_extra.keys() - {"finish_detail"}


def check_turns(client: Anthropic, model: str) -> None:
    """A reply goes back as it came, as the client's own objects."""
    first = client.messages.create(model=model, messages=QUESTION, max_tokens=8)
    for said in ({"role": "assistant", "content": first.content}, first.to_param()):
        again = client.messages.create(
            model=model,
            messages=[*QUESTION, said, {"role": "user", "content": "Sure?"}],
            max_tokens=8,
        )
        assert read(again) > read(first)


def check_system(client: Anthropic, model: str) -> None:
    """As a text and as blocks; a wish to cache changes nothing."""
    block = {"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}
    counts = [
        read(client.messages.create(model=model, messages=QUESTION, max_tokens=4, system=system))
        for system in ("Be short.", [block])
    ]
    assert counts[0] == counts[1]


def check_count(client: Anthropic, model: str) -> None:
    """What is counted is what is read."""
    asked = {"model": model, "messages": QUESTION, "system": "Be short."}
    for more in ({}, {"tools": [WEATHER_TOOL], "tool_choice": {"type": "none"}}):
        counted = client.messages.count_tokens(**asked, **more).input_tokens
        assert counted == read(client.messages.create(**asked, **more, max_tokens=4))


def check_stream(client: Anthropic, model: str) -> None:
    asked = {"model": model, "messages": QUESTION, "max_tokens": 16, **GREEDY}
    whole = client.messages.create(**asked)
    events = list(client.messages.create(**asked, stream=True))
    for event in events:
        type(event).model_validate(event.to_dict())
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == text_of(whole)
    assert events[-2].delta.stop_reason == whole.stop_reason
    with client.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == text_of(whole)
        final = stream.get_final_message()
    assert text_of(final) == text_of(whole)
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert read(final) == read(whole)


def check_begun(client: Anthropic, model: str) -> None:
    """The assistant's words as the last message are gone on with, not answered."""
    asked = {"model": model, "max_tokens": 8, **GREEDY}
    begun = {"role": "assistant", "content": "The capital of Japan is"}
    answer = client.messages.create(messages=[*QUESTION, begun], **asked)
    assert text_of(answer)
    counted = client.messages.count_tokens(model=model, messages=[*QUESTION, begun])
    assert counted.input_tokens == read(answer)


def check_errors(client: Anthropic, model: str) -> None:
    """The client's own exceptions, in words that name the field."""
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(model="no-such-model", messages=QUESTION, max_tokens=4)
    assert missing.value.type == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="'max_tokens' is -1") as wrong:
        client.messages.create(model=model, messages=QUESTION, max_tokens=-1)
    assert wrong.value.type == "invalid_request_error"
    assert wrong.value.request_id == wrong.value.body["request_id"]
    with pytest.raises(anthropic.BadRequestError, match="mcp_servers"):
        client.messages.create(
            model=model, messages=QUESTION, max_tokens=4, extra_body={"mcp_servers": []}
        )
    with pytest.raises(anthropic.BadRequestError) as long:
        client.messages.create(
            model=model,
            messages=[{"role": "user", "content": "word " * 60_000}],
            max_tokens=4,
            stream=True,
        )
    assert long.value.error_code == "context_length_exceeded"


def check_tools(client: Anthropic, model: str) -> None:
    """Both forms of `tool_choice` that must call; the input follows the schema."""
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
        answer = client.messages.create(
            model=model,
            messages=WEATHER_QUESTION,
            tools=[WEATHER_TOOL],
            tool_choice={**choice, "disable_parallel_tool_use": True},
            max_tokens=200,
            **GREEDY,
        )
        assert answer.stop_reason == "tool_use"
        (call,) = [block for block in answer.content if block.type == "tool_use"]
        assert call.id
        assert call.name == "weather"
        assert isinstance(call.input["city"], str)


def check_tools_stream(client: Anthropic, model: str) -> None:
    asked = {"messages": WEATHER_QUESTION, "tools": [WEATHER_TOOL], "max_tokens": 200, **GREEDY}
    asked["tool_choice"] = {"type": "any", "disable_parallel_tool_use": True}
    with client.messages.stream(model=model, **asked) as stream:
        events = list(stream)
        final = stream.get_final_message()
    (call,) = [block for block in final.content if block.type == "tool_use"]
    assert final.stop_reason == "tool_use"
    assert isinstance(call.input["city"], str)
    pieces = [event.partial_json for event in events if event.type == "input_json"]
    assert json.loads("".join(pieces)) == call.input


def check_tool_answer(client: Anthropic, model: str) -> None:
    call = {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Tokyo"}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": "Sunny."}
    answer = client.messages.create(
        model=model,
        messages=[
            *WEATHER_QUESTION,
            {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call]},
            {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
        ],
        tools=[WEATHER_TOOL],
        tool_choice={"type": "none"},
        max_tokens=16,
    )
    assert text_of(answer)
    assert {block.type for block in answer.content} == {"text"}


def check_parse(client: Anthropic, model: str) -> None:
    answer = client.messages.parse(
        model=model,
        messages=[{"role": "user", "content": 'Name a city as JSON, {"name": ...}.'}],
        output_format=City,
        max_tokens=200,
        **GREEDY,
    )
    assert isinstance(answer.parsed_output, City)


async def check_async(client: AsyncAnthropic, model: str) -> None:
    asked = {"model": model, "messages": QUESTION, "max_tokens": 8}
    answer = await client.messages.create(**asked)
    assert text_of(answer)
    async with client.messages.stream(**asked) as stream:
        words = [word async for word in stream.text_stream]
        final = await stream.get_final_message()
    assert "".join(words) == text_of(final)


TEXT_CHECKS = (
    check_text,
    check_shape,
    check_turns,
    check_system,
    check_count,
    check_stream,
    check_begun,
    check_errors,
)
"""For every local model."""

TOOL_CHECKS = (check_tools, check_tools_stream, check_tool_answer)
"""For models whose chat template has tools."""

FORM_CHECKS = (check_parse,)
"""For models whose replies can be held to a form."""
