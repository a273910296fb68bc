"""Consent to calls of tools over HTTP: only the owner answers, pages see it, /v1 says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kataribe.base.tool_calls import call_tool
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import Reply
from kataribe.serve.shapes.conversations import Message
from kataribe.serve.sweeping import sweep_now_and_then
from kataribe.store.ids import new_id
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.turns import MemoryTurns
from tests.serve.people_stage import Stage, stage_in
from tests.use.agents.parts import Plain, calls

BASE = "/studio/api/conversations"
SENT: list[str] = []


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    SENT.clear()
    with stage_in(tmp_path) as stage:
        turns = MemoryTurns()

        def send(to: str) -> str:
            SENT.append(to)
            return "sent"

        script: list[str | Reply] = [calls(("send", {"to": "ann"}), text="I send it."), "Done."]
        options = AgentOptions(name="sender", approve=lambda _: "ask", turns=turns)
        model = ScriptedLM(script, name="m")
        made = Agent(model, (Plain("send", send),), call_tool, options)
        stage.source.lms["sender"] = made  # type: ignore[assignment]
        yield stage


@pytest.fixture
async def http(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with stage.client() as client:
        yield client
    await stage.rooms.chats.close()


async def ask(http: httpx.AsyncClient) -> tuple[str, str]:
    """Addresses of a conversation and of a reply in it that waits."""
    talk = new_id()
    (await http.post(BASE, json={"id": talk, "model": "sender"})).raise_for_status()
    said = await http.post(f"{BASE}/{talk}/messages", json={"id": new_id(), "text": "Go."})
    (reply,) = said.raise_for_status().json()["replies"]
    await until(http, talk, lambda message: message["consents"] != [])
    return f"{BASE}/{talk}", reply


async def until(http: httpx.AsyncClient, talk: str, holds: Any) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            message = (await http.get(f"{BASE}/{talk}")).json()["messages"][-1]
            if holds(message):
                return message
            await asyncio.sleep(0.01)


async def test_the_owner_answers_and_the_reply_goes_on(http: httpx.AsyncClient):
    talk, reply = await ask(http)
    message = (await http.get(talk)).json()["messages"][-1]
    Message.model_validate(message)
    (round_,) = message["consents"]
    (call,) = round_["calls"]
    assert (call["name"], json.loads(call["arguments"])) == ("send", {"to": "ann"})
    assert round_["answers"] == {}
    assert round_["until"] - round_["asked_at"] == 3600
    body = {"answers": [{"call": call["id"], "approved": True}], "always": True}
    answer = await http.post(f"{talk}/messages/{reply}/consent", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["consents"][0]["answers"][call["id"]]["approved"] is True
    ended = await until(http, talk.rpartition("/")[2], lambda told: told["state"] == "done")
    assert (ended["text"], SENT) == ("I send it.\n\nDone.", ["ann"])
    assert [step["name"] for step in ended["steps"]] == ["call", "result", "step"]
    told = (await http.get(talk)).json()
    assert told["allowed"] == [{"model": "sender", "tool": "send"}]
    changed = await http.patch(talk, json={"allowed": []})
    assert changed.json()["allowed"] == []
    refused = await http.patch(talk, json={"allowed": [{"model": "sender", "tool": "erase"}]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "allowed")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"answers": [{"call": "call_unknown", "approved": True}]}, "call"),
        ({"answers": [{"call": "x", "approved": "yes"}]}, "answers[0].approved"),
        ({"answers": [{"call": "x", "approved": True, "why": "x" * 2001}]}, "answers[0].why"),
        ({"consent": True}, "consent"),
    ],
)
async def test_bad_answers_are_refused_and_it_still_waits(
    http: httpx.AsyncClient, body: dict[str, Any], param: str
):
    talk, reply = await ask(http)
    answer = await http.post(f"{talk}/messages/{reply}/consent", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    message = (await http.get(talk)).json()["messages"][-1]
    assert message["consents"][0]["answers"] == {}
    assert SENT == []


async def test_somebody_else_cannot_answer(stage: Stage):
    taro, hanako = stage.add("taro"), stage.add("hanako")
    async with stage.client(stage.key_of(taro)) as http, stage.client(stage.key_of(hanako)) as her:
        talk, reply = await ask(http)
        message = (await http.get(talk)).json()["messages"][-1]
        call = message["consents"][0]["calls"][0]["id"]
        body = {"answers": [{"call": call, "approved": True}]}
        answer = await her.post(f"{talk}/messages/{reply}/consent", json=body)
        assert answer.status_code == 404
        assert SENT == []
    await stage.rooms.chats.close()


async def test_a_page_is_told_of_steps_and_of_what_is_asked(stage: Stage, http: httpx.AsyncClient):
    talk, reply = await ask(http)
    chats = stage.rooms.chats
    from kataribe.serve.events import _told
    from kataribe.store.news import ConsentTold, StepTold

    async with chats.listening("local", talk.rpartition("/")[2]) as (listener, _):
        message = (await http.get(talk)).json()["messages"][-1]
        call = message["consents"][0]["calls"][0]["id"]
        body = {"answers": [{"call": call, "approved": False, "why": "No."}]}
        (await http.post(f"{talk}/messages/{reply}/consent", json=body)).raise_for_status()
        frames: dict[str, dict[str, Any]] = {}
        while len(frames) < 2:
            news = await listener.next(20)
            assert news is not None
            if isinstance(news.news, StepTold | ConsentTold):
                name, data = (await _told(stage.app.state.desk, news)).decode().split("\n")[:2]
                frames.setdefault(name, json.loads(data.removeprefix("data: ")))
    asked, step = frames["event: consent"], frames["event: step"]
    assert (asked["id"], asked["round"]["answers"][call]["why"]) == (reply, "No.")
    assert (step["id"], step["at"], step["step"]["name"]) == (reply, 0, "refused")


async def test_a_plain_call_of_the_api_ends_cleanly_and_can_go_on(http: httpx.AsyncClient):
    asked = [{"role": "user", "content": "Go."}]
    body = {"model": "sender", "messages": asked}
    first = (await http.post("/v1/chat/completions", json=body)).json()["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    assert first["finish_detail"]["reason"] == "approval"
    assert "consent is needed for: send" in first["finish_detail"]["detail"]
    (call,) = first["message"]["tool_calls"]
    answer = {"role": "tool", "tool_call_id": call["id"], "content": '{"approval": "yes"}'}
    said = {"role": "assistant", "content": "I send it.", "tool_calls": [call]}
    body = {"model": "sender", "messages": [*asked, said, answer]}
    then = (await http.post("/v1/chat/completions", json=body)).json()["choices"][0]
    assert (then["message"]["content"], SENT) == ("Done.", ["ann"])


async def test_what_is_kept_elsewhere_is_swept_along(stage: Stage):
    loop, swept = asyncio.get_running_loop(), asyncio.Event()

    def note() -> None:
        loop.call_soon_threadsafe(swept.set)

    task = asyncio.create_task(sweep_now_and_then(stage.store, (note,)))
    async with asyncio.timeout(20):
        await swept.wait()
    task.cancel()
