"""`/studio/api/preferences` and `storage`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serve.people_stage import Stage, stage_in

SET = "/studio/api/preferences"


@pytest.fixture
def stage(tmp_path: Path):
    with stage_in(tmp_path) as stage:
        yield stage


async def test_set_change_remove(stage: Stage):
    async with stage.client() as http:
        assert (await http.get(SET)).json() == {"values": {}}
        await http.patch(SET, json={"values": {"theme": "dark", "sampling": {"top_p": 0.5}}})
        told = (await http.patch(SET, json={"values": {"theme": None, "a": [1, "あ"]}})).json()
        assert told == {"values": {"a": [1, "あ"], "sampling": {"top_p": 0.5}}}
        assert (await http.get(SET)).json() == told


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"values": {"Bad": 1}}, "values"),
        ({"values": {"a": "x" * 70_000}}, "65,536"),
        ({"values": {f"n{number}": 1 for number in range(201)}}, "200"),
        ({"values": 5}, "values"),
        ({}, "values"),
        ({"values": {}, "owner": "other"}, "owner"),
    ],
)
async def test_what_cannot_be_set(stage: Stage, body: dict, words: str):
    async with stage.client() as http:
        answer = await http.patch(SET, json=body)
        assert answer.status_code == 400
        assert words in answer.text
        assert (await http.get(SET)).json() == {"values": {}}


async def test_storage_tells_sizes_and_never_keys(stage: Stage, monkeypatch):
    root = stage.store.path.parent
    for name, size in (("models/a/x.gguf", 3000), ("downloads/y.part", 500), ("files/z", 70)):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(b"x" * size)
    (root / "models" / "link").symlink_to("/usr")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "")
    async with stage.client() as http:
        answer = await http.get("/studio/api/storage")
    told = answer.json()
    assert told["folder"] == str(root)
    assert 3000 <= told["models"] < 3100  # the link itself, not where it leads
    assert told["downloads"] == 500
    assert told["other"] == 70
    assert told["database"] >= stage.store.path.stat().st_size > 0
    assert told["free"] > 0
    assert told["keys"] == [
        {"name": "OPENAI_API_KEY", "set": True},
        {"name": "ANTHROPIC_API_KEY", "set": False},
        {"name": "GEMINI_API_KEY", "set": False},
    ]
    assert "secret" not in answer.text
