"""`/v1/responses`: what the model is asked, every event of a stream, and how replies end."""

from __future__ import annotations

import base64
import json
import re

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from kataribe.base.errors import BusyError, InputError, ProviderError
from kataribe.base.events import (
    Citation,
    Finished,
    Progress,
    ReasoningDelta,
    Step,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import JsonFormat, Request, Sampling, ToolChoice
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
from kataribe.serve.shapes.responses_replies import ResponseObject, ResponseStreamEvent
from tests.serve.conftest import inside, live_server, source_of
from tests.serve.responses_suite import (
    FORM_CHECKS,
    TEXT_CHECKS,
    TOOL_CHECKS,
    WEATHER_TOOL,
    check_async,
)
from tests.serve.test_serve_openai_client import plausible
from tests.serve.test_serve_streams import until

PATH = "/v1/responses"


def hello(**fields) -> dict:
    return {"model": "scripted", "input": "hi", **fields}


async def ask(lm: ScriptedLM, **fields) -> dict:
    """The whole answer, which fits its description."""
    async with inside(source_of(lm)) as http:
        answer = await http.post(PATH, json=hello(**fields))
    assert answer.status_code == 200, answer.text
    ResponseObject.model_validate_json(answer.content, strict=True)
    return answer.json()


async def stream(lm: ScriptedLM, headers: dict | None = None, **fields) -> list[dict]:
    """The events, each of which fits its description and comes under its own name."""
    async with inside(source_of(lm)) as http:
        answer = await http.post(PATH, json=hello(stream=True, **fields), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events_of(answer.text)


def events_of(text: str) -> list[dict]:
    events = []
    for block in text.split("\n\n")[:-1]:
        if block.startswith((":", "event: kataribe.")):
            continue
        name, _, data = block.partition("\n")
        data = data.removeprefix("data: ")
        ResponseStreamEvent.model_validate_json(data, strict=True)
        event = json.loads(data)
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def alike(answer: dict) -> dict:
    """An answer without what no two answers share."""
    text = re.sub(r'"(resp|msg|rs|fc)_[0-9a-f]{24}"', r'"\1"', json.dumps(answer))
    return {**json.loads(text), "created_at": 0, "completed_at": 0}


@pytest.fixture(scope="module")
def server():
    with live_server(source_of(ScriptedLM(plausible))) as live:
        yield live


@pytest.mark.parametrize("check", TEXT_CHECKS + TOOL_CHECKS + FORM_CHECKS)
def test_suite(server, check):
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused-key", max_retries=0) as client:
        check(client, "scripted")


async def test_suite_async(server):
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused-key") as client:
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
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done",
        "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.annotation.added", "output_text.done", "content_part.done",
        "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert events[0]["response"] == events[1]["response"]
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []
    added = [event for event in events if event["type"] == "response.output_item.added"]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in added] == [0, 1, 2, 3]
    assert {event["item"]["status"] for event in added} == {"in_progress"}
    assert [event["item"]["id"] for event in added] == [event["item"]["id"] for event in done]
    assert [event["item"] for event in done] == events[-1]["response"]["output"]
    assert added[2]["item"]["arguments"] == ""
    assert (added[2]["item"]["call_id"], added[2]["item"]["name"]) == ("id1", "weather")


async def test_a_stream_ends_with_the_answer_that_comes_whole():
    asked = {
        "tools": [WEATHER_TOOL],
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "instructions": "Be short.",
    }
    whole = await ask(ScriptedLM(EVERYTHING), **asked)
    events = await stream(ScriptedLM(EVERYTHING), **asked)
    assert alike(events[-1]["response"]) == alike(whole)
    thought, said, first, second = whole["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    (text,) = said["content"]
    assert text["text"] == "Hello 日本."
    assert text["annotations"] == [
        {
            "type": "url_citation",
            "url": "guide.pdf",
            "title": "Hello",
            "start_index": 0,
            "end_index": 5,
        }
    ]
    assert b"".join(bytes(one["bytes"]) for one in text["logprobs"]) == "Hello 日本.".encode()
    assert json.loads(first["arguments"]) == {"city": "東京"}
    assert second["call_id"] == "id2"
    assert whole["usage"] == {
        "input_tokens": 13,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": len('Hm.Hello 日本.{"city": "東京"}{}'.encode()),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13 + len('Hm.Hello 日本.{"city": "東京"}{}'.encode()),
    }


async def test_what_was_asked_comes_back():
    form = {"type": "json_schema", "name": "City", "schema": {"type": "object"}}
    asked = {
        "instructions": "Be short.",
        "max_output_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "text": {"format": form},
        "tools": [WEATHER_TOOL],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "service_tier": "auto",
        "metadata": {"a": "b"},
        "truncation": "disabled",
        "background": False,
    }
    lm = ScriptedLM(Reply(calls=(Call("weather"), Call("weather"))))
    answer = await ask(lm, store=True, **asked)
    assert {field: answer[field] for field in asked} == asked
    assert answer["store"] is False  # nothing is kept, whatever was asked
    assert len(answer["output"]) == 1
    (request,) = lm.requests
    assert request.sampling == Sampling(temperature=0.5, top_p=0.9, max_tokens=50)
    assert request.tool_choice == ToolChoice("function", ("weather",))
    assert not request.parallel_tool_calls
    assert request.response_format == JsonFormat({"type": "object"}, "City")
    assert request.response_format.param == "text.format"
    assert request.context.user == "u"


async def test_items_become_turns():
    items = [
        {"type": "message", "role": "system", "content": "You recite."},
        {"role": "user", "content": "a"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "short"}],
         "content": [{"type": "reasoning_text", "text": "long"}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "b", "annotations": [], "logprobs": []}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "g", "arguments": "[", "id": "fc_1"},
        {"type": "function_call_output", "call_id": "2", "output": "two"},
        {"type": "function_call_output", "call_id": "1",
         "output": [{"type": "input_text", "text": "o"}, {"type": "input_text", "text": "ne"}]},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": "d", "phase": "final_answer"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "short"}]},
        {"type": "reasoning", "summary": []},
        {"role": "user", "content": [{"type": "input_text", "text": "e"}]},
    ]  # fmt: skip
    lm = ScriptedLM()
    await ask(lm, input=items, instructions="Be short.")
    assert lm.requests[0].prompt == (
        text_message("system", "Be short."),
        text_message("system", "You recite."),
        text_message("user", "a"),
        Message(
            "assistant",
            (
                ReasoningPart("long"),
                TextPart("b"),
                ToolCallPart("1", "f", "{}"),
                ToolCallPart("2", "g", "["),
            ),
        ),
        Message("tool", (ToolResultPart("2", "two"),)),
        Message("tool", (ToolResultPart("1", "one"),)),
        text_message("assistant", "c"),
        Message("assistant", (TextPart("d"), ReasoningPart("short"))),
        text_message("user", "e"),
    )


async def test_pictures_reach_a_model_that_sees():
    png = base64.b64encode(b"\x89PNG").decode()
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{png}", "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
    ]
    lm = ScriptedLM()
    await ask(lm, input=[{"role": "user", "content": content}])
    assert lm.requests[0].prompt[0].parts == (
        TextPart("What is this?"),
        ImagePart("image/png", b"\x89PNG"),
        ImagePart("image/*", url="https://example.org/a.png"),
    )


TOOLS = [WEATHER_TOOL, {"type": "function", "name": "clock"}, {"type": "function", "name": "stars"}]


def one(name: str) -> dict:
    return {"type": "function", "name": name}


def some(mode: str, *names: str) -> dict:
    return {"type": "allowed_tools", "mode": mode, "tools": [one(name) for name in names]}


@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        (None, ToolChoice("auto")),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        (one("clock"), ToolChoice("function", ("clock",))),
        (some("auto", "stars", "clock", "stars"), ToolChoice("auto", ("stars", "clock"))),
        (some("required", "clock"), ToolChoice("required", ("clock",))),
    ],
)
async def test_every_form_of_tool_choice(choice, asked):
    lm = ScriptedLM()
    answer = await ask(lm, tools=TOOLS, tool_choice=choice)
    assert lm.requests[0].tool_choice == asked
    assert [tool.name for tool in lm.requests[0].tools] == ["weather", "clock", "stars"]
    assert answer["tool_choice"] == (choice or "auto")


ENDS = [
    (Reply("x"), {}, "completed", None, None),
    (Reply("word word"), {"max_output_tokens": 5}, "incomplete", "max_output_tokens", None),
    (Reply("x", reason="content_filter", detail="no"), {}, "incomplete", "content_filter", "no"),
    (Reply("x", reason="repetition", detail="9x"), {}, "incomplete", "max_output_tokens", "9x"),
    (Reply("x", reason="deadline"), {}, "incomplete", "max_output_tokens", ""),
    (Reply(calls=(Call("weather"),), reason="approval"), {"tools": [WEATHER_TOOL]}, "completed",
     None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "fields", "status", "reason", "detail"), ENDS)
async def test_how_replies_end(reply, fields, status, reason, detail):
    whole = await ask(ScriptedLM(reply), **fields)
    last = (await stream(ScriptedLM(reply), **fields))[-1]
    assert last["type"] == f"response.{status}"
    for answer in (whole, last["response"]):
        assert answer["status"] == answer["output"][-1]["status"] == status
        assert (answer["incomplete_details"] or {}).get("reason") == reason
        assert (answer.get("finish_detail") or {}).get("detail") == detail


async def test_a_reply_of_nothing_is_a_message_of_nothing():
    whole = await ask(ScriptedLM(""))
    assert whole["output"][0]["content"][0]["text"] == ""
    events = await stream(ScriptedLM(""))
    assert alike(events[-1]["response"]) == alike(whole)
    assert "response.output_item.done" in [event["type"] for event in events]


class Curt(ScriptedLM):
    """Says its whole reply at once, at the end."""

    async def stream(self, request: Request):
        async for event in super().stream(request):
            if isinstance(event, Finished):
                yield event


@pytest.mark.parametrize("reply", [EVERYTHING, Reply("x", reason="content_filter")])
async def test_a_reply_without_pieces_is_told_all_the_same(reply):
    expected = await ask(ScriptedLM(reply), tools=[WEATHER_TOOL])
    for item in expected["output"]:
        for part in item.get("content", ()):
            part.pop("annotations", None)  # those come in events of their own
    told = [await ask(Curt(reply), tools=[WEATHER_TOOL])]
    told.append((await stream(Curt(reply), tools=[WEATHER_TOOL]))[-1]["response"])
    for answer in told:
        for item in answer["output"]:
            for part in item.get("content", ()):
                assert part.pop("annotations", []) == []
        assert alike(answer) == alike(expected)


async def test_thoughts_are_counted_where_the_model_counts_them():
    class Counting(ScriptedLM):
        async def stream(self, request: Request):
            yield ReasoningDelta("a", tokens=3)
            yield ReasoningDelta("b", tokens=7)
            yield TextDelta("c", tokens=9)
            yield ReasoningDelta("d", tokens=14)
            yield Finished(text_message("assistant", "c"), Usage(5, 14), "stop")

    details = (await ask(Counting()))["usage"]["output_tokens_details"]
    assert details == {"reasoning_tokens": 12}


async def test_progress_is_told_beside_the_events():
    reply = Reply("Hi", progress=(Progress("queued", 3, 5),), steps=(Step("plan", "two"),))
    async with inside(source_of(ScriptedLM(reply))) as http:
        plain = (await http.post(PATH, json=hello(stream=True))).text
        wanted = {"X-Kataribe-Events": "progress"}
        rich = (await http.post(PATH, json=hello(stream=True), headers=wanted)).text
    assert plain.startswith(": queued 3\n\n: plan two\n\nevent: response.created\n")
    assert rich.startswith("event: kataribe.progress\ndata: ")
    assert [event["type"] for event in events_of(plain)] == [e["type"] for e in events_of(rich)]
    assert "[DONE]" not in plain


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderError("Broke."), "server_error"),
        (BusyError("Broke.", retry_after=1), "rate_limit_exceeded"),
        (InputError("Broke.", param="input"), "invalid_prompt"),
    ],
)
async def test_what_breaks_off_is_a_failed_response(error, code):
    lm = ScriptedLM(Reply("one two three", "Hm.", error=error, fail_after=3))
    events = await stream(lm)
    last = events[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["message"] == "Broke."
    assert last["response"]["error"]["code"] == code
    assert last["response"]["usage"] is None
    thought, said = last["response"]["output"]
    assert (thought["status"], said["status"]) == ("completed", "incomplete")
    assert said["content"][0]["text"] == "one two"


async def test_an_unexpected_error_shows_no_insides(caplog):
    events = await stream(ScriptedLM(Reply("a b", error=ZeroDivisionError("secret"), fail_after=1)))
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert "secret" not in json.dumps(events)
    assert any(line.exc_info for line in caplog.records)


async def test_what_fails_before_the_first_word_is_an_http_error():
    async with inside(source_of(ScriptedLM(ProviderError("Gone.")))) as http:
        for streaming in (False, True):
            answer = await http.post(PATH, json=hello(stream=streaming))
            assert (answer.status_code, answer.json()["error"]["message"]) == (502, "Gone.")
            assert answer.json()["error"]["type"] == "upstream_error"


def test_the_client_hears_of_what_broke(live, opened):
    lm = ScriptedLM(Reply("one two", error=ProviderError("It broke."), fail_after=1))
    client = opened(OpenAI(base_url=f"{live(lm).url}/v1", api_key="unused-key", max_retries=0))
    with client.responses.stream(model="scripted", input="hi") as stream:
        last = list(stream)[-1]
    assert last.type == "response.failed"
    assert last.response.error.message == "It broke."


def test_busy_says_when(live, opened):
    lm = ScriptedLM(BusyError("The queue is full.", retry_after=1.2))
    client = opened(OpenAI(base_url=f"{live(lm).url}/v1", api_key="unused-key", max_retries=0))
    with pytest.raises(openai.RateLimitError) as busy:
        client.responses.create(model="scripted", input="hi", stream=True)
    assert busy.value.response.headers["retry-after"] == "2"


@pytest.mark.parametrize("streaming", [True, False])
def test_leaving_ends_the_work_at_once(live, streaming, opened):
    lm = ScriptedLM(Reply("word " * 1000, pace=0.01))
    server = live(lm)
    client = opened(OpenAI(base_url=f"{server.url}/v1", api_key="unused-key", max_retries=0))
    if streaming:
        with client.responses.create(model="scripted", input="hi", stream=True) as events:
            assert next(iter(events)).type == "response.created"
    else:
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.3).responses.create(model="scripted", input="hi")
    assert until(lambda: lm.running == 0)
    assert lm.abandoned == 1
    assert until(lambda: server.source.leases == 0)


async def test_a_call_that_goes_on_after_it_was_whole_is_refused():
    class Muddled(ScriptedLM):
        async def stream(self, request: Request):
            yield ToolCallDelta(0, "{}", "a", "weather")
            yield ToolCallDelta(1, "{", "b", "weather")
            yield ToolCallDelta(1, "}")
            yield ToolCallDelta(0, "}")

    events = await stream(Muddled(), tools=[WEATHER_TOOL])
    assert events[-1]["type"] == "response.failed"
    assert "tool call 0" in events[-1]["response"]["error"]["message"]
