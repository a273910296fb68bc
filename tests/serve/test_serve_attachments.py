"""`/studio/api/attachments`: in, out and away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import sqlalchemy as sa

from kataribe.store.tables import attachments
from tests.serve.people_stage import Stage, stage_in

FILES = "/studio/api/attachments"
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 10


@pytest.fixture
def stage(tmp_path: Path):
    with stage_in(tmp_path) as stage:
        yield stage


async def send(http, name: str, data, kind: str = "application/octet-stream"):
    return await http.post(
        FILES, params={"name": name}, content=data, headers={"content-type": kind}
    )


async def test_in_out_and_away(stage: Stage):
    async with stage.client() as http:
        kept = (await send(http, "絵.png", PNG)).json()
        assert (kept["name"], kept["media_type"], kept["size"]) == ("絵.png", "image/png", 18)
        answer = await http.get(f"{FILES}/{kept['id']}")
        assert answer.content == PNG
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        shown = answer.headers["content-disposition"]
        assert shown.startswith('attachment; filename="_.png"; ')
        assert unquote(shown.partition("filename*=UTF-8''")[2]) == "絵.png"
        assert (await http.delete(f"{FILES}/{kept['id']}")).status_code == 204
        assert (await http.get(f"{FILES}/{kept['id']}")).status_code == 404
        assert (await http.delete(f"{FILES}/{kept['id']}")).status_code == 404


async def test_text_is_never_a_page(stage: Stage):
    async with stage.client() as http:
        kept = (await send(http, "a.html", b"<script>alert(1)</script>", "text/html")).json()
        answer = await http.get(f"{FILES}/{kept['id']}")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "name", ['a"; filename="b.exe', "x\r\nX-Evil: 1", "../../up", "💣.txt", "a" * 1000, "%41\\b"]
)
async def test_names_cannot_break_headers(stage: Stage, name: str):
    async with stage.client() as http:
        kept = (await send(http, name, b"text")).json()
        answer = await http.get(f"{FILES}/{kept['id']}")
        assert answer.status_code == 200
        assert "x-evil" not in answer.headers
        assert answer.headers["content-disposition"].count('"') == 2
        assert "/" not in kept["name"]


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 400, "empty (0 bytes)"),
        (b"%PDF-1.4", 400, "is a PDF"),
        (b"\0\1", 400, "control characters"),
        (b"x" * (1024**2 + 1), 400, "1,048,576"),
        (b"x" * (10 * 1024**2 + 1), 413, "10,485,760"),
    ],
)
async def test_what_is_refused(stage: Stage, data: bytes, status: int, words: str):
    async with stage.client() as http:
        answer = await send(http, "名前.bin", data)
        assert answer.status_code == status
        assert words in answer.json()["error"]["message"]
        assert "名前.bin" in answer.json()["error"]["message"]
    with stage.store.reading() as tx:
        assert tx.execute(sa.select(attachments.c.id)).all() == []


async def test_a_gigabyte_is_refused_unread(stage: Stage):
    async with stage.client() as http:
        answer = await http.post(
            FILES, params={"name": "big"}, content=b"x", headers={"content-length": str(1024**3)}
        )
        assert answer.status_code == 413
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(1024):
                sent += 1
                yield b"x" * 1024**2

        answer = await send(http, "big", endless())
        assert answer.status_code == 413
        assert "10,485,760" in answer.json()["error"]["message"]
        assert sent <= 12, "10 MiB may come, and then the piece that is too much"


async def test_a_name_is_needed(stage: Stage):
    async with stage.client() as http:
        assert (await http.post(FILES, content=b"x")).status_code == 400
