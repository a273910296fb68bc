"""Training runs over HTTP, as far as their jobs make them: begun, measured again, and removed."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx
import pytest

from kataribe.base.errors import StorageError
from kataribe.base.workspace import Workspace
from kataribe.cli.runs_here import RunsHere
from kataribe.make.training.runs import RunInfo, create_run, list_runs
from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.serve.training import KIND
from kataribe.store.database import Store
from kataribe.store.tables import LOCAL
from kataribe.store.workers import Workers
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import source_of

RUNS = "/studio/api/runs"


class Held:
    """Work that does nothing until it may, and takes nothing away until it may."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def run(self, job, reporter):
        while not self.gate.wait(0.01):
            reporter.check()
        return {}

    def discard(self, job):
        self.gate.wait(60)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture
def work():
    work = Held()
    yield work
    work.gate.set()


@pytest.fixture
def pool(workspace, work):
    store = Store(workspace.database)
    with Workers(store, {KIND: work}) as pool:
        yield pool
        work.gate.set()
    store.close()


@pytest.fixture
async def http(workspace, pool):
    source, store = source_of(ScriptedLM("Tokyo.")), Store(workspace.database)
    chats = Chats(store, source, "scripted")
    rooms = Rooms(store, chats, jobs=pool, training=RunsHere(workspace))
    transport = httpx.ASGITransport(create_app(source, ServerSettings(), rooms=rooms))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8720") as http:
        yield http
    store.close()


def failed(workspace, plan):
    """A run that came to nothing."""
    return create_run(
        workspace.runs, RunInfo("tale", "pretrain", state="failed", problem="x"), plan
    )


async def test_a_run_whose_job_is_refused_leaves_no_folder(
    http, pool, workspace, monkeypatch
) -> None:
    (workspace.corpora / "tales").mkdir(parents=True)
    (workspace.corpora / "tales" / "train.jsonl").write_text('{"text": "a"}\n')
    (workspace.tokenizers / "tales").mkdir(parents=True)
    (workspace.tokenizers / "tales" / "tokenizer.json").write_text("{}")

    def full(owner, wanted):
        raise StorageError("The disk is full.")

    monkeypatch.setattr(pool, "add", full)
    wanted = {"objective": "pretrain", "name": "tale", "corpus": "tales", "tokenizer": "tales"}
    refused = await http.post(RUNS, json={**wanted, "minutes": 1})
    assert "The disk is full" in refused.text
    assert list_runs(workspace.runs) == []


async def test_a_run_that_is_being_removed_is_shown_no_more(http, workspace) -> None:
    run = failed(workspace, {})
    assert (await http.post(f"{RUNS}/{run.id}/resume", json={})).status_code == 200
    assert (await http.delete(f"{RUNS}/{run.id}")).status_code == 200
    assert run.path.exists(), "the pool has not come to it"
    assert (await http.get(RUNS)).json()["data"] == []
    gone = await http.get(f"{RUNS}/{run.id}")
    assert gone.status_code == 404
    assert "being removed" in gone.text


@pytest.mark.parametrize(
    ("plan", "goal", "state"),
    [({}, "plan", "planning"), ({"loop": {"steps": 5}}, "train", "waiting")],
)
async def test_one_that_failed_goes_on_where_it_was(http, pool, workspace, plan, goal, state):
    run = failed(workspace, plan)
    job = (await http.post(f"{RUNS}/{run.id}/resume", json={})).json()
    assert job["params"]["goal"] == goal
    for _ in range(500):
        if pool.get(LOCAL, job["id"]).state == "running":
            break
        await asyncio.sleep(0.02)
    shown = (await http.get(f"{RUNS}/{run.id}")).json()["run"]
    assert (shown["state"], shown["problem"]) == (state, "")
    assert json.loads((run.path / "run.json").read_text())["problem"] == "x"
