"""`inside`: a reply of a conversation token by token, over a real small model."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from pico_model import build

from kataribe.base.errors import NotFoundError
from kataribe.base.inside import AttentionShape
from kataribe.base.lm import Capabilities
from kataribe.cli.inside_here import MOST_PARAMETERS, AttentionHere, ViewName
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.run.inference.residents import Residents
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.store import conversations, messages
from kataribe.store.database import Store
from kataribe.store.messages import Message
from kataribe.store.tables import LOCAL
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import Source

TALK, ASKED, SAID = "t" * 20, "q" * 20, "r" * 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("pico") / "pico")


@pytest.fixture(scope="module")
def pico(folder):
    model = load_local("pico", folder, LoadOptions(512, 2048, "float32", "cpu", 1))
    yield model.lm
    model.close(0.0)


class ViewShelf:
    """Attention views of one folder, for `Residents`."""

    def __init__(self, folder, parameters=None):
        self.folder = folder
        self.loads = 0
        self.parameters = parameters

    def resolve(self, name):
        if not isinstance(name, ViewName) and name != "pico":
            raise NotFoundError(f"There is no model {name!r}.", param="model")
        return name

    def memory(self, name):
        return 1000

    def capabilities(self, name):
        return Capabilities(512)

    def config(self, name):
        from kataribe.make.model.weights.checkpoint import open_checkpoint

        self.resolve(name)
        return open_checkpoint(self.folder).config

    def load(self, name, progress=None):
        from kataribe.cli.inside_here import LoadedView
        from kataribe.run.inference.attention_view import AttentionView

        self.loads += 1
        return LoadedView(AttentionView(self.folder, 512, progress))


@pytest.fixture
async def opened(tmp_path, pico, folder):
    """A client, the store and the shelf of attention views."""
    store = Store(tmp_path / "kataribe.db")
    source = Source({"pico": pico, "scripted": ScriptedLM(Reply("hello"))})
    shelf = ViewShelf(folder)
    residents = Residents(shelf, budget=10_000)
    attention = AttentionHere(shelf, residents)
    rooms = Rooms(store, Chats(store, source, "pico", titles=False), attention=attention)
    app = create_app(source, ServerSettings(), rooms=rooms)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8720") as http:
        yield http, store, shelf
    await asyncio.to_thread(residents.close, 0.0)
    store.close()


def put(store: Store, text: str = "語り 🌏 0 1 2", **fields) -> None:
    """A conversation with a question and a reply."""
    with store.writing() as tx:
        conversations.create(tx, LOCAL, TALK, system="短く。")
        messages.add(tx, LOCAL, Message(ASKED, TALK, None, "user", "sent", text="Recite"))
        given = {"state": "done", "finish": "stop", "model": "pico", **fields}
        state = given.pop("state")
        reply = Message(SAID, TALK, ASKED, "assistant", state, text=text, **given)
        messages.add(tx, LOCAL, reply)


def path(rest: str = "", message: str = SAID, talk: str = TALK) -> str:
    return f"/studio/api/conversations/{talk}/messages/{message}/inside{rest}"


async def test_a_reply_from_inside(opened):
    http, store, _ = opened
    put(store)
    answer = await http.get(path())
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["model"] == "pico"
    wanted = "<|start|>system\n短く。<|end|>\n<|start|>user\nRecite<|end|>\n<|start|>assistant\n"
    assert shown["prompt_text"] == wanted
    marks = [shown["prompt_text"][start:end] for start, end in shown["prompt_marks"]]
    assert marks == ["<|start|>", "<|end|>"] * 2 + ["<|start|>"]
    assert shown["text"] == "語り 🌏 0 1 2"
    assert shown["words_from"] == 0
    assert shown["exact"]
    assert shown["total"] == len(shown["tokens"])
    assert shown["tokens"][-1]["kind"] == "control"
    for token in shown["tokens"][:-1]:
        if token["kind"] == "text":
            end = token["start"] + len(token["piece"])
            assert shown["text"][token["start"] : end] == token["piece"]
        assert len(token["top"]) == 10
        assert token["entropy"] >= 0 >= token["logprob"]
    assert (shown["layers"], shown["heads"], shown["attention"]) == (2, 4, True)
    assert shown["drawn"] == {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


async def test_it_comes_in_parts(opened):
    http, store, _ = opened
    put(store)
    whole = (await http.get(path())).json()
    parts = []
    while len(parts) < whole["total"]:
        answer = await http.get(path(f"?start={len(parts)}&limit=3"))
        parts += answer.json()["tokens"]
        assert len(answer.json()["tokens"]) <= 3
    assert [part["id"] for part in parts] == [token["id"] for token in whole["tokens"]]
    beyond = (await http.get(path("?start=100000"))).json()
    assert (beyond["tokens"], beyond["total"]) == ([], whole["total"])


async def test_counts_say_whether_it_is_what_was_written(opened):
    http, store, _ = opened
    put(store)
    shown = (await http.get(path())).json()
    for changes, prompt_exact, exact in (
        (
            {"prompt_tokens": shown["prompt_tokens"], "completion_tokens": shown["total"]},
            True,
            True,
        ),
        ({"prompt_tokens": 1, "completion_tokens": 1}, False, False),
    ):
        with store.writing() as tx:
            messages.update(tx, SAID, **changes)
        now = (await http.get(path())).json()
        assert (now["prompt_exact"], now["exact"]) == (prompt_exact, exact)


async def test_how_it_was_drawn_and_begun(opened):
    http, store, _ = opened
    asked = {"sampling": {"temperature": 0.5, "top_k": 7, "seed": 3}, "beginning": "語り"}
    put(store, asked=asked)
    shown = (await http.get(path())).json()
    assert (shown["drawn"]["temperature"], shown["drawn"]["top_k"]) == (0.5, 7)
    assert shown["begun"] == "語り"
    assert shown["text"] == " 🌏 0 1 2"
    assert shown["prompt_text"].endswith("<|start|>assistant\n語り")


async def test_a_thought_is_shown_and_the_words_are_found(opened):
    http, store, _ = opened
    put(store, "0 1", reasoning="what was heard")
    shown = (await http.get(path())).json()
    assert shown["text"] == "<think>\nwhat was heard\n</think>\n\n0 1"
    assert shown["text"][shown["words_from"] :] == "0 1"
    assert not shown["exact"]


@pytest.mark.parametrize("state", ["stopped", "interrupted", "failed"])
async def test_a_reply_that_was_cut_or_empty_is_shown(opened, state):
    http, store, _ = opened
    put(store, "", state=state, finish=None)
    shown = (await http.get(path())).json()
    assert (shown["tokens"], shown["total"], shown["text"]) == ([], 0, "")


async def test_sliders(opened):
    http, store, _ = opened
    put(store)
    shown = (await http.get(path())).json()
    token = shown["tokens"][2]
    answer = await http.post(path("/weigh"), json={"position": 2})
    assert answer.status_code == 200, answer.text
    plain = answer.json()
    assert plain["alive"] == plain["vocabulary"] == 320
    assert [each["id"] for each in plain["data"]][:10] == [each["id"] for each in token["top"]]
    assert all(each["before"] == pytest.approx(each["after"], abs=1e-6) for each in plain["data"])
    cut = (await http.post(path("/weigh"), json={"position": 2, "top_k": 3})).json()
    assert cut["alive"] == 3
    assert [each["after"] > 0 for each in cut["data"]] == [True] * 3 + [False] * (
        len(cut["data"]) - 3
    )
    cold = (await http.post(path("/weigh"), json={"position": 2, "temperature": 0})).json()
    assert (cold["alive"], cold["data"][0]["after"]) == (1, 1.0)


@pytest.mark.parametrize("name", ["top_p", "min_p"])
async def test_sliders_that_cut_by_probability(opened, name):
    http, store, _ = opened
    put(store)
    plain = (await http.post(path("/weigh"), json={"position": 2})).json()
    first, second, third = (one["before"] for one in plain["data"][:3])
    assert first > second > third
    # In the middle between what leaves one token more and one less.
    cuts = {"top_p": first + second / 2, "min_p": (second + third) / 2 / first}
    cut = (await http.post(path("/weigh"), json={"position": 2, name: cuts[name]})).json()
    assert cut["alive"] == 2
    after = [one["after"] for one in cut["data"]]
    assert after[:2] == pytest.approx([one / (first + second) for one in (first, second)])
    assert set(after[2:]) == {0}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"position": 10**6}, "position"),
        ({"position": -1}, "position"),
        ({"position": 0, "temperature": 2.5}, "temperature"),
        ({"position": 0, "top_p": 0}, "top_p"),
        ({"position": 0, "min_p": 1.5}, "min_p"),
        ({"position": 0, "top_k": 1.5}, "top_k"),
        ({"position": 0, "penalty": 1}, "penalty"),
        ({}, "position"),
    ],
)
async def test_sliders_beyond_their_ends_are_refused(opened, body, named):
    http, store, _ = opened
    put(store)
    answer = await http.post(path("/weigh"), json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == named


async def test_attention(opened):
    http, store, shelf = opened
    put(store)
    shown = (await http.get(path())).json()
    answer = await http.post(path("/attend"), json={"layer": 1, "head": 3, "position": 4})
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert len(seen["pieces"]) == len(seen["weights"]) == shown["prompt_tokens"] + 5
    assert sum(seen["weights"]) == pytest.approx(1.0, abs=1e-5)
    assert seen["pieces"][0] == "<|start|>"
    assert seen["pieces"][-1] == shown["tokens"][4]["piece"]
    again = await http.post(path("/attend"), json={"layer": 0, "head": 0, "position": 0})
    assert again.status_code == 200
    assert shelf.loads == 1
    for body, named in (
        ({"layer": 2, "head": 0, "position": 0}, "layer"),
        ({"layer": 0, "head": 4, "position": 0}, "head"),
        ({"layer": 0, "head": 0, "position": shown["total"] - 1}, "position"),
    ):
        refused = await http.post(path("/attend"), json=body)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == named


async def test_attention_of_a_large_model_or_a_long_text_is_refused(opened, monkeypatch):
    http, store, _ = opened
    put(store)

    def large(self, model):
        return AttentionShape(2, 4, MOST_PARAMETERS + 1, MOST_PARAMETERS, 2048)

    with monkeypatch.context() as patch:
        patch.setattr(AttentionHere, "_shape", large)
        assert not (await http.get(path())).json()["attention"]
        refused = await http.post(path("/attend"), json={"layer": 0, "head": 0, "position": 0})
        assert (refused.status_code, "400,000,000" in refused.text) == (400, True)
    monkeypatch.setattr("kataribe.cli.inside_here.MOST_TOKENS", 5)
    refused = await http.post(path("/attend"), json={"layer": 0, "head": 0, "position": 0})
    assert (refused.status_code, "at most 5" in refused.text) == (400, True)


async def test_an_attention_view_goes_when_nobody_looks(opened, monkeypatch):
    http, store, shelf = opened
    put(store)
    monkeypatch.setattr("kataribe.cli.inside_here.IDLE_SECONDS", 0.01)
    body = {"layer": 0, "head": 0, "position": 0}
    assert (await http.post(path("/attend"), json=body)).status_code == 200
    for _ in range(100):
        await asyncio.sleep(0.3)
        assert (await http.post(path("/attend"), json=body)).status_code == 200
        if shelf.loads > 1:
            break
    assert shelf.loads == 2


async def test_what_cannot_be_looked_into(opened):
    http, store, _ = opened
    put(store, model="scripted")
    refused = await http.get(path())
    assert refused.status_code == 400
    assert "distributions" in refused.json()["error"]["message"]
    assert refused.json()["error"]["code"] == "unsupported"
    for message in (ASKED, "x" * 20):
        assert (await http.get(path(message=message))).status_code == (
            400 if message == ASKED else 404
        )
    assert (await http.get(path(talk="x" * 20))).status_code == 404
    with store.writing() as tx:
        messages.update(tx, SAID, model="gone")
    assert (await http.get(path())).status_code == 404
    with store.writing() as tx:
        messages.update(tx, SAID, model="pico", state="writing")
    refused = await http.get(path())
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "reply_pending")


async def test_what_belongs_to_somebody_else_is_not_there(opened):
    http, store, _ = opened
    put(store)
    with store.writing() as tx:
        from kataribe.store import tables

        tx.execute(
            tables.people.insert().values(
                id="other", name="other", shown="Other", disabled=False, created_at=0.0
            )
        )
        tx.execute(tables.conversations.update().values(owner="other"))
    for answer in (
        await http.get(path()),
        await http.post(path("/weigh"), json={"position": 0}),
        await http.post(path("/attend"), json={"layer": 0, "head": 0, "position": 0}),
    ):
        assert answer.status_code == 404


async def test_a_changed_reply_is_cut_anew(opened):
    http, store, _ = opened
    put(store)
    assert (await http.get(path())).json()["text"] == "語り 🌏 0 1 2"
    with store.writing() as tx:
        messages.update(tx, SAID, text="0 1")
    assert (await http.get(path())).json()["text"] == "0 1"


async def test_a_server_without_a_database_says_so(pico):
    @asynccontextmanager
    async def client():
        app = create_app(Source({"pico": pico}), ServerSettings())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8720") as http:
            yield http

    async with client() as http:
        assert (await http.get(path())).status_code == 400
