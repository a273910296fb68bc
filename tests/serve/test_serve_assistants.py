"""Assistants over HTTP: the book, unsaved recipes looked at, talked with and tested."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from kataribe.base.errors import UnavailableError
from kataribe.base.lm import Request
from kataribe.base.messages import text_of
from kataribe.cli.assistants_here import AssistantsHere
from kataribe.run.providers import Call, Reply, ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.store import api_keys, people
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.use.agents.memory import StoredFacts
from kataribe.use.assistants.book import Book
from kataribe.use.assistants.compose import Around
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import Source, live_server, source_of

ALL = "/studio/api/assistants"
RECIPES = "/studio/api/recipes"
MINE = "title: {en: Mine, ja: 私の}\nsystem: Be brief.\n"


@dataclass
class House:
    """A server over a folder of recipes, in front of scripted models."""

    folder: Path
    store: Store
    source: Source

    def __post_init__(self) -> None:
        self.book = Book(self.folder / "assistants")
        facts = StoredFacts(self.store)
        around = Around(self.source.lease, "scripted", self.folder / "assistants", facts=facts)
        self.rooms = Rooms(
            self.store,
            Chats(self.store, self.source, "scripted", titles=False),
            assistants=AssistantsHere(self.book, lambda: around, self.source.names),
        )

    @asynccontextmanager
    async def client(self, key: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(self.source, ServerSettings(), rooms=self.rooms)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8720", headers=headers
        ) as http:
            yield http

    def person(self, name: str) -> str:
        """A new account; its key."""
        with self.store.writing() as tx:
            person, _ = people.add(tx, name, "none", now())
            return api_keys.make(tx, person.id, "tests", now())[1]


def answering(request: Request) -> Reply:
    """Says what it was told last, and under which system text."""
    said = [text_of(message) for message in request.prompt if message.role != "tool"]
    return Reply(" | ".join(said))


@pytest.fixture
def house(tmp_path):
    store = Store(tmp_path / "kataribe.db")
    yield House(tmp_path, store, source_of(ScriptedLM(answering)))
    store.close()


@pytest.fixture
async def http(house):
    async with house.client() as http:
        yield http


async def new(http: httpx.AsyncClient, name: str, text: str = MINE) -> httpx.Response:
    headers = {"If-None-Match": "*"}
    return await http.put(f"{ALL}/{name}", json={"text": text}, headers=headers)


def over(response: httpx.Response) -> dict[str, str]:
    return {"If-Match": response.headers["etag"]}


def events(body: str) -> list[Any]:
    """The JSON of each event's data; the last one's is the word DONE."""
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data:")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


async def test_ready_ones_and_own_ones_are_listed(http, house) -> None:
    assert (await new(http, "mine")).status_code == 200
    house.book.write("translator", "system: Mine too.\ntools: [clock]\nmemory: true\n")
    (house.folder / "assistants" / "broken.yaml").write_text(
        "system: x\nsampling:\n  temprature: 1"
    )
    listed = (await http.get(ALL)).json()
    assert listed["default_model"] == "scripted"
    found = {one["name"]: one for one in listed["data"]}
    assert len(found) == 9
    assert found["mine"]["title"] == {"en": "Mine", "ja": "私の"}
    assert (found["mine"]["own"], found["mine"]["hides"]) == (True, False)
    assert (found["translator"]["own"], found["translator"]["hides"]) == (True, True)
    assert (found["translator"]["tools"], found["translator"]["memory"]) == (["clock"], True)
    assert not found["summariser"]["own"]
    assert found["summariser"]["starters"]
    problem = found["broken"]["problem"]
    assert (problem["place"], problem["line"]) == ("sampling.temprature", 3)
    assert "Did you mean temperature?" in problem["message"]


async def test_one_is_read_changed_and_read_again(http, house) -> None:
    made = await new(http, "mine")
    assert made.json()["fields"]["system"] == "Be brief."
    text = "system: Be long.\nsampling: {temperature: 0}\n"
    changed = await http.put(f"{ALL}/mine", json={"text": text}, headers=over(made))
    assert changed.status_code == 200
    read = await http.get(f"{ALL}/mine")
    assert read.json() == changed.json()
    assert read.json()["text"] == text == house.book.find("mine").text
    assert read.json()["fields"]["sampling"]["temperature"] == 0
    assert read.headers["etag"] == changed.headers["etag"] != made.headers["etag"]


async def test_what_changed_meanwhile_is_not_written_over(http, house) -> None:
    made = await new(http, "mine")
    house.book.write("mine", "system: In the terminal.\n")
    for headers, status in ((over(made), 412), ({"If-None-Match": "*"}, 412), ({}, 428)):
        refused = await http.put(f"{ALL}/mine", json={"text": MINE}, headers=headers)
        assert refused.status_code == status, refused.text
    gone = await http.delete(f"{ALL}/mine", headers=over(made))
    assert gone.status_code == 412
    assert gone.json()["error"]["code"] == "changed_meanwhile"
    assert (await http.delete(f"{ALL}/mine")).status_code == 428
    assert (await http.delete(f"{ALL}/mine", headers={"If-None-Match": "*"})).status_code == 400
    assert house.book.find("mine").text == "system: In the terminal.\n"


async def test_what_is_wrong_is_refused_before_it_is_written(http, house) -> None:
    made = await new(http, "mine")
    for text, param in (
        ("sampling: {temprature: 1}", "sampling.temprature"),
        ("tools: [calculatr]", "tools.0"),
        ("model: mine", "model"),
        ("a: [", None),
    ):
        refused = await http.put(f"{ALL}/mine", json={"text": text}, headers=over(made))
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"]["param"] == param
    assert house.book.find("mine").text == MINE


@pytest.mark.parametrize("name", ["../x", "..%2Fx", "a/b", ".hidden", "語", "a b", "x" * 129])
async def test_names_lead_nowhere_else(http, house, name: str) -> None:
    place = f"{ALL}/{name if '%' in name else quote(name, safe='')}"
    refused = await http.put(place, json={"text": MINE}, headers={"If-None-Match": "*"})
    assert 400 <= refused.status_code < 500, refused.text
    assert 400 <= (await http.get(place)).status_code < 500
    assert not list(house.folder.rglob("*.yaml"))


async def test_deleting_can_be_undone(http, house) -> None:
    made = await new(http, "translator")
    refused = await http.put(f"{ALL}/translator", json={"text": MINE}, headers={})
    assert refused.status_code == 428
    ready = (await http.get(f"{ALL}/summariser")).headers["etag"]
    kept = await http.delete(f"{ALL}/summariser", headers={"If-Match": ready})
    assert kept.status_code == 400
    assert "comes with Kataribe" in kept.text
    assert made.status_code == 412, "a ready one is not hidden unseen"
    shipped = await http.get(f"{ALL}/translator")
    made = await http.put(f"{ALL}/translator", json={"text": MINE}, headers=over(shipped))
    assert made.json()["assistant"]["hides"]
    gone = await http.delete(f"{ALL}/translator", headers=over(made))
    assert gone.json() == {"name": "translator"}
    assert (await http.get(f"{ALL}/translator")).headers["etag"] == shipped.headers["etag"]
    back = await http.post(f"{ALL}/translator/restore", json={})
    assert back.json() == made.json()
    again = await http.post(f"{ALL}/translator/restore", json={})
    assert again.status_code == 412
    assert (await http.post(f"{ALL}/never/restore", json={})).status_code == 404


async def test_a_ready_one_is_copied(http, house) -> None:
    copied = await http.post(f"{ALL}/translator/copy", json={"to": "mine"})
    assert copied.json()["assistant"]["own"]
    assert copied.json()["text"] == house.book.find("translator").text
    taken = await http.post(f"{ALL}/summariser/copy", json={"to": "mine"})
    assert taken.status_code == 412
    assert (await http.post(f"{ALL}/never/copy", json={"to": "x"})).status_code == 404
    assert (await http.get(f"{ALL}/never")).status_code == 404


async def test_a_recipe_is_checked_without_being_saved(http, house) -> None:
    text = "# mine\nsystem: x\nsampling: {temprature: 1}\ntools: [calculatr]\n"
    found = (await http.post(f"{RECIPES}/check", json={"text": text})).json()
    assert found["fields"] is None
    assert [one["place"] for one in found["problems"]] == ["sampling.temprature"]
    fields = {"system": "y", "tools": ["calculatr", "files"], "sampling": {"temperature": 9}}
    body = {"text": text, "fields": fields}
    found = (await http.post(f"{RECIPES}/check", json=body)).json()
    assert found["text"].startswith("# mine\nsystem: y\n")
    assert [one["place"] for one in found["problems"]] == ["sampling.temperature"]
    fields["sampling"] = {"temperature": 1}
    found = (await http.post(f"{RECIPES}/check", json=body)).json()
    assert [(one["place"], one["line"]) for one in found["problems"]] == [
        ("tools.0", 6),
        ("tools.1", 7),
    ]
    assert found["fields"]["tools"][0]["name"] == "calculatr"
    assert not (house.folder / "assistants").exists()


async def test_what_recipes_are_made_of(http) -> None:
    found = (await http.get(f"{RECIPES}/choices")).json()
    tools = {one["name"]: one for one in found["tools"]}
    assert tools["files"]["options"] == [
        {"name": "folder", "kind": "text", "needed": True},
        {"name": "write", "kind": "switch", "needed": False},
        {"name": "name", "kind": "text", "needed": False},
    ]
    assert tools["model"]["options"][0] == {"name": "model", "kind": "text", "needed": True}
    assert tools["documents"]["reaches"]
    assert not tools["model"]["reaches"]
    assert tools["files"]["reaches"]
    assert not tools["calculator"]["reaches"]
    assert "self-consistency" in [one["name"] for one in found["techniques"]]
    guards = {one["name"]: one["standard"] for one in found["guards"]}
    assert guards["leak"]
    assert not guards["personal"]
    assert found["models"] == [{"name": "scripted", "assistant": False}]


async def test_an_unsaved_recipe_answers_and_leaves_nothing(http, house) -> None:
    before = sorted(house.folder.rglob("*"))
    body = {
        "text": "system: Be brief.\nmemory: true\n",
        "messages": [{"role": "user", "content": "Who are you?"}],
    }
    told = await http.post(f"{RECIPES}/preview", json=body)
    assert told.headers["content-type"].startswith("text/event-stream")
    chunks = events(told.text)
    assert chunks.pop() == "[DONE]"
    words = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert words == "Be brief. | Who are you?"
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert sorted(house.folder.rglob("*")) == before
    assert house.source.leases == 0


async def test_steps_are_told_to_whoever_asks_for_them(http) -> None:
    body = {
        "text": "router: {default: scripted}\n",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    headers = {"X-Kataribe-Events": "progress"}
    told = await http.post(f"{RECIPES}/preview", json=body, headers=headers)
    assert "event: kataribe.step" in told.text
    assert '"name":"route"' in told.text.replace(" ", "")


async def test_a_wrong_recipe_cannot_be_talked_with(http) -> None:
    asked = {"messages": [{"role": "user", "content": "Hi"}]}
    wrong = {**asked, "text": "tools: [calculatr]"}
    told = await http.post(f"{RECIPES}/preview", json=wrong)
    assert told.status_code == 400
    assert told.json()["error"]["param"] == "tools.0"
    unknown = {**asked, "text": "model: nobody"}
    assert (await http.post(f"{RECIPES}/preview", json=unknown)).status_code == 404
    circle = {**asked, "name": "me", "text": "model: me"}
    assert "would ask itself" in (await http.post(f"{RECIPES}/preview", json=circle)).text


async def test_a_tool_that_needs_consent_waits_for_it_in_the_preview(tmp_path) -> None:
    def script(request: Request) -> Reply:
        results = [m for m in request.prompt if m.role == "tool"]
        if results:
            return Reply(f"It is {results[-1].parts[0].content}.")
        return Reply(calls=(Call("calculator", {"expression": "6 * 7"}),))

    store = Store(tmp_path / "kataribe.db")
    house = House(tmp_path, store, source_of(ScriptedLM(script)))
    recipe = "tools: [{name: calculator, approval: ask}]\n"
    question = {"role": "user", "content": "6 x 7?"}
    async with house.client() as http:
        asked = {"text": recipe, "messages": [question]}
        chunks = events((await http.post(f"{RECIPES}/preview", json=asked)).text)
        calls = [call for c in chunks[:-1] if c["choices"]
                 for call in c["choices"][0]["delta"].get("tool_calls") or ()]  # fmt: skip
        reasons = [c["choices"][0].get("finish_detail") for c in chunks[:-1] if c["choices"]]
        assert reasons[-1]["reason"] == "approval"
        arguments = "".join(call["function"].get("arguments") or "" for call in calls)
        id_ = next(call["id"] for call in calls if call.get("id"))
        function = {"name": "calculator", "arguments": arguments}
        turn = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": id_, "type": "function", "function": function}],
        }
        yes = {"role": "tool", "tool_call_id": id_, "content": '{"approval": "yes"}'}
        asked["messages"] = [question, turn, yes]
        told = events((await http.post(f"{RECIPES}/preview", json=asked)).text)
    words = [c["choices"][0]["delta"].get("content") or "" for c in told[:-1] if c["choices"]]
    assert "42" in "".join(words)
    store.close()


async def test_tests_are_run_one_after_the_other(http) -> None:
    text = (
        "system: Be brief.\ntests:\n"
        "  - {ask: 'Is it brief?', contains: [BRIEF]}\n"
        "  - {ask: 'And now?', lacks: [now], matches: '\\d'}\n"
    )
    told = events((await http.post(f"{RECIPES}/test", json={"text": text})).text)
    assert told.pop() == "[DONE]"
    assert [(one["number"], one["failed"]) for one in told] == [
        (0, []),
        (1, ["has 'now'", "does not match '\\\\d'"]),
    ]
    assert told[1]["reply"] == "Be brief. | And now?"
    none = await http.post(f"{RECIPES}/test", json={"text": "system: x"})
    assert events(none.text) == ["[DONE]"]
    wrong = events((await http.post(f"{RECIPES}/test", json={"text": "sytem: x"})).text)
    assert "Did you mean system?" in wrong[0]["error"]["message"]


async def test_a_failing_model_ends_the_tests_with_its_words(http, house) -> None:
    house.source.error = UnavailableError("No memory is free.")
    body = {"text": "tests: [{ask: 'Hello?'}]"}
    told = events((await http.post(f"{RECIPES}/test", json=body)).text)
    assert "No memory is free." in json.dumps(told)


def test_whoever_leaves_ends_the_tests(house) -> None:
    house.source.delay = 0.2
    text = "tests:\n" + "".join(f"  - {{ask: '{number}'}}\n" for number in range(500))
    with (
        live_server(house.source, rooms=house.rooms) as live,
        httpx.Client(base_url=live.url) as http,
        http.stream("POST", f"{RECIPES}/test", json={"text": text}) as stream,
    ):
        assert next(stream.iter_lines()) == ": testing"
    # The server has ended within its grace, so nothing asks any more.
    assert house.source.leases == 0


ASKING = "tools: [{name: files, options: {folder: /}}]\n"
"""Whoever runs the server lets files be read when somebody has said yes."""


async def test_people_cannot_reach_the_machine_through_a_recipe(house) -> None:
    text = "tools: [{name: files, options: {folder: /}, approval: always}]\n"
    house.book.write("papers", text)
    house.book.write("asking", ASKING)
    key = house.person("taro")
    async with house.client(key) as http:
        refused = await new(http, "mine", text)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "tools.0"
        copied = await http.post(f"{ALL}/papers/copy", json={"to": "mine"})
        assert copied.status_code == 400
        asked = {"text": text, "messages": [{"role": "user", "content": "Hi"}]}
        assert (await http.post(f"{RECIPES}/preview", json=asked)).status_code == 400
        assert "files" in (await http.post(f"{RECIPES}/test", json={"text": text})).text
        # What the one who runs the server has allowed stays allowed, and no more than that.
        kept = await http.get(f"{ALL}/papers")
        asking = await http.get(f"{ALL}/asking")
        more = text + "memory: true\n"
        changed = await http.put(f"{ALL}/papers", json={"text": more}, headers=over(kept))
        assert changed.status_code == 200
        unasked = await http.put(
            f"{ALL}/asking", json={"text": ASKING + "approval: always\n"}, headers=over(asking)
        )
        assert unasked.status_code == 400  # for all tools: as wide as for the one
        wider = more.replace("folder: /", "folder: /, write: true")
        refused = await http.put(f"{ALL}/papers", json={"text": wider}, headers=over(changed))
        assert refused.status_code == 400
    async with house.client() as http:
        assert (await http.get(ALL)).status_code == 401
    assert house.book.find("papers").text == more


async def test_documents_are_looked_at_where_they_lie(http, house) -> None:
    text = "technique: retrieval\nknowledge: [docs]\n"
    body = {"text": text, "messages": [{"role": "user", "content": "When does it open?"}]}
    found = (await http.post(f"{RECIPES}/check", json={"text": text})).json()
    assert [(one["place"], one["line"]) for one in found["problems"]] == [("knowledge.0", 2)]
    assert "There is no file or folder" in found["problems"][0]["message"]
    assert found["fields"]["knowledge"] == ["docs"]
    assert (await http.post(f"{RECIPES}/preview", json=body)).status_code == 400
    docs = house.folder / "assistants" / "docs"
    docs.mkdir(parents=True)
    (docs / "shop.txt").write_text("It opens at nine.\n")
    assert (await http.post(f"{RECIPES}/check", json={"text": text})).json()["problems"] == []
    assert "It opens at nine." in (await http.post(f"{RECIPES}/preview", json=body)).text


async def test_people_cannot_read_the_machine_as_knowledge(house) -> None:
    (house.folder / "secret.txt").write_text("open sesame\n")
    text = "technique: retrieval\nknowledge: [../secret.txt]\n"
    house.book.write("known", text)
    key = house.person("taro")
    async with house.client(key) as http:
        for path in ("../secret.txt", "../gone.txt"):
            mine = text.replace("../secret.txt", path)
            refused = await new(http, "mine", mine)
            assert refused.status_code == 400
            assert refused.json()["error"]["param"] == "knowledge.0"
            # Whether there is such a file is not told.
            found = (await http.post(f"{RECIPES}/check", json={"text": mine})).json()
            (problem,) = found["problems"]
            assert "only who runs the server" in problem["message"]
            assert "There is no file" not in problem["message"]
        kept = await http.get(f"{ALL}/known")
        more = text + "memory: true\n"
        changed = await http.put(f"{ALL}/known", json={"text": more}, headers=over(kept))
        assert changed.status_code == 200
        wider = more.replace("]", ", ..]")
        refused = await http.put(f"{ALL}/known", json={"text": wider}, headers=over(changed))
        assert refused.json()["error"]["param"] == "knowledge.1"


async def test_a_server_without_assistants_says_so(house) -> None:
    house.rooms = Rooms(house.store, house.rooms.chats)
    async with house.client() as http:
        for path in (ALL, f"{ALL}/x", f"{RECIPES}/choices"):
            refused = await http.get(path)
            assert refused.status_code == 400
            assert "has no assistants" in refused.text
