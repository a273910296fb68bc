"""`/studio/api/facts`: what is remembered is seen, changed, deleted, brought back, switched off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from kataribe.base.errors import InputError
from kataribe.base.lm import Context, Request, reply
from kataribe.base.messages import Message, text_message, text_of
from kataribe.run.providers import ScriptedLM
from kataribe.serve import memory as routes
from kataribe.serve.shapes.memory import FactList
from kataribe.store import conversations, facts
from kataribe.store.ids import new_id
from kataribe.store.tables import LOCAL
from kataribe.use.agents import memory
from kataribe.use.agents.memory import Remembering, StoredFacts
from tests.serve.people_stage import Stage, stage_in

BASE = "/studio/api/facts"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
async def http(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with stage.client() as client:
        yield client


def remember(stage: Stage, *texts: str, source: str | None = None) -> list[str]:
    with stage.store.writing() as tx:
        return [facts.add(tx, LOCAL, text, source, "tutor").id for text in texts]


async def listed(http: httpx.AsyncClient, **query: str) -> dict:
    told = (await http.get(BASE, params=query)).raise_for_status()
    FactList.model_validate_json(told.content)
    return told.json()


async def test_facts_are_listed_with_where_they_are_from(stage: Stage, http: httpx.AsyncClient):
    talk = new_id()
    with stage.store.writing() as tx:
        conversations.create(tx, LOCAL, talk, title="Tea")
    remember(stage, "Likes tea.", source=talk)
    remember(stage, "東京に住んでいる。", source=new_id())  # its conversation is gone
    told = await listed(http)
    assert (told["total"], told["most"], told["on"]) == (2, facts.MOST, True)
    tokyo, tea = told["data"]
    assert (tea["text"], tea["assistant"]) == ("Likes tea.", "tutor")
    assert tea["source"] == {"id": talk, "title": "Tea"}
    assert tokyo["source"] is None
    assert [each["text"] for each in (await listed(http, q="東京"))["data"]] == [tokyo["text"]]
    assert (await listed(http, q="coffee"))["data"] == []


async def test_a_fact_is_changed(stage: Stage, http: httpx.AsyncClient):
    (id_,) = remember(stage, "Likes tea.")
    changed = await http.patch(f"{BASE}/{id_}", json={"text": "Likes\n coffee."})
    assert changed.json()["text"] == "Likes coffee."
    for text in ("", " ", "x" * 1001):
        refused = await http.patch(f"{BASE}/{id_}", json={"text": text})
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "text"
    assert (await listed(http))["data"][0]["text"] == "Likes coffee."


async def test_a_fact_is_deleted_and_comes_back(stage: Stage, http: httpx.AsyncClient):
    (id_,) = remember(stage, "Likes tea.")
    assert (await http.delete(f"{BASE}/{id_}")).status_code == 204
    assert (await listed(http))["total"] == 0
    assert (await http.delete(f"{BASE}/{id_}")).status_code == 404
    back = await http.post(f"{BASE}/{id_}/restore", json={})
    assert back.json()["text"] == "Likes tea."
    assert (await listed(http))["total"] == 1


async def test_all_are_deleted_for_good(stage: Stage, http: httpx.AsyncClient):
    ids = remember(stage, "Likes tea.", "Has a dog.")
    assert (await http.delete(BASE)).json() == {"deleted": 2}
    for id_ in ids:
        assert (await http.post(f"{BASE}/{id_}/restore", json={})).status_code == 404


async def test_switched_off_nothing_is_remembered_and_nobody_is_told(
    stage: Stage, http: httpx.AsyncClient
):
    remember(stage, "Likes tea.")
    kept, model = StoredFacts(stage.store), ScriptedLM("Yes.")
    lm = Remembering(model, kept, len, 400)
    asked = Request((text_message("user", "tea?"),), context=Context(user=LOCAL))
    await reply(lm, asked)
    off = await http.patch("/studio/api/preferences", json={"values": {routes.SWITCH: False}})
    assert off.status_code == 200
    assert (await listed(http))["on"] is False
    await reply(lm, asked)
    first, second = model.requests
    assert "Likes tea." in text_of(_first(first))
    assert "Likes tea." not in text_of(_first(second))
    assert list(await kept.find(LOCAL, "tea", 5)) == []
    with pytest.raises(InputError, match="switched memory off"):
        await kept.add(LOCAL, "Likes coffee.")
    assert (await listed(http))["total"] == 1, "what was known can still be seen and deleted"
    await http.patch("/studio/api/preferences", json={"values": {routes.SWITCH: None}})
    await kept.add(LOCAL, "Likes coffee.")


def _first(request: Request) -> Message:
    (message, *_) = request.prompt
    assert isinstance(message, Message)
    return message


def test_both_sides_go_by_the_same_switch():
    assert routes.SWITCH == memory.SWITCH
