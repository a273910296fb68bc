"""Streams: what they say, what they say when something breaks, and that leaving ends the work."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time

import httpx
import pytest

from kataribe.base.errors import BusyError, ProviderError
from kataribe.base.events import Citation, Progress, Step, TextDelta
from kataribe.run.providers import Call, Reply, ScriptedLM
from kataribe.run.providers.progress import progress_in
from kataribe.serve import sse
from tests.serve.conftest import WEATHER, Source, hello, inside, source_of

WAITING = (Progress("queued", 3, 5), Progress("loading", 7, None), Progress("reading", 12, 40))


def data_of(text: str) -> list:
    """The JSON of each event, [DONE] left out."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def until(condition, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


async def stream(lm: ScriptedLM, headers: dict | None = None, **fields) -> str:
    async with inside(source_of(lm)) as http:
        asked = hello(stream=True, **fields)
        answer = await http.post("/v1/chat/completions", json=asked, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    return answer.text


async def test_order_of_a_stream():
    text = await stream(
        ScriptedLM(Reply("Hello 日本.", "Hm.", (Call("weather", "{}", "id1"),))),
        tools=[WEATHER],
        stream_options={"include_usage": True, "include_obfuscation": False},
    )
    assert text.endswith("data: [DONE]\n\n")
    chunks = data_of(text)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm."
    assert "".join(delta.get("content", "") for delta in deltas) == "Hello 日本."
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-2]["choices"][0]["delta"] == {}
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == len("Hm.Hello 日本.{}".encode())
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert calls[0]["id"] == "id1"
    assert calls[0]["function"]["name"] == "weather"
    assert "".join(call["function"]["arguments"] for call in calls) == "{}"


async def test_usage_counts_the_prompt_once_and_every_choice():
    text = await stream(ScriptedLM([("ab", "abcd")]), n=2, stream_options={"include_usage": True})
    assert data_of(text)[-1]["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 6,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    }
    assert "usage" not in data_of(await stream(ScriptedLM("ab")))[-1]


async def test_progress_is_comments_unless_events_are_wanted():
    reply = Reply("Hi", progress=WAITING, steps=(Step("plan", "two\n\ndata: lines"),))
    plain = await stream(ScriptedLM(reply))
    assert plain.startswith(
        ": queued 3\n\n: loading 7\n\n: reading 12/40\n\n: plan two data: lines\n\ndata: "
    )
    rich = await stream(ScriptedLM(reply), {"X-Kataribe-Events": "progress"})
    first = rich.split("\n\n")[0].split("\n")
    assert first[0] == "event: kataribe.progress"
    assert json.loads(first[1].removeprefix("data: ")) == {
        "stage": "queued",
        "done": 3,
        "total": 5,
        "index": 0,
    }
    assert "event: kataribe.step\n" in rich
    assert data_of(plain) == [
        {**chunk, "id": data_of(plain)[0]["id"], "created": data_of(plain)[0]["created"]}
        for chunk in data_of(rich)
        if "object" in chunk
    ]


async def test_what_a_step_tells_of_in_full_comes_with_it():
    voted = Step("vote", "5: 2", content='{"votes": {"5": 2}}', tokens=7)
    called = Step("call", "clock {}", call="call_1", content="{}")
    rich = await stream(
        ScriptedLM(Reply("5", steps=(voted, called))), {"X-Kataribe-Events": "progress"}
    )
    told = [
        json.loads(frame.split("\n")[1].removeprefix("data: "))
        for frame in rich.split("\n\n")
        if frame.startswith("event: kataribe.step")
    ]
    assert told == [
        {"name": "vote", "detail": "5: 2", "content": voted.content, "tokens": 7, "index": 0},
        {"name": "call", "detail": "clock {}", "content": "{}", "call": "call_1", "index": 0},
    ]
    assert [progress_in("kataribe.step", each) for each in told] == [(voted,), (called,)]


async def test_citations_and_exact_reasons():
    cited = Citation("guide.pdf#page=3", 0, 5, "Hello")
    reply = Reply("Hello", citations=(cited,), reason="repetition", detail="said it 9 times")
    whole_lm = ScriptedLM(reply)
    async with inside(source_of(whole_lm)) as http:
        whole = (await http.post("/v1/chat/completions", json=hello())).json()["choices"][0]
    last = data_of(await stream(ScriptedLM(reply)))[-1]["choices"][0]
    for choice in (whole, last):
        assert choice["finish_reason"] == "length"
        assert choice["finish_detail"] == {"reason": "repetition", "detail": "said it 9 times"}
    assert whole["message"]["annotations"][0]["url_citation"]["url"] == "guide.pdf#page=3"


async def test_at_most_one_call_from_a_model_that_makes_more():
    class Eager(ScriptedLM):
        def stream(self, request):
            return super().stream(dataclasses.replace(request, parallel_tool_calls=True))

    reply = Reply(calls=(Call("weather", "{}"), Call("weather", "[1]")))
    asked = {"tools": [WEATHER], "parallel_tool_calls": False}
    async with inside(source_of(Eager(reply))) as http:
        whole = (await http.post("/v1/chat/completions", json=hello(**asked))).json()
    assert len(whole["choices"][0]["message"]["tool_calls"]) == 1
    chunks = data_of(await stream(Eager(reply), **asked))
    calls = [c for chunk in chunks for c in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert {call["index"] for call in calls} == {0}


@pytest.mark.parametrize("fail_after", [0, 1, 2])
async def test_error_after_the_start_ends_the_stream(fail_after):
    lm = ScriptedLM(Reply("one two three", error=ProviderError("Broke."), fail_after=fail_after))
    async with inside(source_of(lm)) as http:
        answer = await http.post("/v1/chat/completions", json=hello(stream=True))
    if fail_after == 0:
        assert answer.status_code == 502
        assert answer.json()["error"]["message"] == "Broke."
        return
    assert answer.status_code == 200
    error = data_of(answer.text)[-1]["error"]
    assert error == {
        "message": "Broke.",
        "type": "upstream_error",
        "code": "provider_error",
        "param": None,
    }
    assert "[DONE]" not in answer.text


async def test_unexpected_error_in_a_stream_shows_no_insides(caplog):
    lm = ScriptedLM(Reply("one two", error=ZeroDivisionError("secret"), fail_after=1))
    text = await stream(lm)
    assert data_of(text)[-1]["error"]["code"] == "internal_error"
    assert "secret" not in text
    assert any(line.exc_info for line in caplog.records)


async def test_a_reply_that_says_error_or_never_ends_is_an_error():
    async with inside(source_of(ScriptedLM(Reply("x", reason="error", detail="oh")))) as http:
        answer = await http.post("/v1/chat/completions", json=hello())
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "reply_broke_off")

    class Endless(ScriptedLM):
        async def stream(self, request):
            return
            yield

    async with inside(source_of(Endless())) as http:
        answer = await http.post("/v1/chat/completions", json=hello())
    assert answer.status_code == 500
    assert "protocol" in answer.json()["error"]["message"]


def test_early_progress_does_not_hide_a_real_error(live):
    lm = ScriptedLM(
        Reply("x", progress=WAITING, error=BusyError("Full.", retry_after=1), fail_after=2)
    )
    server = live(lm)
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=hello(stream=True), timeout=60)
    assert answer.status_code == 429


def test_slow_start_begins_the_stream_with_comments(live):
    lm = ScriptedLM(Reply("late", progress=WAITING[:1], pace=3))
    server = live(lm, header_patience=0.1, heartbeat=0.1)
    asked = hello(stream=True)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=asked) as answer:
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0] == ": queued 3"
    assert ": still here" in lines
    assert lines[-1] == "data: [DONE]"


def test_loading_does_not_hold_the_headers(live):
    source = Source({"scripted": ScriptedLM("hi")}, delay=3)
    server = live(source=source, header_patience=0.1, heartbeat=0.1)
    asked = hello(stream=True)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=asked) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0] == ": still here"


@pytest.mark.parametrize("streaming", [True, False])
def test_leaving_ends_the_work_at_once(live, streaming):
    lm = ScriptedLM(Reply("word " * 1000, pace=0.01))
    server = live(lm)
    with open_chat(server.port, stream=streaming) as client:
        if streaming:
            assert b"200" in client.recv(1000)
        assert until(lambda: lm.running == 1)
    assert until(lambda: lm.running == 0)
    assert lm.abandoned == 1
    assert until(lambda: server.source.leases == 0)


def test_leaving_while_the_model_loads_gives_the_lease_back(live):
    source = Source({"scripted": ScriptedLM("hi")}, delay=60)
    server = live(source=source)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=hello(), timeout=0.3)
    assert until(lambda: source.leases == 0)


def open_chat(port: int, *, stream: bool) -> socket.socket:
    """A connection that has asked and reads nothing."""
    body = json.dumps(hello(stream=stream)).encode()
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    return client


class Flood(ScriptedLM):
    """200 MB of words, as fast as they are taken."""

    sent = 0
    ended = False

    async def stream(self, request):
        try:
            for _ in range(100_000):
                self.sent += 1
                yield TextDelta("x" * 2000)
        finally:
            self.ended = True


def test_a_client_that_reads_slowly_slows_the_model_and_not_the_memory(live):
    lm = Flood()
    with open_chat(live(lm).port, stream=True):
        assert until(lambda: lm.sent > 10)
        last = -1
        while last != lm.sent:  # until it stands still
            last = lm.sent
            time.sleep(0.3)
        assert lm.sent < 20_000
        assert not lm.ended


def test_a_client_that_stops_reading_gives_its_place_back(live, monkeypatch):
    monkeypatch.setattr(sse, "STALLED_SECONDS", 0.3)
    lm = Flood()
    server = live(lm)
    with open_chat(server.port, stream=True):
        assert until(lambda: lm.ended)
        assert until(lambda: server.source.leases == 0)


def test_many_streams_at_once_stay_apart(live):
    server = live(ScriptedLM(lambda request: request.prompt[0].parts[0].text * 5))
    found = {}

    def ask(word: str) -> None:
        messages = [{"role": "user", "content": word}]
        answer = httpx.post(
            f"{server.url}/v1/chat/completions",
            json={"model": "scripted", "messages": messages, "stream": True},
            timeout=30,
        )
        deltas = [chunk["choices"][0]["delta"] for chunk in data_of(answer.text)]
        found[word] = "".join(delta.get("content", "") for delta in deltas)

    words = [f"語{number} " for number in range(12)]
    threads = [threading.Thread(target=ask, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {word: word * 5 for word in words}
