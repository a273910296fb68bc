"""`/studio/api/conversations/{talk}/share`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.serve.people_stage import Stage, stage_in
from tests.store.conftest import talk


@pytest.fixture
def stage(tmp_path: Path):
    with stage_in(tmp_path) as stage:
        yield stage


@pytest.mark.parametrize(
    ("form", "kind", "ending", "words"),
    [
        ("markdown", "text/markdown", "md", "## あなた"),
        ("json", "application/json", "json", '"role": "assistant"'),
        ("html", "text/html", "html", "&lt;b&gt;質問"),
    ],
)
async def test_the_three_forms(stage: Stage, form: str, kind: str, ending: str, words: str):
    with stage.store.writing() as tx:
        id_, _ = talk(tx, "<b>質問", "返答", title='題/"名"')
    async with stage.client() as http:
        path = f"/studio/api/conversations/{id_}/share"
        answer = await http.get(path, params={"format": form, "language": "ja"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    name = unquote(answer.headers["content-disposition"].partition("UTF-8''")[2])
    assert name == f'題-"名".{ending}'
    assert words in answer.text


@pytest.mark.parametrize(
    ("id_", "query", "status"),
    [
        ("0" * 20, {}, 404),
        (None, {"format": "pdf"}, 400),
        (None, {"language": "fr"}, 400),
        (None, {}, 200),
    ],
)
async def test_what_is_refused(stage: Stage, id_, query, status):
    with stage.store.writing() as tx:
        made, _ = talk(tx, "q")
    async with stage.client() as http:
        answer = await http.get(f"/studio/api/conversations/{id_ or made}/share", params=query)
        assert answer.status_code == status
