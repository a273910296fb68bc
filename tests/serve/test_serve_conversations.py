"""`/studio/api/conversations`: bursts, branches, joining and undoing over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import Reply
from kataribe.serve.shapes import conversations as shapes
from kataribe.store.ids import new_id
from kataribe.store.tables import LOCAL
from tests.serve.people_stage import Stage, stage_in

BASE = "/studio/api/conversations"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
async def http(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with stage.client() as client:
        yield client
    await stage.rooms.chats.close()


class Talk:
    """One conversation over HTTP."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.id = new_id()
        self.at = f"{BASE}/{self.id}"

    async def begin(self, **more: Any) -> Talk:
        (await self.http.post(BASE, json={"id": self.id, **more})).raise_for_status()
        return self

    async def say(self, text: str, **more: Any) -> dict[str, Any]:
        body = {"id": new_id(), "text": text, **more}
        answer = await self.http.post(f"{self.at}/messages", json=body)
        answer.raise_for_status()
        return answer.json()

    async def get(self) -> dict[str, Any]:
        told = await self.http.get(self.at)
        shapes.Conversation.model_validate_json(told.content, strict=True)
        return told.json()

    async def quiet(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while (seen := await self.get())["summary"]["running"] or seen["queue"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return seen


@pytest.fixture
async def talk(http: httpx.AsyncClient) -> Talk:
    return await Talk(http).begin()


def texts(seen: dict[str, Any]) -> list[str]:
    return [message["text"] for message in seen["messages"]]


def slowly(stage: Stage, text: str = "one two three", pace: float = 0.05) -> None:
    stage.source.lms["scripted"] = ScriptedLM(lambda _: Reply(text, pace=pace), name="scripted")


async def test_a_conversation_from_the_first_word(talk: Talk, http: httpx.AsyncClient) -> None:
    told = await talk.say("Hello")
    assert told["state"] == "sent"
    seen = await talk.quiet()
    question, reply = seen["messages"]
    assert question["id"] == told["id"]
    assert reply["id"] == told["replies"][0] == seen["head"]
    assert reply["state"] == "done"
    assert reply["usage"]["completion"] > 0
    assert reply["took"] >= reply["first_after"] >= 0
    assert [node["id"] for node in seen["nodes"]] == [question["id"], reply["id"]]
    listed = (await http.get(BASE)).json()
    assert [one["id"] for one in listed["data"]] == [talk.id]
    assert listed["next"] is None


async def test_bursts_over_http(talk: Talk, stage: Stage) -> None:
    slowly(stage, "one two three", 2)
    await talk.say("a")
    b, c, d = [await talk.say(text) for text in "bcd"]
    assert {told["state"] for told in (b, c, d)} == {"queued"}
    queue = f"{talk.at}/queue"
    edited = await talk.http.patch(f"{queue}/{b['id']}", json={"text": "B"})
    assert [item["text"] for item in edited.json()["data"]] == ["B", "c", "d"]
    merged = await talk.http.post(f"{queue}/{d['id']}/merge", json={"other": "previous"})
    assert [item["text"] for item in merged.json()["data"]] == ["B", "c\n\nd"]
    await talk.http.delete(f"{queue}/{b['id']}")
    stage.source.lms["scripted"] = ScriptedLM("Done.", name="scripted")
    steered = await talk.http.post(f"{queue}/steer", json={})
    assert steered.json()["data"] == []
    seen = await talk.quiet()
    assert [m["text"] for m in seen["messages"] if m["role"] == "user"] == ["a", "c\n\nd"]
    assert seen["messages"][1]["state"] == "stopped"
    assert seen["messages"][2]["sources"] == [d["id"]]
    gone = await talk.http.delete(f"{queue}/{b['id']}")
    assert gone.status_code == 404
    assert "withdrawn" in gone.json()["error"]["message"]


async def test_what_waits_beside_a_file_may_say_nothing(talk: Talk, stage: Stage) -> None:
    slowly(stage, pace=5)
    await talk.say("a")
    sent = await talk.http.post(
        "/studio/api/attachments",
        params={"name": "memo.txt"},
        content=b"tales",
        headers={"content-type": "application/octet-stream"},
    )
    beside = await talk.say("Read this.", attachments=[sent.json()["id"]])
    alone = await talk.say("b")
    for item, text, status in (
        (beside, "", 200),
        (alone, "", 400),
        (beside, "a\0b", 400),
        (beside, "x" * 2_000_001, 400),
    ):
        answer = await talk.http.patch(f"{talk.at}/queue/{item['id']}", json={"text": text})
        assert answer.status_code == status, answer.text
    waits = (await talk.get())["queue"]
    assert [(item["text"], len(item["attachments"])) for item in waits] == [("", 1), ("b", 0)]


async def test_stop_keeps_the_words(talk: Talk, stage: Stage) -> None:
    slowly(stage, "one two three four five", 2)
    told = await talk.say("a")
    for _ in range(600):
        live = await talk.get()
        if live["messages"][1]["text"]:
            break
        await asyncio.sleep(0.05)
    assert live["messages"][1]["state"] == "writing"
    assert live["messages"][1]["text"].startswith("one")
    stopped = await talk.http.post(f"{talk.at}/stop", json={})
    assert stopped.json() == {"stopped": told["replies"]}
    seen = await talk.quiet()
    assert seen["messages"][1]["state"] == "stopped"
    assert "one two three four five".startswith(seen["messages"][1]["text"])


async def test_branches_and_again(talk: Talk) -> None:
    first = await talk.say("first")
    await talk.quiet()
    await talk.say("second", parent=first["replies"][0])
    await talk.quiet()
    await talk.say("other", parent=first["replies"][0])
    await talk.quiet()
    assert texts(await talk.get())[2] == "other"
    again = await talk.http.post(f"{talk.at}/messages/{first['id']}/again", json={"id": new_id()})
    assert again.status_code == 200
    seen = await talk.quiet()
    assert len(seen["messages"]) == 2
    beside = [node for node in seen["nodes"] if node["parent"] == first["id"]]
    assert [node["id"] for node in beside] == [first["replies"][0], again.json()["id"]]
    back = await talk.http.patch(talk.at, json={"head": first["replies"][0]})
    assert texts(back.json())[2] == "other"


async def test_deleting_and_its_undoing(talk: Talk, http: httpx.AsyncClient) -> None:
    await talk.say("first")
    second = await talk.say("second")
    await talk.quiet()
    gone = await http.delete(f"{talk.at}/messages/{second['id']}")
    assert texts(gone.json())[0] == "first"
    assert len(gone.json()["messages"]) == 2
    back = await http.post(f"{talk.at}/messages/{second['id']}/restore", json={})
    assert len(back.json()["messages"]) == 4
    assert (await http.delete(talk.at)).json()["deleted"]
    assert (await http.get(talk.at)).status_code == 404
    assert (await http.get(BASE)).json()["data"] == []
    trash = (await http.get(BASE, params={"deleted": "true"})).json()["data"]
    assert [one["id"] for one in trash] == [talk.id]
    assert not (await http.post(f"{talk.at}/restore", json={})).json()["deleted"]
    assert len((await talk.get())["messages"]) == 4
    await http.delete(talk.at, params={"forever": "true"})
    assert (await http.post(f"{talk.at}/restore", json={})).status_code == 404


async def test_list_pages_folders_and_pins(http: httpx.AsyncClient) -> None:
    talks = [await Talk(http).begin(folder="仕事" if n % 2 else "") for n in range(5)]
    await http.patch(talks[0].at, json={"pinned": True, "title": "pinned"})
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = (await http.get(BASE, params=params)).json()
        seen += [one["id"] for one in page["data"]]
        if page["next"] is None:
            break
        params["after"] = page["next"]
    assert seen == [talks[n].id for n in (0, 4, 3, 2, 1)]
    assert page["folders"] == ["仕事"]
    inside = (await http.get(BASE, params={"folder": "仕事"})).json()["data"]
    assert [one["id"] for one in inside] == [talks[3].id, talks[1].id]


async def test_a_folder_is_renamed_at_once(http: httpx.AsyncClient, stage: Stage) -> None:
    talks = [await Talk(http).begin(folder="仕事") for _ in range(3)]
    other = await Talk(http).begin(folder="else")
    before = [(await talk.get())["version"] for talk in talks]
    await http.delete(talks[2].at)
    body = {"folder": "仕事", "name": "旅"}
    with stage.rooms.chats.hub.listening(LOCAL, None) as page:
        assert (await http.patch(BASE, json=body)).json() == {"conversations": 2}
        told = {(await page.next(5)).news.conversation.id for _ in range(2)}  # type: ignore[union-attr]
    assert told == {talks[0].id, talks[1].id}
    await http.post(f"{talks[2].at}/restore", json={})  # it went along
    seen = [await talk.get() for talk in talks]
    assert {one["summary"]["folder"] for one in seen} == {"旅"}
    assert all(one["version"] > version for one, version in zip(seen, before, strict=True))
    assert (await other.get())["summary"]["folder"] == "else"
    assert (await http.patch(BASE, json=body)).json() == {"conversations": 0}
    out = await http.patch(BASE, json={"folder": "旅", "name": ""})
    assert out.json() == {"conversations": 3}
    assert (await http.get(BASE)).json()["folders"] == ["else"]
    for wrong in ({"folder": "", "name": "x"}, {"folder": "else", "name": "a\0"}):
        assert (await http.patch(BASE, json=wrong)).status_code == 400


async def test_the_tail_comes_in_full_and_the_rest_when_it_is_read(http: httpx.AsyncClient) -> None:
    talk = await Talk(http).begin()
    for number in range(6):
        await talk.say(str(number))
        await talk.quiet()
    short = (await http.get(talk.at, params={"tail": 3})).json()
    assert len(short["nodes"]) == 12
    assert len(short["messages"]) == 3
    ids = [node["id"] for node in short["nodes"]][:4]
    read = await http.post(f"{talk.at}/read", json={"ids": [*ids, "x" * 20]})
    assert [message["id"] for message in read.json()["data"]] == ids


async def test_ratings_and_votes(http: httpx.AsyncClient, stage: Stage) -> None:
    stage.source.lms["other"] = ScriptedLM("Other.", name="other")
    talk = await Talk(http).begin()
    told = await talk.say("Who?", models=["scripted", "other"])
    seen = await talk.quiet()
    first, second = told["replies"]
    both = (await http.post(f"{talk.at}/read", json={"ids": [first, second]})).json()["data"]
    assert [one["model"] for one in both] == ["scripted", "other"]
    group = both[0]["group"]
    rated = await http.put(
        f"{talk.at}/messages/{first}/rating", json={"rating": 1, "remark": "良い"}
    )
    assert (rated.json()["rating"], rated.json()["remark"]) == (1, "良い")
    vote = {"id": new_id(), "group": group, "winner": second, "shown": [second, first]}
    kept = await http.post(f"{talk.at}/votes", json={**vote, "blind": True})
    assert kept.json()["winner"] == second
    after = await talk.get()
    assert (after["head"], after["votes"]) == (second, {group: second})
    assert (seen["head"], seen["votes"]) == (first, {})
    tie = {"id": new_id(), "group": group, "winner": None, "shown": [first, second]}
    await http.post(f"{talk.at}/votes", json={**tie, "blind": False})
    assert (await talk.get())["votes"] == {group: None}


async def test_a_blind_comparison_is_told_as_one(talk: Talk, stage: Stage) -> None:
    stage.source.lms["other"] = ScriptedLM("Other.", name="other", repeat=True)
    both = ["scripted", "other"]

    async def blind() -> list[tuple[str, bool]]:
        """The model of each reply, and whether it is not to be named before the vote."""
        ids = [node["id"] for node in (await talk.quiet())["nodes"]]
        told = (await talk.http.post(f"{talk.at}/read", json={"ids": ids})).json()["data"]
        answers = [one for one in told if one["role"] == "assistant"]
        return [(one["model"], one["asked"].get("blind", False)) for one in answers]

    await talk.say("Who?", models=both, blind=True)
    await talk.say("And who?", models=both)
    await talk.say("You?", models=["scripted"], blind=True)
    first = [("scripted", True), ("other", True), ("scripted", False), ("other", False)]
    first.append(("scripted", False))
    assert await blind() == first
    slowly(stage, pace=5)
    await talk.say("a")
    await talk.say("b")
    c = await talk.say("c", models=both, blind=True)
    await talk.say("d")
    merged = await talk.http.post(f"{talk.at}/queue/{c['id']}/merge", json={"other": "previous"})
    assert [item["text"] for item in merged.json()["data"]] == ["b\n\nc", "d"]
    stage.source.lms["scripted"] = ScriptedLM("Done.", name="scripted", repeat=True)
    await talk.http.post(f"{talk.at}/queue/steer", json={})
    assert await blind() == [*first, ("scripted", False), ("scripted", True), ("other", True)]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"id": "short", "text": "x"}, "id"),
    ({"id": "A" * 20, "text": "x"}, "id"),
    ({"id": "a" * 20, "text": " \n"}, "spaces"),
    ({"id": "a" * 20, "text": "a\0"}, "NUL"),
    ({"id": "a" * 20, "text": "x" * 5_000_000}, "5,000,000 characters"),
    ({"id": "a" * 20, "text": "x", "when": "later"}, "when"),
    ({"id": "a" * 20, "text": "x", "models": ["a"] * 5}, "models"),
    ({"id": "a" * 20, "text": "x", "attachments": ["b" * 20]}, "attachment"),
    ({"id": "a" * 20, "text": "x", "sampling": {"temperature": 3}}, "temperature"),
    ({"id": "a" * 20, "text": "x", "urgent": True}, "urgent"),
    ({"id": "a" * 20}, "text"),
]


@pytest.mark.parametrize(("body", "why"), BAD)
async def test_what_cannot_be_sent_is_refused_and_changes_nothing(
    talk: Talk, body: dict[str, Any], why: str
) -> None:
    refused = await talk.http.post(f"{talk.at}/messages", json=body)
    assert refused.status_code in (400, 404)
    assert why in json.dumps(refused.json()["error"], ensure_ascii=False)
    seen = await talk.get()
    assert (seen["nodes"], seen["queue"], seen["version"]) == ([], [], 0)


async def test_a_long_message_arrives_whole(talk: Talk) -> None:
    text = "語" * 1_900_000  # 5.7 MB
    await talk.say(text)
    assert texts(await talk.quiet())[0] == text


async def test_a_conversation_that_is_gone_is_said_everywhere(http: httpx.AsyncClient) -> None:
    nowhere = f"{BASE}/{'n' * 20}"
    calls = [
        http.get(nowhere),
        http.get("/studio/api/events", params={"conversation": "n" * 20}),
        http.post(f"{nowhere}/messages", json={"id": new_id(), "text": "x"}),
        http.post(f"{nowhere}/stop", json={}),
        http.post(f"{nowhere}/queue/steer", json={}),
        http.delete(nowhere),
        http.patch(nowhere, json={"title": "x"}),
    ]
    for answer in await asyncio.gather(*calls):
        assert answer.status_code == 404
        assert "deleted elsewhere" in answer.json()["error"]["message"]


async def test_the_model_can_be_left_open_again_and_nothing_else(
    http: httpx.AsyncClient,
) -> None:
    talk = await Talk(http).begin(model="one")
    assert (await http.patch(talk.at, json={"model": None})).json()["summary"]["model"] is None
    for name in ("title", "folder", "pinned", "system", "sampling", "head"):
        refused = await http.patch(talk.at, json={name: None})
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == name


async def test_preferences_are_taken_up_by_new_conversations(http: httpx.AsyncClient) -> None:
    await http.patch("/studio/api/preferences", json={"values": {"system": "短く。", "model": "m"}})
    seen = await (await Talk(http).begin()).get()
    assert (seen["system"], seen["summary"]["model"]) == ("短く。", "m")
    await http.patch("/studio/api/preferences", json={"values": {"system": 5, "model": []}})
    seen = await (await Talk(http).begin()).get()
    assert (seen["system"], seen["summary"]["model"]) == ("", None)
    seen = await (await Talk(http).begin(system="", model="other")).get()
    assert (seen["system"], seen["summary"]["model"]) == ("", "other")
