"""Loading and unloading over HTTP, on a real `Residents` with a shelf of scripted models."""

from __future__ import annotations

import httpx
import pytest

from kataribe.base.errors import NotFoundError
from kataribe.base.lm import Capabilities
from kataribe.run.inference.residents import Residents
from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.settings import ServerSettings


class Model:
    is_open = True

    def __init__(self, name):
        self.lm = ScriptedLM(["hello"], name=name)

    def close(self, grace):
        pass


class Shelf:
    def resolve(self, name):
        if name not in ("a", "b"):
            raise NotFoundError(f"There is no model {name!r}.", param="model")
        return name

    def memory(self, name):
        return 60

    def capabilities(self, name):
        return Capabilities(100)

    def load(self, name, progress):
        return Model(name)


class Source(Residents):
    def __init__(self):
        super().__init__(Shelf(), budget=100)

    def names(self):
        return []

    def in_memory(self):
        return self.ps()


@pytest.fixture
async def client():
    app = create_app(Source(), ServerSettings())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


async def test_a_model_is_loaded_shown_and_unloaded(client):
    loaded = await client.post("/studio/api/models/load", json={"model": "a"})
    assert loaded.json() | {"idle": 0} == {
        "name": "a",
        "state": "ready",
        "memory": 60,
        "held": True,
        "leases": 0,
        "idle": 0,
    }
    listed = await client.get("/studio/api/models/loaded")
    assert [model["name"] for model in listed.json()["data"]] == ["a"]
    gone = await client.post("/studio/api/models/unload", json={"model": "a"})
    assert gone.json() == {"object": "list", "data": []}


async def test_what_is_held_is_not_pushed_out(client):
    await client.post("/studio/api/models/load", json={"model": "a"})
    full = await client.post("/studio/api/models/load", json={"model": "b"})
    assert full.status_code == 503
    assert "held are a" in full.json()["error"]["message"]
    assert full.headers["retry-after"]


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("load", {"model": "zzz"}, 404, "model"),
        ("unload", {"model": "a"}, 404, "model"),
        ("load", {"model": "a", "keep": True}, 400, "keep"),
        ("load", {}, 400, "model"),
        ("unload", {"model": "a", "force": "yes"}, 400, "force"),
    ],
)
async def test_wrong_calls_say_what_is_wrong(client, path, body, status, param):
    answer = await client.post(f"/studio/api/models/{path}", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param


async def test_models_that_cannot_be_controlled_say_so():
    class Fixed:
        def names(self):
            return []

        def lease(self, name):
            raise NotFoundError(name)

        def tokenizer(self, name):
            raise NotFoundError(name)

    transport = httpx.ASGITransport(create_app(Fixed(), ServerSettings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/studio/api/models/loaded")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported"
