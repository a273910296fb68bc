"""What the official `openai` client must be able to do at `/v1/responses` with any model.

Each check takes a client and the name of a model and asserts what holds for every model, so the
same suite runs over a scripted model here and over real ones in `tests/e2e`.
"""

from __future__ import annotations

import json

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response

from tests.serve.conftest import WEATHER
from tests.serve.openai_suite import City

QUESTION = "What is the capital of Japan?"
WEATHER_TOOL = {"type": "function", "strict": True, **WEATHER["function"]}
WEATHER_QUESTION = "How is the weather in Tokyo?"


def check_text(client: OpenAI, model: str) -> None:
    answer = client.responses.create(
        model=model, input=QUESTION, max_output_tokens=16, temperature=0
    )
    assert answer.object == "response"
    assert answer.model == model
    assert answer.id.startswith("resp_")
    assert answer.output_text
    assert (answer.status, answer.incomplete_details) in (("completed", None), cut(answer))
    assert answer.usage.input_tokens > 0
    assert 0 < answer.usage.output_tokens <= 16
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def cut(answer: Response) -> tuple:
    """What an answer says that was cut at its limit."""
    details = answer.incomplete_details
    assert details is None or details.reason == "max_output_tokens"
    return "incomplete", details


def check_shape(client: OpenAI, model: str) -> None:
    """The client takes what comes as it comes; its own types are stricter."""
    raw = client.responses.with_raw_response.create(
        model=model, input=QUESTION, max_output_tokens=8, metadata={"a": "b"}
    )
    assert raw.headers["x-request-id"]
    body = json.loads(raw.text)
    told = Response.model_validate(body)
    assert not told.model_extra.keys() - {"store", "finish_detail"}
    assert isinstance(body["store"], bool)
    assert body["metadata"] == {"a": "b"}


def check_turns(client: OpenAI, model: str) -> None:
    """A reply goes back as it came, as the client's own objects."""
    first = client.responses.create(model=model, input=QUESTION, max_output_tokens=8)
    again = client.responses.create(
        model=model,
        input=[
            {"role": "user", "content": QUESTION},
            *first.output,
            {"role": "user", "content": [{"type": "input_text", "text": "Sure?"}]},
        ],
        max_output_tokens=8,
    )
    assert again.usage.input_tokens > first.usage.input_tokens


def check_stream(client: OpenAI, model: str) -> None:
    asked = {"model": model, "input": QUESTION, "max_output_tokens": 16, "temperature": 0}
    whole = client.responses.create(**asked)
    events = list(client.responses.create(**asked, stream=True))
    for event in events:
        type(event).model_validate(event.to_dict())
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == f"response.{whole.status}"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    last = events[-1].response
    assert last.output_text == whole.output_text
    assert last.usage.output_tokens == whole.usage.output_tokens
    assert {event.response.id for event in events if hasattr(event, "response")} == {last.id}
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.to_dict() for item in done] == [item.to_dict() for item in last.output]


def check_instructions(client: OpenAI, model: str) -> None:
    plain = client.responses.create(model=model, input=QUESTION, max_output_tokens=4)
    told = client.responses.create(
        model=model, instructions="Be short.", input=QUESTION, max_output_tokens=4
    )
    same = client.responses.create(
        model=model,
        input=[
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": QUESTION},
        ],
        max_output_tokens=4,
    )
    # A template may have a system text of its own, which these words replace.
    assert told.usage.input_tokens != plain.usage.input_tokens
    assert told.usage.input_tokens == same.usage.input_tokens
    assert told.instructions == "Be short."


def check_logprobs(client: OpenAI, model: str) -> None:
    answer = client.responses.create(
        model=model,
        input=QUESTION,
        max_output_tokens=8,
        temperature=0,
        include=["message.output_text.logprobs"],
        top_logprobs=3,
    )
    (message,) = answer.output
    (text,) = message.content
    assert text.logprobs
    for token in text.logprobs:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
    said = b"".join(bytes(token.bytes) for token in text.logprobs)
    assert said.decode("utf-8", "ignore").startswith(text.text[:4])


def check_errors(client: OpenAI, model: str) -> None:
    """The client's own exceptions, with the field that is to blame."""
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.create(model="no-such-model", input=QUESTION)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.responses.create(model=model, input=QUESTION, temperature=9)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as unkept:
        client.responses.create(model=model, input=QUESTION, previous_response_id="resp_0")
    assert unkept.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError) as long:
        client.responses.create(model=model, input="word " * 60_000, stream=True)
    assert (long.value.code, long.value.param) == ("context_length_exceeded", "input")


def check_tools(client: OpenAI, model: str) -> None:
    """Every form of `tool_choice` that must call; the arguments follow the schema."""
    named = {"type": "function", "name": "weather"}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [named]}
    for choice in ("required", named, allowed):
        answer = client.responses.create(
            model=model,
            input=WEATHER_QUESTION,
            tools=[WEATHER_TOOL],
            tool_choice=choice,
            parallel_tool_calls=False,
            max_output_tokens=200,
            temperature=0,
        )
        (call,) = [item for item in answer.output if item.type == "function_call"]
        assert call.name == "weather"
        assert call.call_id
        assert isinstance(json.loads(call.arguments)["city"], str)


def check_tools_stream(client: OpenAI, model: str) -> None:
    with client.responses.stream(
        model=model,
        input=WEATHER_QUESTION,
        tools=[WEATHER_TOOL],
        tool_choice="required",
        parallel_tool_calls=False,
        max_output_tokens=200,
        temperature=0,
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    (done,) = [e for e in events if e.type == "response.function_call_arguments.done"]
    deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    (call,) = [item for item in final.output if item.type == "function_call"]
    assert "".join(deltas) == done.arguments == call.arguments
    assert "city" in json.loads(call.arguments)


def check_tool_answer(client: OpenAI, model: str) -> None:
    answer = client.responses.create(
        model=model,
        input=[
            {"role": "user", "content": WEATHER_QUESTION},
            {
                "type": "function_call",
                "call_id": "a",
                "name": "weather",
                "arguments": '{"city": "Tokyo"}',
            },
            {"type": "function_call_output", "call_id": "a", "output": "Sunny."},
        ],
        tools=[WEATHER_TOOL],
        tool_choice="none",
        max_output_tokens=16,
    )
    assert answer.output_text
    assert {item.type for item in answer.output} == {"message"}


def check_parse(client: OpenAI, model: str) -> None:
    answer = client.responses.parse(
        model=model,
        input='Name a city as JSON, {"name": ...}.',
        text_format=City,
        max_output_tokens=200,
        temperature=0,
    )
    assert isinstance(answer.output_parsed, City)


async def check_async(client: AsyncOpenAI, model: str) -> None:
    answer = await client.responses.create(model=model, input=QUESTION, max_output_tokens=8)
    assert answer.output_text
    stream = await client.responses.create(
        model=model, input=QUESTION, max_output_tokens=8, stream=True
    )
    kinds = [event.type async for event in stream]
    assert kinds[-1] in ("response.completed", "response.incomplete")


TEXT_CHECKS = (
    check_text,
    check_shape,
    check_turns,
    check_stream,
    check_instructions,
    check_logprobs,
    check_errors,
)
"""For every local model."""

TOOL_CHECKS = (check_tools, check_tools_stream, check_tool_answer)
"""For models whose chat template has tools."""

FORM_CHECKS = (check_parse,)
"""For models whose replies can be held to a form."""
