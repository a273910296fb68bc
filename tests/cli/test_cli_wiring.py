"""The server as it is wired: its state while the default model loads, and its context."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx
import pytest

from kataribe.base.errors import FormatError, SettingsError
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli import wiring
from kataribe.cli.shelf import CatalogShelf
from kataribe.run.catalog.catalog import Catalog
from kataribe.store.ids import new_id
from kataribe.use.chats import titles

QUESTION = {"model": "pico", "messages": [{"role": "user", "content": "tell"}], "max_tokens": 3}


@pytest.fixture
def workspace(kataribe_home, pico_path) -> Workspace:
    found = Workspace(kataribe_home)
    Catalog(found).import_(pico_path, as_name="pico", link=True)
    return found


@pytest.fixture
def gate(monkeypatch) -> threading.Event:
    """Loads wait for it, and report in the meantime."""
    opened = threading.Event()
    load = CatalogShelf.load

    def slow(self, name, progress=None):
        while not opened.wait(0.01):
            if progress is not None:
                progress(1, 100)
        return load(self, name, progress)

    monkeypatch.setattr(CatalogShelf, "load", slow)
    return opened


def client(app) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=60
    )


async def health_after(http, status: str) -> httpx.Response:
    for _ in range(1000):
        answer = await http.get("/health")
        if answer.json()["status"] == status:
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError(f"it never was {status}")


async def test_health_says_loading_until_the_default_model_is_there(workspace, gate):
    with wiring.open_app(load_settings(model="pico"), workspace) as app:
        async with client(app) as http:
            health = await http.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "loading")
            assert "pico" in health.json()["detail"]
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=QUESTION))
            await asyncio.sleep(0.1)
            assert not asking.done(), "who asks waits"
            gate.set()
            assert (await asking).status_code == 200
            assert (await health_after(http, "ready")).json()["detail"] == ""


async def test_a_default_model_that_does_not_load_is_told_and_the_server_goes_on(
    workspace, monkeypatch
):
    def fail(self, name, progress=None):
        raise FormatError("Its file is damaged.")

    monkeypatch.setattr(CatalogShelf, "load", fail)
    with wiring.open_app(load_settings(model="pico"), workspace) as app:
        async with client(app) as http:
            answer = await health_after(http, "ready")
            assert answer.status_code == 200
            assert answer.json()["detail"] == "pico is not loaded: Its file is damaged."


async def test_a_stop_breaks_the_first_load_off(workspace, gate):
    with wiring.open_app(load_settings(model="pico"), workspace) as app:
        async with client(app) as http:
            await health_after(http, "loading")
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=QUESTION))
            await asyncio.sleep(0.1)
            app.state.desk.lifecycle.stop()
            answer = await asking
            assert answer.status_code == 503
            assert "stopping" in answer.json()["error"]["message"]
            assert (await http.get("/health")).json()["status"] == "stopping"


def test_a_context_beyond_the_default_models_own_is_refused_at_the_start(
    cli, workspace, monkeypatch
):
    settings = load_settings(model="pico", ctx=4096)
    with (
        pytest.raises(SettingsError, match="4096 tokens, but pico was made for 512"),
        wiring.open_app(settings, workspace),
    ):
        pass
    monkeypatch.setenv("KATARIBE_CTX", "4096")
    done = cli("ask", "--local", "-m", "pico", "tell")
    assert done.code == 2
    assert "made for 512" in done.err


async def test_another_model_gets_its_own_context_where_more_is_set(
    workspace, pico_path, tmp_path, caplog
):
    config = json.loads((pico_path / "config.json").read_text())
    long = tmp_path / "long"
    long.mkdir()
    for path in pico_path.iterdir():
        (long / path.name).write_bytes(path.read_bytes())
    (long / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    Catalog(workspace).import_(long, as_name="long")
    with wiring.open_app(load_settings(model="long", ctx=2048), workspace) as app:
        async with client(app) as http:
            listed = (await http.get("/v1/models")).json()["data"]
            models = {each["id"]: each["max_model_len"] for each in listed}
            assistants = [each["id"] for each in listed if each["owned_by"] == "assistant"]
            assert all(models.pop(name) is None for name in assistants)
            assert models == {"long": 2048, "pico": 512}
            answer = await http.post("/v1/chat/completions", json=QUESTION)
            assert answer.status_code == 200, answer.text
    assert "set to 2048 tokens" in caplog.text
    assert "512" in caplog.text


async def test_hosts_and_origins_reach_the_gate(workspace, gate):
    settings = load_settings(
        model="pico", hosts=("chat.example.org",), origins=("https://elsewhere.example.org",)
    )
    with wiring.open_app(settings, workspace) as app:
        async with client(app) as http:
            named = {"host": "chat.example.org", "origin": "https://elsewhere.example.org"}
            answer = await http.post("/v1/tokenize", json={"prompt": "a"}, headers=named)
            assert answer.status_code not in (403, 421)
            app.state.desk.lifecycle.stop()


@pytest.mark.parametrize("model", ["pico", "helper"])
async def test_models_title_conversations(workspace, monkeypatch, model):
    workspace.assistants.mkdir(exist_ok=True)
    recipe = "system: Be brief.\ntechnique: {name: generated-knowledge, options: {statements: 1}}\n"
    workspace.assistants.joinpath("helper.yaml").write_text(recipe)
    asked = []

    async def title_of(models, model, question, context):
        asked.append((model, question))
        assert context.user == "local"
        return "By a model"

    monkeypatch.setattr(titles, "title_of", title_of)
    where, talk = "/studio/api/conversations", new_id()
    with wiring.open_app(load_settings(model="pico"), workspace) as app:
        async with client(app) as http:
            (await http.post(where, json={"id": talk, "model": model})).raise_for_status()
            said = {"id": new_id(), "text": "tell", "sampling": {"max_tokens": 3}}
            (await http.post(f"{where}/{talk}/messages", json=said)).raise_for_status()
            for _ in range(1000):
                title = (await http.get(where)).json()["data"][0]["title"]
                if title == "By a model":
                    break
                await asyncio.sleep(0.02)
        await app.state.desk.rooms.chats.close()
    assert (title, asked) == ("By a model", [("pico", "tell")])


async def test_a_name_that_nobody_has_is_answered_with_near_ones_of_all_kinds(workspace):
    with wiring.open_app(load_settings(model="pico"), workspace) as app:
        async with client(app) as http:
            for name, meant in [
                ("translatr", "translator"),
                ("pica", "pico"),
                ("opnai", "openai:MODEL"),
                ("smollm2-135", "smollm2-135m"),
            ]:
                answer = await http.post("/v1/chat/completions", json={**QUESTION, "model": name})
                error = answer.json()["error"]
                assert (answer.status_code, error["code"]) == (404, "model_not_found")
                assert f"no model {name!r}. Did you mean {meant}" in error["message"]
                assert "kataribe assistants list" in error["message"]
            answer = await http.get("/v1/models/translatr")
            assert "Did you mean translator?" in answer.json()["error"]["message"]


@pytest.mark.parametrize("command", ["ask", "chat"])
def test_near_names_of_models_assistants_and_hosts_are_told_without_a_server(
    cli, workspace, command
):
    own = workspace.assistants
    own.mkdir()
    (own / "proofreader.yaml").write_text("system: Correct it.", encoding="utf-8")
    words = ("hi",) if command == "ask" else ()
    for name, meant in [
        ("translatr", "translator"),
        ("Translator", "translator"),
        ("profreader", "proofreader"),
        ("opnai", "openai:MODEL"),
        ("pica", "pico"),
    ]:
        done = cli(command, "-m", name, *words, given=b"hi\n")
        assert (done.code, done.out) == (3, "")
        assert f"There is no model {name!r}. Did you mean {meant}" in done.err


def test_commands_of_models_suggest_models_alone(cli, workspace):
    done = cli("models", "show", "translatr")
    assert (done.code, "translator" in done.err) == (3, False)
