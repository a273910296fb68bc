"""Kataribe as an MCP server over HTTP, driven by the official client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from kataribe.base.errors import UnavailableError
from kataribe.base.events import Step, TextDelta
from kataribe.base.messages import text_of
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.serve.mcp.asking import Asked, Telling, ask
from kataribe.serve.mcp.offer import Caller, Offer
from kataribe.serve.mcp.tools import call, tools_of
from kataribe.use.prompts.retrieval import Passage
from tests.serve.conftest import Live, hello, source_of

Start = Callable[..., Live]
KEY = "a-key-for-tests"


@asynccontextmanager
async def client_of(
    live: Live, mode: str = "auto", key: str | None = None
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(f"{live.url}/mcp", http_client=http)
        async with Client(transport, mode=mode, cache=None) as client:
            yield client


async def until(holds: Callable[[], object]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("It did not come to that within 10 s.")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_asks_and_lists(mode: str, live: Start) -> None:
    lm = ScriptedLM(Reply("one two three four five six", pace=0.1), repeat=True)
    server = live(lm, ScriptedLM("Other.", name="other"), default_model="scripted")
    heard: list[tuple[float, str | None]] = []

    async def hear(done: float, total: float | None, words: str | None) -> None:
        heard.append((done, words))

    async with client_of(server, mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "kataribe"
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["ask", "list_models"]
        models = (await client.call_tool("list_models", {})).structured_content["models"]
        assert [(one["name"], one["kind"], one["default"]) for one in models] == [
            ("scripted", "model", True),
            ("other", "model", False),
        ]
        answer = await client.call_tool(
            "ask", {"question": "Count.", "system": "Be brief."}, progress_callback=hear
        )
    assert answer.content[0].text == "one two three four five six"
    told = answer.structured_content
    assert (told["model"], told["finish_reason"]) == ("scripted", "stop")
    assert told["completion_tokens"] > 0
    assert "".join(words or "" for _, words in heard) == "one two three four five six"
    assert len(heard) > 1
    numbers = [number for number, _ in heard]
    assert numbers == sorted(set(numbers))
    system, question = lm.requests[0].prompt
    assert (text_of(system), text_of(question)) == ("Be brief.", "Count.")
    assert lm.requests[0].context.user == "local"
    assert lm.running == 0


async def test_what_goes_wrong_is_told_to_the_hosts_model(live: Start) -> None:
    server = live(ScriptedLM("Hello.", repeat=True))
    async with client_of(server) as client:
        for arguments, words in (
            ({"question": "?"}, "No model is named"),
            ({"question": "?", "model": "gone"}, "There is no model 'gone'"),
            ({"question": "", "model": "scripted"}, "question ''"),
            ({"question": "?", "modle": "scripted"}, "modle: Extra inputs are not permitted"),
            ({"model": "scripted"}, "question: Field required"),
            ({"question": "?", "model": "scripted", "temperature": 9}, "temperature 9"),
        ):
            answer = await client.call_tool("ask", arguments)
            assert answer.is_error, arguments
            assert words in answer.content[0].text
        with pytest.raises(MCPError, match="There is no tool 'aks'. Did you mean ask?"):  # noqa: RUF043
            await client.call_tool("aks", {})
        good = await client.call_tool("ask", {"question": "?", "model": "scripted"})
        assert good.content[0].text == "Hello."


async def test_the_gate_keeps_the_door(live: Start) -> None:
    server = live(ScriptedLM("Hello.", repeat=True), key=KEY)
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with httpx.AsyncClient() as http:
        url = f"{server.url}/mcp"
        assert (await http.post(url, json=body)).status_code == 401
        wrong = {"Authorization": "Bearer wrong-key-here"}
        assert (await http.post(url, json=body, headers=wrong)).status_code == 401
        foreign = {"Host": "evil.example.org", "Authorization": f"Bearer {KEY}"}
        assert (await http.post(url, json=body, headers=foreign)).status_code == 421
        page = {"Origin": "http://evil.example.org", "Authorization": f"Bearer {KEY}"}
        assert (await http.post(url, json=body, headers=page)).status_code == 403
        right = {"Authorization": f"Bearer {KEY}"}
        got = await http.get(url, headers=right)
        assert (got.status_code, got.headers["allow"]) == (405, "POST")
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - whatever the client makes of 401
        async with client_of(server):
            pass
    assert not isinstance(raised.value, AssertionError)
    async with client_of(server, key=KEY) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["ask", "list_models"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_host_that_goes_away_frees_the_model(mode: str, live: Start) -> None:
    lm = ScriptedLM(Reply("word " * 1000, pace=0.05), repeat=True)
    server = live(lm, default_model="scripted")
    async with client_of(server, mode) as client:
        asking = asyncio.create_task(client.call_tool("ask", {"question": "?"}))
        await until(lambda: lm.running)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await until(lambda: not lm.running)
    assert server.source.leases == 0


async def test_a_stopping_server_ends_what_is_asked(live: Start) -> None:
    lm = ScriptedLM(Reply("word " * 1000, pace=0.05))
    server = live(lm, default_model="scripted", grace=0.3)
    async with client_of(server) as client:
        asking = asyncio.create_task(client.call_tool("ask", {"question": "?"}))
        await until(lambda: lm.running)
        server.app.state.desk.lifecycle.stop()
        answer = await asking
    assert answer.is_error
    assert "The server stopped before the reply ended" in answer.content[0].text


async def test_tokens_asked_for_over_mcp_are_counted(live: Start) -> None:
    server = live(ScriptedLM("Hello there.", repeat=True), default_model="scripted")
    async with client_of(server) as client:
        await client.call_tool("ask", {"question": "?"})
    async with httpx.AsyncClient() as http:
        figures = (await http.get(f"{server.url}/metrics")).text
        assert (await http.post(f"{server.url}/v1/chat/completions", json=hello())).is_success
    assert 'kataribe_tokens_total{kind="completion",model="scripted"}' in figures
    assert 'route="/mcp"' in figures


async def test_documents_are_searched_only_where_there_are_any() -> None:
    async def search(query: str, most: int) -> list[Passage]:
        return [Passage(f"About {query}.", "a.md")][:most] if query != "nothing" else []

    source = source_of(ScriptedLM("Hello."))
    assert [tool.name for tool in tools_of(Offer(source))] == ["ask", "list_models"]
    offer = Offer(source, search=search)
    assert [tool.name for tool in tools_of(offer)][-1] == "search_documents"
    found = await call(offer, "search_documents", {"query": "tea"}, Caller())
    assert found.content[0].text == "[1] a.md\nAbout tea."
    found = await call(offer, "search_documents", {"query": "nothing"}, Caller())
    assert found.content[0].text == "Nothing was found for 'nothing'."
    wrong = await call(offer, "search_documents", {"query": "x", "passages": 99}, Caller())
    assert wrong.is_error
    assert "passages 99" in wrong.content[0].text
    with pytest.raises(MCPError, match="There is no tool 'search_documents'"):
        await call(Offer(source), "search_documents", {"query": "x"}, Caller())


@pytest.mark.parametrize(
    ("reason", "words"),
    [("length", "The reply ended early: length"), ("approval", "cannot be given over MCP")],
)
async def test_how_a_reply_ended_is_told(reason: str, words: str) -> None:
    source = source_of(ScriptedLM(Reply("Half", reason=reason)))
    answer = await call(Offer(source, "scripted"), "ask", {"question": "?"}, Caller())
    assert words in answer.content[-1].text
    assert answer.is_error == (reason == "approval")


async def test_progress_grows_with_steps_and_words() -> None:
    told: list[tuple[float, str]] = []

    async def report(number: float, words: str) -> None:
        told.append((number, words))

    telling = Telling(report, every=0.0)
    for event in (Step("route", "a"), TextDelta("x" * 9), Step("tool", "b"), TextDelta("y")):
        await telling.saw(event)
    assert told == [(1, "route: a"), (9, "x" * 9), (10, "tool: b"), (11, "y")]
    late = Telling(report, every=60.0)
    told.clear()
    await late.saw(TextDelta("a"))
    await late.saw(TextDelta("b"))
    await late.saw(Step("tool", "c"))
    assert [words for _, words in told] == ["a", "b", "tool: c"]


async def test_errors_of_lending_pass() -> None:
    source = source_of()
    source.error = UnavailableError("No room.")
    with pytest.raises(UnavailableError, match="No room"):
        await ask(source, "scripted", Asked(question="?"), Caller())
    answer = await call(Offer(source, "scripted"), "ask", {"question": "?"}, Caller())
    assert json.loads(answer.model_dump_json())["content"][0]["text"] == "No room."


def test_the_schemas_say_what_there_is() -> None:
    asked: dict[str, Any] = tools_of(Offer(source_of()))[0].input_schema
    assert asked["required"] == ["question"]
    assert asked["additionalProperties"] is False
    assert set(asked["properties"]) == {
        "question",
        "model",
        "system",
        "max_tokens",
        "temperature",
    }
    assert "title" not in json.dumps(asked)
