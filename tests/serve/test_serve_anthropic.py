"""`/v1/messages`: what the model is asked, every event of a stream, how replies end, errors."""

from __future__ import annotations

import base64
import json
import re

import anthropic
import httpx
import pytest
from anthropic import Anthropic, AsyncAnthropic

from kataribe.base.errors import BusyError, ProviderError, UnavailableError
from kataribe.base.events import Citation, Finished, Progress, ReasoningDelta, Step, Usage
from kataribe.base.lm import JsonFormat, Request, Sampling, Thinking, ToolChoice
from kataribe.base.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from kataribe.run.providers import Call, Reply, ScriptedLM
from kataribe.serve.settings import ServerSettings
from kataribe.serve.shapes.anthropic_replies import (
    AnthropicErrorResponse,
    AnthropicMessage,
    AnthropicStreamEvent,
)
from tests.serve.anthropic_suite import (
    FORM_CHECKS,
    QUESTION,
    TEXT_CHECKS,
    TOOL_CHECKS,
    WEATHER_TOOL,
    check_async,
)
from tests.serve.conftest import Source, inside, live_server, source_of
from tests.serve.test_serve_openai_client import plausible
from tests.serve.test_serve_streams import until

PATH = "/v1/messages"


def hello(**fields) -> dict:
    asked = {"model": "scripted", "max_tokens": 500}
    return {**asked, "messages": [{"role": "user", "content": "hi"}], **fields}


async def ask(lm: ScriptedLM, **fields) -> dict:
    """The whole answer, which fits its description."""
    async with inside(source_of(lm)) as http:
        answer = await http.post(PATH, json=hello(**fields))
    assert answer.status_code == 200, answer.text
    AnthropicMessage.model_validate_json(answer.content, strict=True)
    return answer.json()


async def stream(lm: ScriptedLM, **fields) -> list[dict]:
    async with inside(source_of(lm)) as http:
        answer = await http.post(PATH, json=hello(stream=True, **fields))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events_of(answer.text)


def events_of(text: str) -> list[dict]:
    """The events, each of which fits its description and comes under its own name."""
    events = []
    for block in text.split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, _, data = block.partition("\n")
        data = data.removeprefix("data: ")
        AnthropicStreamEvent.model_validate_json(data, strict=True)
        event = json.loads(data)
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def gathered(events: list[dict]) -> dict:
    """The whole message that a stream tells, by the rules that Anthropic documents."""
    message = events[0]["message"]
    inputs: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"])
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                if delta["type"] == "input_json_delta":
                    place = event["index"]
                    inputs[place] = inputs.get(place, "") + delta["partial_json"]
                elif delta["type"] == "citations_delta":
                    block.setdefault("citations", []).append(delta["citation"])
                else:
                    field = delta["type"].removesuffix("_delta")
                    block[field] += delta[field]
            case "content_block_stop":
                if written := inputs.get(event["index"]):
                    message["content"][event["index"]]["input"] = json.loads(written)
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    return message


def alike(answer: dict) -> dict:
    """An answer without what no two answers share."""
    assert re.fullmatch("msg_[0-9a-f]{24}", answer["id"])
    return {**answer, "id": ""}


@pytest.fixture(scope="module")
def server():
    with live_server(source_of(ScriptedLM(plausible))) as live:
        yield live


@pytest.mark.parametrize("check", TEXT_CHECKS + TOOL_CHECKS + FORM_CHECKS)
def test_suite(server, check):
    with Anthropic(base_url=server.url, api_key="unused-key", max_retries=0) as client:
        check(client, "scripted")


async def test_suite_async(server):
    async with AsyncAnthropic(base_url=server.url, api_key="unused-key") as client:
        await check_async(client, "scripted")


EVERYTHING = Reply(
    "Hello 日本.",
    "Hm.",
    (Call("weather", {"city": "東京"}, "id1"), Call("weather", "{}", "id2")),
    citations=(Citation("guide.pdf", 0, 5, "Hello"),),
    cached_tokens=2,
)


async def test_the_whole_sequence_of_events():
    events = await stream(ScriptedLM(EVERYTHING), tools=[WEATHER_TOOL])
    told = [(event["type"], event.get("delta", {}).get("type")) for event in events]
    start, stop, delta = "content_block_start", "content_block_stop", "content_block_delta"
    assert told == [
        ("message_start", None), ("ping", None),
        (start, None), (delta, "thinking_delta"), (stop, None),
        (start, None), (delta, "text_delta"), (delta, "text_delta"), (delta, "citations_delta"),
        (stop, None),
        (start, None), (delta, "input_json_delta"), (delta, "input_json_delta"), (stop, None),
        (start, None), (delta, "input_json_delta"), (delta, "input_json_delta"), (stop, None),
        ("message_delta", None), ("message_stop", None),
    ]  # fmt: skip
    begun = events[0]["message"]
    assert (begun["content"], begun["stop_reason"]) == ([], None)
    assert [event["index"] for event in events if event["type"] == stop] == [0, 1, 2, 3]


async def test_a_stream_tells_the_answer_that_comes_whole():
    whole = await ask(ScriptedLM(EVERYTHING), tools=[WEATHER_TOOL])
    events = await stream(ScriptedLM(EVERYTHING), tools=[WEATHER_TOOL])
    assert alike(gathered(events)) == alike(whole)
    thought, said, first, second = whole["content"]
    assert thought == {"type": "thinking", "thinking": "Hm.", "signature": ""}
    assert said["text"] == "Hello 日本."
    assert (said["citations"][0]["url"], said["citations"][0]["cited_text"]) == (
        "guide.pdf",
        "Hello",
    )
    assert first == {
        "type": "tool_use",
        "id": "id1",
        "name": "weather",
        "input": {"city": "東京"},
    }
    assert second["input"] == {}
    assert whole["usage"] == {
        "input_tokens": 1,  # three were read, two of them from the cache
        "cache_read_input_tokens": 2,
        "cache_creation_input_tokens": 0,
        "output_tokens": len('Hm.Hello 日本.{"city": "東京"}{}'.encode()),
        "output_tokens_details": {"thinking_tokens": 0},
    }


async def test_what_the_model_is_asked():
    lm = ScriptedLM(Reply(calls=(Call("weather"), Call("weather"))))
    answer = await ask(
        lm,
        system=[{"type": "text", "text": "Be "}, {"type": "text", "text": "short."}],
        max_tokens=50,
        temperature=0.5,
        top_p=0.9,
        top_k=7,
        stop_sequences=["END", "FIN"],
        tools=[{**WEATHER_TOOL, "type": "custom", "strict": True, "eager_input_streaming": True}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        thinking={"type": "adaptive"},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        metadata={"user_id": "u"},
        service_tier="auto",
        cache_control={"type": "ephemeral", "ttl": "1h"},
    )
    assert len(answer["content"]) == 1
    (request,) = lm.requests
    assert request.prompt == (
        Message("system", (TextPart("Be "), TextPart("short."))),
        text_message("user", "hi"),
    )
    assert request.sampling == Sampling(temperature=0.5, top_p=0.9, top_k=7, max_tokens=50)
    assert request.stop == ("END", "FIN")
    assert (request.tools[0].name, request.tools[0].strict) == ("weather", True)
    assert request.tools[0].parameters == WEATHER_TOOL["input_schema"]
    assert request.tool_choice == ToolChoice("required")
    assert not request.parallel_tool_calls
    assert request.template == {}
    assert request.thinking == Thinking(wanted=True)
    assert request.response_format == JsonFormat({"type": "object"})
    assert request.response_format.param == "output_config.format"
    assert request.context.user == "u"


async def test_blocks_become_messages():
    png = base64.b64encode(b"\x89PNG").decode()
    messages = [
        {"role": "system", "content": "You recite."},
        {"role": "user", "content": [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                         "data": png}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "abc"},
            {"type": "text", "text": "b", "citations": None},
            {"type": "tool_use", "id": "1", "name": "f", "input": {"x": "日"}},
            {"type": "tool_use", "id": "2", "name": "g", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "2", "is_error": True,
             "content": [{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}]},
            {"type": "tool_result", "tool_use_id": "1"},
            {"type": "text", "text": "c"},
        ]},
    ]  # fmt: skip
    lm = ScriptedLM()
    await ask(lm, messages=messages)
    assert lm.requests[0].prompt == (
        text_message("system", "You recite."),
        Message(
            "user",
            (
                TextPart("a"),
                ImagePart("image/png", b"\x89PNG"),
                ImagePart("image/*", url="https://example.org/a.png"),
            ),
        ),
        Message(
            "assistant",
            (
                ReasoningPart("hm", "abc"),
                TextPart("b"),
                ToolCallPart("1", "f", '{"x": "日"}'),
                ToolCallPart("2", "g", "{}"),
            ),
        ),
        Message("tool", (ToolResultPart("2", "two", is_error=True),)),
        Message("tool", (ToolResultPart("1", ""),)),
        text_message("user", "c"),
    )
    assert not lm.requests[0].continue_last


async def test_the_assistants_last_message_is_gone_on_with():
    lm = ScriptedLM()
    await ask(lm, messages=[*QUESTION, {"role": "assistant", "content": "It is"}])
    assert lm.requests[0].continue_last
    assert lm.requests[0].prompt[-1] == text_message("assistant", "It is")


@pytest.mark.parametrize(
    ("choice", "asked", "parallel"),
    [
        (None, ToolChoice("auto"), True),
        ({"type": "auto"}, ToolChoice("auto"), True),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice("auto"), False),
        ({"type": "any", "disable_parallel_tool_use": False}, ToolChoice("required"), True),
        ({"type": "tool", "name": "weather"}, ToolChoice("function", ("weather",)), True),
        ({"type": "none"}, ToolChoice("none"), True),
    ],
)
async def test_every_form_of_tool_choice(choice, asked, parallel):
    lm = ScriptedLM()
    await ask(lm, tools=[WEATHER_TOOL, {"name": "clock", "input_schema": {}}], tool_choice=choice)
    (request,) = lm.requests
    assert (request.tool_choice, request.parallel_tool_calls) == (asked, parallel)


ENDS = [
    (Reply("x"), {}, "end_turn", None, None),
    (Reply("a END b FIN"), {"stop_sequences": ["FIN", "END"]}, "stop_sequence", "END", None),
    (Reply("a"), {"stop_sequences": ["FIN"]}, "end_turn", None, None),
    (Reply("word word"), {"max_tokens": 5}, "max_tokens", None, None),
    (Reply(calls=(Call("weather"),)), {"tools": [WEATHER_TOOL]}, "tool_use", None, None),
    (
        Reply(calls=(Call("weather"),), reason="approval"),
        {"tools": [WEATHER_TOOL]},
        "tool_use",
        None,
        "approval",
    ),
    (Reply("x", reason="content_filter", detail="no"), {}, "refusal", None, "content_filter"),
    (Reply("x", reason="repetition", detail="9x"), {}, "max_tokens", None, "repetition"),
    (Reply("x", reason="budget"), {}, "max_tokens", None, "budget"),
]


@pytest.mark.parametrize(("reply", "fields", "reason", "stop", "exact"), ENDS)
async def test_how_replies_end(reply, fields, reason, stop, exact):
    whole = await ask(ScriptedLM(reply), **fields)
    events = await stream(ScriptedLM(reply), **fields)
    for told in (whole, events[-2]["delta"]):
        assert (told["stop_reason"], told["stop_sequence"]) == (reason, stop)
        assert (told.get("finish_detail") or {}).get("reason") == exact
        refusal = {"type": "refusal", "category": None, "explanation": "no"}
        assert told["stop_details"] == (refusal if reason == "refusal" else None)


async def test_a_reply_of_nothing_has_no_blocks():
    assert (await ask(ScriptedLM("")))["content"] == []
    events = await stream(ScriptedLM(""))
    told = [event["type"] for event in events]
    assert told == ["message_start", "ping", "message_delta", "message_stop"]


async def test_a_call_that_was_cut_has_what_came_of_it():
    call = Call("weather", '{"city": "Tok')
    reply = Reply(calls=(call,), reason="length")
    whole = await ask(ScriptedLM(reply), tools=[WEATHER_TOOL])
    assert whole["stop_reason"] == "max_tokens"
    assert whole["content"][0]["input"] in ({}, {"city": "Tok"})


@pytest.mark.parametrize("written", ['{"city": ', "[1]", "weather"])
async def test_arguments_that_are_no_object_are_an_error(written):
    async with inside(source_of(ScriptedLM(Reply(calls=(Call("weather", written),))))) as http:
        answer = await http.post(PATH, json=hello(tools=[WEATHER_TOOL]))
    assert answer.status_code == 502
    assert answer.json()["error"]["details"]["error_code"] == "invalid_tool_call"


async def test_thoughts_are_counted_where_the_model_counts_them():
    class Counting(ScriptedLM):
        async def stream(self, request: Request):
            yield ReasoningDelta("a", tokens=3)
            yield ReasoningDelta("b", tokens=7)
            yield Finished(text_message("assistant", "c"), Usage(5, 14), "stop")

    usage = (await ask(Counting()))["usage"]
    assert usage["output_tokens_details"] == {"thinking_tokens": 7}


async def test_progress_is_comments_and_the_start_tells_what_is_read():
    waiting = (Progress("queued", 3, 5), Progress("reading", 12, 40))
    reply = Reply("Hi", progress=waiting, steps=(Step("plan", "two"),))
    async with inside(source_of(ScriptedLM(reply))) as http:
        text = (await http.post(PATH, json=hello(stream=True))).text
    head = ": queued 3\n\n: reading 12/40\n\n: plan two\n\nevent: message_start\n"
    assert text.startswith(head)
    events = events_of(text)
    assert events[0]["message"]["usage"]["input_tokens"] == 40
    assert events[-2]["usage"]["input_tokens"] == 3  # what the reply used in the end
    assert "[DONE]" not in text


def test_silence_is_broken_by_pings(live):
    server = live(ScriptedLM(Reply("a b", pace=0.5)), heartbeat=0.1)
    text = httpx.post(f"{server.url}{PATH}", json=hello(stream=True), timeout=60).text
    told = [event["type"] for event in events_of(text)]
    assert told.count("ping") > 1
    assert told[0] == "message_start"
    assert ": still here" not in text


def test_a_slow_start_is_comments(live):
    source = Source({"scripted": ScriptedLM("hi")}, delay=1)
    server = live(source=source, header_patience=0.1, heartbeat=0.1)
    text = httpx.post(f"{server.url}{PATH}", json=hello(stream=True), timeout=60).text
    assert text.startswith(": still here\n\n")
    assert events_of(text)[0]["type"] == "message_start"


async def test_what_breaks_off_is_an_error_event():
    lm = ScriptedLM(Reply("one two three", error=ProviderError("Broke."), fail_after=2))
    events = await stream(lm)
    assert events[-1]["error"] == {
        "type": "api_error",
        "message": "Broke.",
        "details": {"error_code": "provider_error", "param": None},
    }
    assert events[-1]["request_id"].startswith("req_")


async def test_an_unexpected_error_shows_no_insides(caplog):
    for fail_after, streaming in ((0, False), (1, True)):
        lm = ScriptedLM(Reply("a b", error=ZeroDivisionError("secret"), fail_after=fail_after))
        async with inside(source_of(lm)) as http:
            answer = await http.post(PATH, json=hello(stream=streaming))
        told = events_of(answer.text)[-1] if streaming else answer.json()
        AnthropicErrorResponse.model_validate(told, strict=True)
        assert told["error"]["type"] == "api_error"
        assert told["request_id"] in told["error"]["message"]
        assert told["request_id"] == answer.headers["request-id"]
        assert "secret" not in answer.text
    assert any(line.exc_info for line in caplog.records)


@pytest.mark.parametrize(
    ("error", "status", "kind", "caught"),
    [
        (BusyError("Full.", retry_after=1.2), 429, "rate_limit_error", anthropic.RateLimitError),
        (UnavailableError("No.", retry_after=5), 503, "overloaded_error", anthropic.APIStatusError),
        (ProviderError("Gone."), 502, "api_error", anthropic.InternalServerError),
    ],
)
def test_errors_are_the_clients_own(live, error, status, kind, caught):
    server = live(ScriptedLM(error))
    with Anthropic(base_url=server.url, api_key="unused-key", max_retries=0) as client:
        for streaming in (False, True):
            with pytest.raises(caught) as found:
                client.messages.create(**hello(), stream=streaming)
            assert (found.value.status_code, found.value.type) == (status, kind)
            assert found.value.api_message == error.message
    if status == 429:
        assert found.value.response.headers["retry-after"] == "2"


def test_an_error_in_the_middle_reaches_the_client(live):
    reply = Reply("one two", error=BusyError("It broke.", retry_after=1), fail_after=1)
    server = live(ScriptedLM(reply))
    seen = []
    with (
        Anthropic(base_url=server.url, api_key="unused-key", max_retries=0) as client,
        client.messages.stream(**hello()) as stream,
        pytest.raises(anthropic.APIStatusError) as found,
    ):
        seen.extend(stream.text_stream)
    assert seen == ["one"]
    assert (found.value.type, found.value.api_message) == ("rate_limit_error", "It broke.")


@pytest.mark.parametrize("streaming", [True, False])
def test_leaving_ends_the_work_at_once(live, streaming, opened):
    lm = ScriptedLM(Reply("word " * 1000, pace=0.01))
    server = live(lm)
    client = opened(Anthropic(base_url=server.url, api_key="unused-key", max_retries=0))
    if streaming:
        with client.messages.create(**hello(max_tokens=3000), stream=True) as events:
            assert next(iter(events)).type == "message_start"
    else:
        with pytest.raises(anthropic.APITimeoutError):
            client.with_options(timeout=0.3).messages.create(**hello(max_tokens=3000))
    assert until(lambda: lm.running == 0)
    assert lm.abandoned == 1
    assert until(lambda: server.source.leases == 0)


KEYED = ServerSettings(key="open-sesame")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("x-api-key", "open-sesame")], 200),
        ([("x-api-key", " open-sesame ")], 200),
        ([("authorization", "Bearer open-sesame")], 200),
        ([("authorization", "Bearer open-sesame"), ("x-api-key", "shut-sesame")], 200),
        ([("authorization", "Bearer shut-sesame"), ("x-api-key", "open-sesame")], 401),
        ([("authorization", "Basic open-sesame"), ("x-api-key", "open-sesame")], 401),
        ([("x-api-key", "open-sesame"), ("x-api-key", "open-sesame")], 401),
        ([("x-api-key", "shut-sesame")], 401),
        ([("x-api-key", "")], 401),
        ([], 401),
    ],
)
@pytest.mark.parametrize("path", [PATH, f"{PATH}/count_tokens", "/v1/chat/completions"])
async def test_the_key_comes_in_either_header(path, headers, status):
    body = hello()
    if path.endswith("count_tokens"):
        del body["max_tokens"]
    async with inside(source_of(ScriptedLM()), KEYED) as http:
        answer = await http.post(path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 401:
        error = answer.json()["error"]
        assert error["type"] == "authentication_error"
        assert "x-api-key" in error["message"]


def test_the_clients_key_opens(live):
    server = live(ScriptedLM("Hello."), key="open-sesame")
    with Anthropic(base_url=server.url, api_key="open-sesame", max_retries=0) as client:
        assert client.messages.create(**hello()).content
    with (
        Anthropic(base_url=server.url, api_key="shut-sesame", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(**hello())
    with Anthropic(
        base_url=server.url, auth_token="open-sesame", api_key=None, max_retries=0
    ) as client:
        assert client.messages.create(**hello()).content
