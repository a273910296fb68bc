"""What the official `openai` client must be able to do with any model behind this server.

Each check takes a client and the name of a model and asserts what holds for every model, so the
same suite runs over a scripted model here and over real ones in `tests/e2e`. A model that cannot
do something is left out of that check by its caller.
"""

from __future__ import annotations

import json
import math

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.serve.conftest import WEATHER

QUESTION = [{"role": "user", "content": "What is the capital of Japan?"}]


class City(BaseModel):
    """A form for a reply."""

    name: str


def check_models(client: OpenAI, model: str) -> None:
    found = client.models.list()
    assert model in [one.id for one in found.data]
    one = client.models.retrieve(model)
    assert (one.id, one.object) == (model, "model")
    assert one.created >= 0


def check_chat(client: OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=16, temperature=0, seed=1
    )
    assert answer.object == "chat.completion"
    assert answer.model == model
    assert len(answer.choices) == 1
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.prompt_tokens > 0
    assert 0 < answer.usage.completion_tokens <= 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def check_turns(client: OpenAI, model: str) -> None:
    """A reply goes back as it came, as the client's own objects."""
    first = client.chat.completions.create(model=model, messages=QUESTION, max_tokens=8)
    again = client.chat.completions.create(
        model=model,
        messages=[*QUESTION, first.choices[0].message, {"role": "user", "content": "Sure?"}],
        max_tokens=8,
    )
    assert again.usage.prompt_tokens > first.usage.prompt_tokens


def check_stream(client: OpenAI, model: str) -> None:
    asked = {"model": model, "messages": QUESTION, "max_tokens": 16, "temperature": 0, "seed": 1}
    whole = client.chat.completions.create(**asked)
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert reasons[-1] == whole.choices[0].finish_reason
    assert not any(reasons[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


async def check_async(client: AsyncOpenAI, model: str) -> None:
    answer = await client.chat.completions.create(model=model, messages=QUESTION, max_tokens=8)
    assert answer.choices[0].message.content is not None
    stream = await client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=8, stream=True
    )
    reasons = [chunk.choices[0].finish_reason async for chunk in stream if chunk.choices]
    assert reasons[-1] in ("stop", "length")


def check_choices(client: OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=QUESTION, max_tokens=4, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    seen = {
        chunk.choices[0].index
        for chunk in client.chat.completions.create(
            model=model, messages=QUESTION, max_tokens=4, n=3, stream=True
        )
    }
    assert seen == {0, 1, 2}


def check_logprobs(client: OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=8, temperature=0, logprobs=True, top_logprobs=3
    )
    tokens = answer.choices[0].logprobs.content
    # The end of a turn is a token of the usage and no token of the text.
    assert answer.usage.completion_tokens - 1 <= len(tokens) <= answer.usage.completion_tokens
    raw = b"".join(bytes(token.bytes) for token in tokens)
    assert raw.decode("utf-8", "ignore").startswith(answer.choices[0].message.content[:4])
    for token in tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        ranked = [top.logprob for top in token.top_logprobs]
        assert ranked == sorted(ranked, reverse=True)


def check_tools(client: OpenAI, model: str) -> None:
    """Every form of `tool_choice` that must call; the arguments follow the schema."""
    named = {"type": "function", "function": {"name": "weather"}}
    tools = [{"type": "function", "function": {"name": "weather"}}]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}}
    for choice in ("required", named, allowed):
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "How is the weather in Tokyo?"}],
            tools=[WEATHER],
            tool_choice=choice,
            parallel_tool_calls=False,
            max_tokens=200,
            temperature=0,
        )
        assert answer.choices[0].finish_reason == "tool_calls"
        (call,) = answer.choices[0].message.tool_calls
        assert call.function.name == "weather"
        assert isinstance(json.loads(call.function.arguments)["city"], str)


def check_tools_stream(client: OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model,
        messages=[{"role": "user", "content": "How is the weather in Tokyo?"}],
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=200,
        temperature=0,
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert any(event.type == "tool_calls.function.arguments.done" for event in events)
    (call,) = final.choices[0].message.tool_calls
    assert call.id
    assert "city" in json.loads(call.function.arguments)


def check_tool_answer(client: OpenAI, model: str) -> None:
    call = {"name": "weather", "arguments": '{"city": "Tokyo"}'}
    answer = client.chat.completions.create(
        model=model,
        messages=[
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "The weather in Tokyo?"}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "a", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "Sunny."},
        ],
        tools=[WEATHER],
        tool_choice="none",
        max_tokens=16,
    )
    assert answer.choices[0].message.content
    assert not answer.choices[0].message.tool_calls


def check_parse(client: OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(
        model=model,
        messages=[{"role": "user", "content": 'Name a city as JSON, {"name": ...}.'}],
        response_format=City,
        max_tokens=200,
        temperature=0,
    )
    assert isinstance(answer.choices[0].message.parsed, City)


def check_completions(client: OpenAI, model: str) -> None:
    answer = client.completions.create(
        model=model, prompt=["The capital of Japan is", "One, two,"], max_tokens=4, n=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage.completion_tokens <= 16
    text = "".join(
        chunk.choices[0].text
        for chunk in client.completions.create(
            model=model, prompt="One, two,", max_tokens=4, temperature=0, stream=True
        )
    )
    whole = client.completions.create(model=model, prompt="One, two,", max_tokens=4, temperature=0)
    assert text == whole.choices[0].text


def check_scoring(client: OpenAI, model: str) -> None:
    """As evaluation harnesses score: the prompt's own tokens, without or with one more."""
    prompt = "The capital of Japan is 東京."
    for limit in (0, 1):
        answer = client.completions.create(
            model=model, prompt=prompt, max_tokens=limit, echo=True, logprobs=1, temperature=0
        )
        choice = answer.choices[0]
        scores = choice.logprobs
        assert choice.text.startswith(prompt)
        size = answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert len(scores.tokens) in (size, size - 1)
        assert len(scores.tokens) == len(scores.token_logprobs) == len(scores.top_logprobs)
        assert len(scores.tokens) == len(scores.text_offset)
        assert scores.token_logprobs[0] is None
        assert scores.top_logprobs[0] is None
        for token, logprob, top in list(
            zip(scores.tokens, scores.token_logprobs, scores.top_logprobs, strict=True)
        )[1:]:
            assert logprob <= 0
            assert math.isclose(top[token], logprob)
        assert scores.text_offset == sorted(scores.text_offset)
        if limit == 0:
            assert answer.usage.completion_tokens == 0
            assert choice.text == prompt


def check_ids(client: OpenAI, model: str) -> None:
    """Token ids from `/tokenize` are the same prompt as its text."""
    root = str(client.base_url).removesuffix("/v1/")
    asked = {"model": model, "prompt": "One, two,"}
    ids = client.post(f"{root}/tokenize", body=asked, cast_to=object)["tokens"]
    by_text = client.completions.create(
        model=model, prompt="One, two,", max_tokens=4, temperature=0
    )
    by_ids = client.completions.create(model=model, prompt=ids, max_tokens=4, temperature=0)
    assert by_ids.choices[0].text == by_text.choices[0].text
    assert by_ids.usage.prompt_tokens == len(ids)


def check_errors(client: OpenAI, model: str) -> None:
    """The client's own exceptions, with the field that is to blame."""
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=model, messages=QUESTION, temperature=9)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as unknown:
        client.chat.completions.create(model=model, messages=QUESTION, extra_body={"temprature": 1})
    assert "mean temperature?" in unknown.value.message
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "word " * 60_000}], stream=True
        )
    assert long.value.code == "context_length_exceeded"


def check_raw(client: OpenAI, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=QUESTION, max_tokens=4
    )
    assert raw.status_code == 200
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["x-request-id"]
    assert raw.parse().choices


TEXT_CHECKS = (
    check_models,
    check_chat,
    check_turns,
    check_stream,
    check_choices,
    check_logprobs,
    check_completions,
    check_scoring,
    check_ids,
    check_errors,
    check_raw,
)
"""For every local model."""

TOOL_CHECKS = (check_tools, check_tools_stream, check_tool_answer)
"""For models whose chat template has tools."""

FORM_CHECKS = (check_parse,)
"""For models whose replies can be held to a form."""
