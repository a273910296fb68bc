"""What a request may use: by its header, by what its person set; for whom it counts; costs."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from kataribe.cli.metering import Meters
from kataribe.prove.ops.trace_store import TraceStore
from kataribe.prove.ops.trace_writer import TraceWriter
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.settings import ServerSettings
from kataribe.store import preferences
from kataribe.store.ids import new_id
from tests.prove.ops.techniques import until
from tests.serve.conftest import Source, hello, inside, source_of
from tests.serve.people_stage import ADDRESS, Stage, stage_in

CHAT = "/v1/chat/completions"
MESSAGES = {"model": "scripted", "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]}
ROUTES = {
    CHAT: hello(),
    "/v1/completions": {"model": "scripted", "prompt": "hi"},
    "/v1/responses": {"model": "scripted", "input": "hi"},
    "/v1/messages": MESSAGES,
}


class Counted(Source):
    """A source whose models are metered and held to limits, as the program's own are."""

    meters: Meters

    @asynccontextmanager
    async def lease(self, name: str):
        async with super().lease(name) as lm:
            yield self.meters.lm(lm)


def counted(*lms: ScriptedLM) -> Counted:
    source = Counted({lm.name: lm for lm in lms})
    source.meters = Meters()
    return source


def limits_of(**limits: str | float) -> dict[str, str]:
    return {"X-Kataribe-Limits": ", ".join(f"{name}={value}" for name, value in limits.items())}


@pytest.mark.parametrize("route", ROUTES)
async def test_every_way_of_asking_takes_limits_its_trace_and_its_person(route):
    lm = ScriptedLM("A reply.")
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    async with inside(source_of(lm)) as http:
        headers = limits_of(steps=3, tokens=900, seconds=30, dollars=0.5) | {"traceparent": trace}
        answer = await http.post(route, json=ROUTES[route], headers=headers)
        assert answer.status_code == 200, answer.text
        await http.post(route, json=ROUTES[route])
    (asked, plain) = (request.context for request in lm.requests)
    assert (asked.steps, asked.tokens, asked.budget) == (3, 900, 0.5)
    assert asked.deadline is not None
    assert asked.trace == trace
    assert (plain.steps, plain.tokens, plain.budget, plain.deadline) == (None,) * 4
    assert plain.user == "local"


@pytest.mark.parametrize("stream", [False, True])
async def test_at_a_limit_the_reply_ends_with_what_was_found(stream):
    words = "one two three four five six " * 20  # a model that tells no count: four bytes a token
    source = counted(ScriptedLM(Reply(words)))
    async with inside(source) as http:
        answer = await http.post(CHAT, json=hello(stream=stream), headers=limits_of(tokens=12))
    assert answer.status_code == 200
    assert '"length"' in answer.text
    assert "A limit of 12 tokens" in answer.text
    assert "budget" in answer.text
    if not stream:
        said = answer.json()["choices"][0]["message"]["content"]
        assert said
        assert len(said) < 100
        assert words.startswith(said)
    (span,) = source.meters.ledger.spans()
    assert span.reason == "budget"


@pytest.mark.parametrize("header", ["steps=many", "hops=3", "steps=0", "5"])
async def test_a_header_that_says_nothing_is_refused_by_its_name(header):
    async with inside(source_of(ScriptedLM("x"))) as http:
        answer = await http.post(CHAT, json=hello(), headers={"X-Kataribe-Limits": header})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "X-Kataribe-Limits"


async def test_a_traceparent_that_goes_on_and_on_is_refused():
    async with inside(source_of(ScriptedLM("x"))) as http:
        answer = await http.post(CHAT, json=hello(), headers={"traceparent": "0" * 500})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "traceparent"


@pytest.fixture
def stage(tmp_path: Path):
    with stage_in(tmp_path) as stage:
        yield stage


async def test_what_a_person_set_holds_beside_the_header(stage: Stage):
    lm = stage.source.lms["scripted"]
    async with stage.client() as http:
        values = {"limits": {"steps": 4, "dollars": 0.2}}
        assert (await http.patch("/studio/api/preferences", json={"values": values})).is_success
        await http.post(CHAT, json=hello(), headers=limits_of(steps=9, dollars=0.1, tokens=50))
    asked = lm.requests[-1].context
    assert (asked.steps, asked.tokens, asked.budget) == (4, 50, 0.1)


@pytest.mark.parametrize(
    "value", [5, "steps=5", [1], {"hops": 1}, {"steps": 0}, {"seconds": "long"}, {"steps": True}]
)
async def test_limits_that_make_no_sense_are_not_set(stage: Stage, value):
    async with stage.client() as http:
        answer = await http.patch("/studio/api/preferences", json={"values": {"limits": value}})
        assert answer.status_code == 400
        assert "limits" in answer.json()["error"]["param"]
        assert (await http.get("/studio/api/preferences")).json() == {"values": {}}


async def test_a_chat_of_the_studio_keeps_to_what_its_person_set(stage: Stage):
    with stage.store.writing() as tx:
        preferences.change(tx, "local", {"limits": {"tokens": 77, "seconds": 60}})
    lm = stage.source.lms["scripted"]
    id_ = new_id()
    async with stage.client() as http:
        await http.post("/studio/api/conversations", json={"id": id_})
        at = f"/studio/api/conversations/{id_}/messages"
        answer = await http.post(at, json={"id": new_id(), "text": "Where?"})
        assert answer.is_success, answer.text
        await until(lambda: bool(lm.requests))
    asked = lm.requests[0].context
    assert (asked.user, asked.tokens) == ("local", 77)
    assert asked.deadline is not None
    await stage.rooms.chats.close()


async def test_with_accounts_a_request_is_its_senders_whatever_its_body_says(stage: Stage):
    taro, hanako = stage.add("taro"), stage.add("hanako")
    lm = stage.source.lms["scripted"]
    async with stage.client(stage.key_of(taro)) as http:
        answer = await http.post(CHAT, json=hello(user=hanako.id))
        assert answer.status_code == 200, answer.text
    assert lm.requests[-1].context.user == taro.id


async def test_costs_are_ones_own(tmp_path: Path):
    with stage_in(tmp_path) as stage:
        taro, hanako = stage.add("taro"), stage.add("hanako")
        source, traces = counted(ScriptedLM("Tokyo.")), TraceStore(tmp_path / "traces.db")
        rooms = replace(stage.rooms, costs=traces)
        app = create_app(source, ServerSettings(), rooms=rooms)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as http:
            mine = {"authorization": f"Bearer {stage.key_of(taro)}"}
            hers = {"authorization": f"Bearer {stage.key_of(hanako)}"}
            for headers, calls in ((mine, 3), (hers, 1)):
                for _ in range(calls):
                    await http.post(CHAT, json=hello(), headers=headers)
            TraceWriter(source.meters.ledger, traces).flush()
            for headers, calls in ((mine, 3), (hers, 1)):
                told = (await http.get("/studio/api/costs?days=1", headers=headers)).json()
                (line,) = told["data"]
                assert (line["model"], line["calls"], line["dollars"]) == ("scripted", calls, 0.0)
                assert line["completion_tokens"] == 6 * calls
            told = (await http.get("/studio/api/costs?by=day", headers=mine)).json()
            assert [line["model"] for line in told["data"]] == [None]
            assert (await http.get("/studio/api/costs?by=user", headers=mine)).status_code == 400
            assert (await http.get("/studio/api/costs")).status_code == 401


async def test_a_server_that_adds_nothing_up_says_so(stage: Stage):
    async with stage.client() as http:
        answer = await http.get("/studio/api/costs")
    assert answer.status_code == 400
    assert "kataribe up" in answer.text
