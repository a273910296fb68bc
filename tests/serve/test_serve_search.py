"""`/studio/api/search`."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from kataribe.store import attachments, conversations, messages, tables
from kataribe.store.messages import Message
from kataribe.store.purge import delete_for_good
from kataribe.store.tables import LOCAL
from tests.serve.people_stage import Stage, stage_in
from tests.store.conftest import talk

SEARCH = "/studio/api/search"
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 10


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
            params["before"] = str(told["data"][-1]["key"])
    assert seen == said[::-1]


async def test_files_and_remarks_are_found_and_forgotten(stage: Stage):
    poem = "山のあなたの空遠く".encode()
    with stage.store.writing() as tx:
        id_, said = talk(tx, "読んで", "はい")
        text = attachments.keep(tx, LOCAL, "詩集.txt", poem)
        image = attachments.keep(tx, LOCAL, "富士山.png", PNG)
        unsent = attachments.keep(tx, LOCAL, "下書き.txt", poem)
        for file in (text, image):
            here = tables.attachments.c.id == file.id
            tx.execute(sa.update(tables.attachments).where(here).values(message=said[0]))
        attachments.make_findable(tx, LOCAL, id_, tables.attachments.c.message == said[0])
        reply = messages.add(
            tx, LOCAL, Message("b" * 20, id_, said[1], "assistant", "done", text="終わり")
        )
        messages.rate(tx, LOCAL, id_, reply.id, 1, "とても丁寧")
        messages.rate(tx, LOCAL, id_, reply.id, -1, "少し不正確")

    async def found(words: str) -> list[tuple[str, str, str]]:
        async with stage.client() as http:
            told = (await http.get(SEARCH, params={"q": words})).json()
        return [(hit["kind"], hit["message"], hit["snippet"]) for hit in told["data"]]

    assert await found("空遠く") == [("file", said[0], "詩集.txt 山のあなたの空遠く")]
    assert await found("富士山") == [("file", said[0], "富士山.png")]
    assert await found("下書き") == []  # not sent
    assert await found("不正確") == [("remark", reply.id, "少し不正確")]
    assert await found("丁寧") == []  # another remark took its place
    del unsent
    delete_for_good(stage.store, LOCAL, id_)
    for words in ("空遠く", "富士山", "不正確", "読んで"):
        assert await found(words) == []
    with stage.store.reading() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(tables.passages)) == 0
        tx.exec_driver_sql("INSERT INTO words(words) VALUES ('integrity-check')")


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
        ({"q": "x", "before": "0"}, 400, "before"),
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
