"""Jobs over HTTP: seen, steered, told to the pages, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.store import api_keys, people
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.jobs import NewJob
from kataribe.store.tables import LOCAL
from kataribe.store.workers import Workers
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import live_server, source_of

JOBS = "/studio/api/jobs"


class Steps:
    """Three steps, each when the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.left = True

    def run(self, job, reporter):
        for done in range(1, 4):
            reporter.progress("steps", done, 3, "steps")
            while not self.gate.wait(0.01):
                reporter.check()
        reporter.log("warning", "That was all.")
        return {"steps": 3}

    def discard(self, job):
        self.left = False


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "kataribe.db")
    yield store
    store.close()


@pytest.fixture
def work():
    return Steps()


@pytest.fixture
def pool(store, work):
    with Workers(store, {"count": work}) as pool:
        yield pool


@pytest.fixture
async def http(store, pool):
    async with client(store, pool) as http:
        yield http


def client(store, pool):
    source = source_of(ScriptedLM("Tokyo."))
    rooms = Rooms(store, Chats(store, source, "scripted"), jobs=pool)
    transport = httpx.ASGITransport(create_app(source, ServerSettings(), rooms=rooms))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8720")


async def until(http, job, state):
    for _ in range(3000):
        found = (await http.get(f"{JOBS}/{job}")).json()
        if found["state"] == state:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def test_a_job_is_paused_resumed_and_done(http, pool, work):
    job = pool.add(LOCAL, NewJob("count", "Count", {"to": 3})).id
    await until(http, job, "running")
    paused = await http.post(f"{JOBS}/{job}/pause", json={})
    assert paused.json()["state"] in ("pausing", "paused")
    await until(http, job, "paused")
    assert (await http.post(f"{JOBS}/{job}/resume", json={})).status_code == 200
    work.gate.set()
    done = await until(http, job, "done")
    assert (done["result"], done["done"], done["total"], done["unit"]) == (
        {"steps": 3}, 3, 3, "steps",
    )  # fmt: skip
    assert done["failure"] is None
    lines = (await http.get(f"{JOBS}/{job}/log")).json()["data"]
    assert lines[-1]["line"] == "That was all."
    later = (await http.get(f"{JOBS}/{job}/log", params={"after": lines[-2]["key"]})).json()
    assert [line["level"] for line in later["data"]] == ["warning"]
    assert [each["id"] for each in (await http.get(JOBS)).json()["data"]] == [job]
    assert (await http.get(JOBS, params={"active": "true"})).json()["data"] == []
    gone = await http.delete(f"{JOBS}/{job}")
    assert gone.json() == {"object": "list", "data": []}
    assert (await http.get(f"{JOBS}/{job}")).status_code == 404


async def test_a_cancelled_job_leaves_nothing(http, pool, work):
    job = pool.add(LOCAL, NewJob("count", "Count", {})).id
    await until(http, job, "running")
    refused = await http.delete(f"{JOBS}/{job}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "wrong_state")
    await http.post(f"{JOBS}/{job}/cancel", json={})
    await until(http, job, "cancelled")
    assert not work.left
    again = await http.post(f"{JOBS}/{job}/resume", json={})
    assert again.status_code == 400
    assert "is cancelled" in again.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"{JOBS}/nothing", None, 404),
        ("GET", f"{JOBS}/{'x' * 33}", None, 400),
        ("GET", f"{JOBS}/nothing/log", None, 404),
        ("GET", f"{JOBS}?active=perhaps", None, 400),
        ("GET", f"{JOBS}/nothing/log?after=-1", None, 400),
        ("GET", f"{JOBS}/nothing/log?after=99999999999999999999", None, 400),
        ("POST", f"{JOBS}/nothing/pause", {}, 404),
        ("POST", f"{JOBS}/nothing/pause", {"now": True}, 400),
        ("POST", f"{JOBS}/nothing/pause", None, 415),
        ("POST", f"{JOBS}/nothing/stop", {}, 404),
        ("DELETE", f"{JOBS}/nothing", None, 404),
    ],
)
async def test_bad_requests_are_told(http, method, path, body, status):
    answer = await http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


async def test_a_server_without_jobs_says_so(store):
    async with client(store, None) as http:
        answer = await http.get(JOBS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported")


def test_the_pages_of_its_person_hear_of_a_job(store, work):
    pool = Workers(store, {"count": work})
    source = source_of(ScriptedLM("Tokyo."))
    rooms = Rooms(store, Chats(store, source, "scripted"), jobs=pool)
    work.gate.set()
    with (
        live_server(source, rooms=rooms) as live,
        httpx.stream("GET", f"{live.url}/studio/api/events", timeout=10) as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines).startswith(":")
        pool.add(LOCAL, NewJob("count", "Count", {}))
        told = until_done(lines)
    assert [job["state"] for job in told][:2] == ["waiting", "running"]
    assert told[-1]["result"] == {"steps": 3}


def test_nobody_hears_of_somebody_elses_jobs(store, work):
    with store.writing() as tx:
        # The first account is LOCAL, who also gets what belongs to nobody.
        first, second = (people.add(tx, name, "none", now())[0] for name in ("taro", "hanako"))
        keys = {one.id: api_keys.make(tx, one.id, "tests", now())[1] for one in (first, second)}
    assert first.id == LOCAL
    pool = Workers(store, {"count": work})
    source = source_of(ScriptedLM("Tokyo."))
    rooms = Rooms(store, Chats(store, source, "scripted"), jobs=pool)
    work.gate.set()
    with live_server(source, rooms=rooms) as live:

        def listening(owner):
            headers = {"authorization": f"Bearer {keys[owner]}"}
            return httpx.stream("GET", f"{live.url}/studio/api/events", headers=headers, timeout=10)

        with listening(first.id) as stream, listening(second.id) as other:
            lines, others = stream.iter_lines(), other.iter_lines()
            assert next(lines).startswith(":")
            assert next(others).startswith(":")
            theirs = pool.add(second.id, NewJob("count", "Count", {})).id
            assert {job["id"] for job in until_done(others)} == {theirs}
            # News come in order: what LOCAL heard of that job stands before that of the next.
            own = pool.add(first.id, NewJob("count", "Count", {})).id
            assert {job["id"] for job in until_done(lines)} == {own}
            last = pool.add(second.id, NewJob("count", "Count", {})).id
            assert {job["id"] for job in until_done(others)} == {last}


def until_done(lines: Iterator[str]) -> list[dict]:
    """What a page is told of jobs, up to the first that is done."""
    told: list[dict] = []
    for line in lines:
        if line.startswith("data: "):
            told.append(json.loads(line.removeprefix("data: ")))
            if told[-1]["state"] == "done":
                break
    return told
