"""`/studio/api/search`."""

from __future__ import annotations

from pathlib import Path

import pytest

from kataribe.store import conversations, messages
from kataribe.store.tables import LOCAL
from tests.serve.people_stage import Stage, stage_in
from tests.store.conftest import talk

SEARCH = "/studio/api/search"


@pytest.fixture
def stage(tmp_path: Path):
    with stage_in(tmp_path) as stage:
        yield stage


async def test_messages_and_titles_are_found_newest_first(stage: Stage):
    with stage.store.writing() as tx:
        old, said = talk(tx, "東京の天気は", "晴れです")
        new, _ = talk(tx, "別の話", title="東京の旅")
    async with stage.client() as http:
        told = (await http.get(SEARCH, params={"q": "東京"})).json()
        assert not told["more"]
        title, message = told["data"]
        assert (title["conversation"], title["message"], title["role"]) == (new, None, None)
        assert (message["conversation"], message["message"]) == (old, said[0])
        assert (message["role"], message["snippet"], message["marks"]) == (
            "user",
            "東京の天気は",
            [[0, 2]],
        )


async def test_pages_of_hits_go_on(stage: Stage):
    with stage.store.writing() as tx:
        _, said = talk(tx, *["同じ言葉"] * 5)
    seen: list[str] = []
    params = {"q": "同じ", "limit": "2"}
    async with stage.client() as http:
        while True:
            told = (await http.get(SEARCH, params=params)).json()
            seen += [hit["message"] for hit in told["data"]]
            if not told["more"]:
                break
            params["before"] = seen[-1]
    assert seen == said[::-1]


async def test_what_is_deleted_is_not_found(stage: Stage):
    with stage.store.writing() as tx:
        gone, _ = talk(tx, "秘密 one", title="秘密")
        kept, said = talk(tx, "公開", "秘密 two", "秘密 three")
        conversations.delete(tx, LOCAL, gone)
        messages.delete(tx, kept, said[2])
    async with stage.client() as http:
        hits = (await http.get(SEARCH, params={"q": "秘密"})).json()["data"]
        assert [hit["message"] for hit in hits] == [said[1]]
    with stage.store.writing() as tx:
        conversations.restore(tx, LOCAL, gone)
    async with stage.client() as http:
        assert len((await http.get(SEARCH, params={"q": "秘密"})).json()["data"]) == 3


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({}, 400, "q"),
        ({"q": "x" * 501}, 400, "500"),
        ({"q": "x", "limit": "0"}, 400, "limit"),
        ({"q": "x", "limit": "101"}, 400, "limit"),
        ({"q": "x", "before": "nothing0000000000000"}, 400, "Search anew"),
        ({"q": ""}, 200, '"data":[]'),
        ({"q": "\0"}, 200, '"data":[]'),
        ({"q": 'a" OR owner:"b'}, 200, '"data":[]'),
    ],
)
async def test_odd_searches(stage: Stage, params: dict, status: int, words: str):
    async with stage.client() as http:
        answer = await http.get(SEARCH, params=params)
        assert answer.status_code == status
        assert words in answer.text
