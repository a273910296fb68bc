"""`/studio/api/export` and `import`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from kataribe.store import conversations
from kataribe.store.database import Store
from kataribe.store.tables import LOCAL
from tests.serve.people_stage import Stage, stage_in
from tests.store.conftest import talk

OUT, IN = "/studio/api/export", "/studio/api/import"
JSON = {"content-type": "application/json"}


@pytest.fixture
def stage(tmp_path: Path):
    with stage_in(tmp_path) as stage:
        yield stage


def listed(store: Store) -> list[str]:
    with store.reading() as tx:
        return [one.title for one in conversations.listed(tx, LOCAL).conversations]


async def test_there_and_back(stage: Stage, tmp_path: Path):
    with stage.store.writing() as tx:
        talk(tx, "質問", "返答", title="題")
        talk(tx, "x" * 3_000_000)
    async with stage.client() as http:
        answer = await http.get(OUT)
        assert answer.headers["content-disposition"].startswith('attachment; filename="kataribe-')
        assert answer.headers["content-type"] == "application/json"
        again = (await http.post(IN, content=answer.content, headers=JSON)).json()
        assert again == {"conversations": 0, "messages": 0, "skipped": 2, "jobs": 0, "prompts": 0}
    with stage_in(tmp_path / "other") as other:
        async with other.client() as http:
            told = (await http.post(IN, content=answer.content, headers=JSON)).json()
        assert told == {"conversations": 2, "messages": 3, "skipped": 0, "jobs": 0, "prompts": 0}
        assert listed(other.store) == listed(stage.store)


async def test_more_than_other_calls_may_send(stage: Stage, tmp_path: Path):
    with stage.store.writing() as tx:
        for number in range(5):
            talk(tx, f"{number}" * 7_000_000)
    async with stage.client() as http:
        raw = (await http.get(OUT)).content
    assert len(raw) > stage.settings.max_body_bytes
    with stage_in(tmp_path / "other") as other:
        async with other.client() as http:
            told = (await http.post(IN, content=raw, headers=JSON)).json()
        assert told["conversations"] == 5
        assert not list(other.store.path.parent.glob("*import*"))


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"{}", JSON, 400, "format"),
        (b"", JSON, 400, "JSON"),
        (b"[" * 1000, JSON, 400, "JSON"),
        (b"{}", {"content-type": "text/plain"}, 415, "application/json"),
        (b"{}", {**JSON, "content-length": str(3 * 1024**3)}, 413, "2147483648"),
        (b"{}", {**JSON, "origin": "https://evil.example"}, 403, "evil"),
    ],
)
async def test_what_is_refused(stage: Stage, content, headers, status, words):
    async with stage.client() as http:
        answer = await http.post(IN, content=content, headers=headers)
        assert answer.status_code == status
        assert words in answer.json()["error"]["message"]
    assert listed(stage.store) == []


async def test_one_wrong_message_keeps_all_out(stage: Stage, tmp_path: Path):
    with stage.store.writing() as tx:
        talk(tx, "a", "b", title="one")
        talk(tx, "c", "d", title="two")
    async with stage.client() as http:
        told = json.loads((await http.get(OUT)).content)
    told["conversations"][1]["messages"][1]["parent"] = "0" * 20
    with stage_in(tmp_path / "other") as other:
        async with other.client() as http:
            answer = await http.post(IN, content=json.dumps(told), headers=JSON)
        assert answer.status_code == 400
        assert "Nothing was imported" in answer.json()["error"]["message"]
        assert listed(other.store) == []


async def test_a_body_that_comes_slowly_holds_up_no_other(stage: Stage, tmp_path: Path):
    with stage.store.writing() as tx:
        talk(tx, "a", "b", title="one")
    async with stage.client() as http:
        raw = (await http.get(OUT)).content
    begun, rest = asyncio.Event(), asyncio.Event()

    async def slowly():
        yield raw[:10]
        begun.set()
        await rest.wait()
        yield raw[10:]

    with stage_in(tmp_path / "other") as other:
        async with other.client() as http:
            slow = asyncio.create_task(http.post(IN, content=slowly(), headers=JSON))
            await begun.wait()
            async with asyncio.timeout(60):
                quick = await http.post(IN, content=raw, headers=JSON)
            assert quick.json() == {
                "conversations": 1,
                "messages": 2,
                "skipped": 0,
                "jobs": 0,
                "prompts": 0,
            }
            assert not slow.done()
            rest.set()
            assert (await slow).json() == {
                "conversations": 0,
                "messages": 0,
                "skipped": 1,
                "jobs": 0,
                "prompts": 0,
            }
