"""The catalogue over HTTP: lists, downloads, deletion, and samples that really run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time

import httpx
import pytest

from kataribe.base.errors import BusyError, InputError, NotFoundError
from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.catalog import KIND
from kataribe.serve.catalog_source import Pulling
from kataribe.serve.code_samples import Asked, code_samples
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.serve.shapes.catalog import CatalogModel, FitShown
from kataribe.store.database import Store
from kataribe.store.workers import Workers
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import live_server, source_of

CATALOG = "/studio/api/catalog"


class Shelf:
    """Two models: `scripted` is here and answers or not, `far` can be had."""

    def __init__(self) -> None:
        self.here = {"scripted": True, "far": False}
        self.busy = False
        self.gate = threading.Event()

    def models(self):
        return [self.model(name) for name in self.here]

    def model(self, name):
        if name not in self.here:
            raise NotFoundError(f"There is no model {name!r}.", param="model")
        return CatalogModel(
            name=name, title=name.title(), family=None, task="chat", languages=["ja"],
            licence="MIT", terms=None, parameters=None, context_length=None, size=10,
            download=0 if self.here[name] else 10, source="pypi:x==1", summary="", summary_ja="",
            installed=self.here[name], loaded=False, chats=None, problem="", verdict="fits",
            job=None,
        )  # fmt: skip

    def fit(self, name):
        return FitShown(
            verdict="fits", context=10, memory=1, memory_available=2, disk=0, disk_available=3,
            prefill=None, decode=None, words=["It fits."],
        )  # fmt: skip

    def frees(self, name):
        return 10 if self.here[name] else 0

    def pulling(self, model, *, accept_terms, as_name):
        if as_name is not None and "/" in as_name:
            raise InputError("A name, please.", param="name")
        return Pulling(model, accept_terms, as_name, as_name or self.model(model).name)

    def remove(self, name):
        if self.busy:
            raise BusyError("It answers 1 requests now.", retry_after=5, param="model")
        freed = self.frees(name)
        self.here[name] = False
        return freed

    # The work of downloads, too.

    def run(self, job, reporter):
        while not self.gate.wait(0.01):
            reporter.check()
        self.here[job.params["name"]] = True
        return {"name": job.params["name"]}

    def discard(self, job):
        pass


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "kataribe.db")
    yield store
    store.close()


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
async def http(store, shelf):
    source = source_of(ScriptedLM("Tokyo."))
    with Workers(store, {KIND: shelf}) as pool:
        rooms = Rooms(store, Chats(store, source, "scripted"), jobs=pool, catalog=shelf)
        transport = httpx.ASGITransport(create_app(source, ServerSettings(), rooms=rooms))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield http


async def test_a_model_is_fetched_by_one_job_and_then_here(http, shelf):
    first = (await http.post(f"{CATALOG}/pull", json={"model": "far"})).json()
    again = (await http.post(f"{CATALOG}/pull", json={"model": "far"})).json()
    assert again["id"] == first["id"], "the running one is given back"
    other = (await http.post(f"{CATALOG}/pull", json={"model": "far", "name": "Near"})).json()
    same = (await http.post(f"{CATALOG}/pull", json={"model": "far", "name": "near"})).json()
    assert other["id"] == same["id"] != first["id"], "one folder, whatever the case"
    assert (first["title"], first["kind"]) == ("far", "download")
    listed = {model["name"]: model for model in (await http.get(CATALOG)).json()["data"]}
    assert listed["far"]["job"] == first["id"]
    assert listed["scripted"]["job"] is None
    shelf.gate.set()
    end = time.monotonic() + 10
    while not (await http.get(f"{CATALOG}/far")).json()["model"]["installed"]:
        assert time.monotonic() < end
    found = (await http.get(f"/studio/api/jobs/{first['id']}")).json()
    while found["state"] != "done":
        found = (await http.get(f"/studio/api/jobs/{first['id']}")).json()
    assert found["result"] == {"name": "far"}
    assert (await http.get(f"{CATALOG}/far")).json()["model"]["job"] is None


async def test_deleting_tells_what_it_freed_and_is_refused_while_it_answers(http, shelf):
    card = (await http.get(f"{CATALOG}/scripted")).json()
    assert (card["frees"], card["fit"]["words"]) == (10, ["It fits."])
    shelf.busy = True
    refused = await http.delete(f"{CATALOG}/scripted")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    shelf.busy = False
    assert (await http.delete(f"{CATALOG}/scripted")).json() == {"name": "scripted", "freed": 10}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("GET", "/nothing", None, 404, "model"),
        ("GET", f"/{'x' * 257}", None, 400, "name"),
        ("DELETE", "/nothing", None, 404, "model"),
        ("POST", "/pull", {}, 400, "model"),
        ("POST", "/pull", {"model": ""}, 400, "model"),
        ("POST", "/pull", {"model": "nothing"}, 404, "model"),
        ("POST", "/pull", {"model": "file:///etc/passwd"}, 400, "model"),
        ("POST", "/pull", {"model": " FILE:/etc/passwd"}, 400, "model"),
        ("POST", "/pull", {"model": "far", "name": "../x"}, 400, "name"),
        ("POST", "/pull", {"model": "far", "accept_terms": "yes"}, 400, "accept_terms"),
    ],
)
async def test_bad_requests_are_told(http, method, path, body, status, param):
    answer = await http.request(method, CATALOG + path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param
    assert (await http.get("/studio/api/jobs")).json()["data"] == []


def run(sample, tmp_path, key):
    """What a sample prints."""
    if sample["language"] == "curl":
        command = ["sh", "-c", sample["code"].replace("curl ", "curl -sS ", 1)]
    else:
        (tmp_path / "sample.py").write_text(sample["code"])
        command = [sys.executable, str(tmp_path / "sample.py")]
    environment = {"PATH": os.environ["PATH"], "KATARIBE_KEY": key or ""}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("key", [None, "a-long-key"])
@pytest.mark.parametrize("chats", [True, False])
def test_the_samples_run_as_they_stand(store, shelf, tmp_path, monkeypatch, key, chats):
    monkeypatch.setattr(
        Shelf, "model", lambda self, name, real=Shelf.model:
        real(self, name).model_copy(update={"chats": chats})
    )  # fmt: skip
    lm = ScriptedLM(lambda request: "It's 東京.", name="scripted")
    source = source_of(lm)
    rooms = Rooms(store, Chats(store, source, "scripted"), catalog=shelf)
    with live_server(source, ServerSettings(key=key), rooms=rooms) as live:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        card = httpx.get(f"{live.url}{CATALOG}/scripted", headers=headers, timeout=60).json()
        samples = card["samples"]
        assert [sample["language"] for sample in samples] == ["curl", "python", "openai"]
        for sample in samples:
            assert live.url in sample["code"]
            assert ("KATARIBE_KEY" in sample["code"]) == (key is not None)
            if sample["language"] == "curl" and shutil.which("curl") is None:
                continue
            assert "It's 東京." in run(sample, tmp_path, key), sample["code"]
    kinds = {isinstance(request.prompt, str) for request in lm.requests}
    assert kinds == {not chats}, "messages for what converses, a text for what continues one"


def test_odd_names_stay_names_in_every_sample(tmp_path):
    odd = 'it\'s "odd" $HOME `id` \\'
    for sample in code_samples(Asked("http://127.0.0.1:1", odd, use="chat", key=False)):
        if sample.language == "curl":
            words = subprocess.run(
                ["sh", "-c", sample.code.replace("curl ", "printf '%s\\n' ", 1)],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            assert '"model": "it\'s \\"odd\\" $HOME `id` \\\\"' in words
        else:
            compile(sample.code, "sample", "exec")
            assert repr(odd) in sample.code
