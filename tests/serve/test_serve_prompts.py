"""Prompts and techniques over HTTP: kept, compared, run side by side, and asked with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kataribe.base.errors import ProviderError
from kataribe.base.messages import text_of
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import Reply
from kataribe.store import messages
from kataribe.store.ids import new_id
from kataribe.store.messages import Message
from kataribe.store.tables import LOCAL
from tests.serve.conftest import hello, inside, source_of
from tests.serve.people_stage import Stage, stage_in

PROMPTS = "/studio/api/prompts"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as stage:
        yield stage


def script(stage: Stage, *lines: Any) -> ScriptedLM:
    lm = ScriptedLM(list(lines))
    stage.source.lms["scripted"] = lm
    return lm


def told(answer: httpx.Response) -> list[dict[str, Any]]:
    """The events of a run; each is named by its type."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for frame in answer.text.split("\n\n"):
        lines = frame.splitlines()
        if len(lines) == 2 and lines[0].startswith("event: "):
            value = json.loads(lines[1].removeprefix("data: "))
            assert lines[0] == f"event: {value['type']}"
            found.append(value)
    return found


async def made(http: httpx.AsyncClient, text: str = "Say {{what}}.") -> str:
    answer = await http.post(PROMPTS, json={"name": "greet", "text": text, "note": "first"})
    assert answer.status_code == 200, answer.text
    return answer.json()["summary"]["id"]


async def test_prompts_are_made_changed_compared_and_deleted(stage: Stage):
    async with stage.client() as http:
        id_ = await made(http)
        body = {"text": "Shout {{what}}!", "note": "louder"}
        for _ in range(2):  # the same words again make no other version
            changed = (await http.post(f"{PROMPTS}/{id_}/versions", json=body)).json()
        assert [each["number"] for each in changed["versions"]] == [1, 2]
        assert changed["summary"]["variables"] == ["what"]
        assert changed["summary"]["note"] == "louder"
        assert (await http.get(f"{PROMPTS}/{id_}")).json() == changed
        diff = (await http.get(f"{PROMPTS}/{id_}/diff?old=1&new=2")).json()
        assert diff["diff"].startswith("--- greet@1\n+++ greet@2")
        renamed = await http.patch(f"{PROMPTS}/{id_}", json={"name": "挨拶"})
        assert renamed.json()["summary"]["name"] == "挨拶"
        assert [each["id"] for each in (await http.get(PROMPTS)).json()["data"]] == [id_]
        assert (await http.delete(f"{PROMPTS}/{id_}")).json()["data"] == []
        (gone,) = (await http.get(f"{PROMPTS}?deleted=true")).json()["data"]
        assert (gone["id"], gone["deleted"]) == (id_, True)
        assert (await http.get(f"{PROMPTS}/{id_}")).status_code == 404
        for _ in range(2):  # the second time there is nothing to do
            back = await http.post(f"{PROMPTS}/{id_}/restore", json={})
            assert back.json()["summary"]["latest"] == 2


async def test_what_a_template_says_is_seen_beforehand(stage: Stage):
    async with stage.client() as http:
        body = {"text": "{{a}} and {{b}}", "variables": {"a": "1", "b": "2"}}
        seen = (await http.post(f"{PROMPTS}/render", json=body)).json()
        assert seen == {"text": "1 and 2", "variables": ["a", "b"], "problem": ""}
        body["variables"] = {"a": "1", "c": "3"}
        seen = (await http.post(f"{PROMPTS}/render", json=body)).json()
        assert seen["text"] is None
        assert "no value for 'b' and a value for 'c'" in seen["problem"]


async def test_a_run_streams_and_keeps_its_answers(stage: Stage):
    lm = script(stage, ["Hello.", "Hi."])
    async with stage.client() as http:
        id_ = await made(http)
        body = {
            "prompt": id_,
            "variables": {"what": "hello"},
            "model": "scripted",
            "system": "Be brief.",
            "sampling": {"temperature": 0.5, "seed": 3},
            "repeats": 2,
        }
        events = told(await http.post(f"{PROMPTS}/run", json=body))
        request = lm.requests[0]
        assert [text_of(each) for each in request.prompt] == ["Be brief.", "Say hello."]
        assert (request.n, request.seed, request.sampling.temperature) == (2, 3, 0.5)
        said = {0: "", 1: ""}
        for event in events:
            if event["type"] == "delta":
                said[event["index"]] += event["text"]
        assert said == {0: "Hello.", 1: "Hi."}
        answers = [event for event in events if event["type"] == "answer"]
        assert [each["text"] for each in answers] == ["Hello.", "Hi."]
        assert answers[0]["usage"]["completion"] == 6
        assert events[-1] == {"type": "end"}
        kept = (await http.get(f"{PROMPTS}/{id_}/answers")).json()["data"]
        assert [each["id"] for each in kept] == [each["answer"] for each in reversed(answers)]
        assert kept[0]["variables"] == {"what": "hello"}
        assert (kept[0]["model"], kept[0]["version"]) == ("scripted", 1)
        older = await http.get(f"{PROMPTS}/{id_}/answers?before={kept[0]['key']}&version=1")
        assert [each["text"] for each in older.json()["data"]] == ["Hello."]


async def test_a_text_runs_without_being_kept_with_a_technique(stage: Stage):
    lm = script(stage, "One. Answer: 5", "Two. Answer: 5", "Three. Answer: 6")
    before = stage.rows()
    async with stage.client() as http:
        body = {
            "text": "{{n}}+3?",
            "variables": {"n": "2"},
            "model": "scripted",
            "technique": {"name": "self-consistency", "options": {"paths": 3}},
        }
        events = told(await http.post(f"{PROMPTS}/run", json=body))
    assert {event["name"] for event in events if event["type"] == "step"} >= {"path", "vote"}
    (answer,) = [event for event in events if event["type"] == "answer"]
    assert answer["answer"] is None
    assert answer["dollars"] is None, "nobody here knows a price"
    assert answer["usage"]["completion"] == 14 + 14 + 16
    assert len(lm.requests) == 3
    assert stage.rows() == before


async def test_react_runs_with_tools_of_the_server(stage: Stage):
    script(
        stage,
        "Thought: I compute.\nAction: calculator\nAction Input: 6*7\n",
        "Thought: I know.\nFinal Answer: 42",
    )
    async with stage.client() as http:
        body = {"text": "6*7?", "model": "scripted", "tools": ["calculator"]}
        refused = await http.post(f"{PROMPTS}/run", json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tools")
        body["technique"] = {"name": "react"}
        events = told(await http.post(f"{PROMPTS}/run", json=body))
    assert [event["text"] for event in events if event["type"] == "answer"] == ["42"]


async def test_several_run_side_by_side(stage: Stage):
    script(stage, *[Reply(f"answer {n}", delay=0.05) for n in range(3)])
    async with stage.client() as http:
        id_ = await made(http)
        body = {"prompt": id_, "variables": {"what": "x"}, "model": "scripted"}
        runs = [http.post(f"{PROMPTS}/run", json=body) for _ in range(3)]
        for answer in await asyncio.gather(*runs):
            assert told(answer)[-1] == {"type": "end"}
        kept = (await http.get(f"{PROMPTS}/{id_}/answers")).json()["data"]
        assert {each["text"] for each in kept} == {"answer 0", "answer 1", "answer 2"}


async def test_a_run_that_breaks_off_says_so_last(stage: Stage):
    script(stage, Reply("half a rep", error=ProviderError("gone"), fail_after=2))
    async with stage.client() as http:
        id_ = await made(http)
        body = {"prompt": id_, "variables": {"what": "x"}, "model": "scripted"}
        events = told(await http.post(f"{PROMPTS}/run", json=body))
        assert events[-1]["type"] == "error"
        assert events[-1]["error"]["message"] == "gone"
        assert (await http.get(f"{PROMPTS}/{id_}/answers")).json()["data"] == []


BAD_RUNS = {
    "nothing": ({}, 400, "either the id of a prompt or a text"),
    "both": ({"prompt": "p" * 20, "text": "x"}, 400, "either the id"),
    "version of a text": ({"text": "x", "version": 1}, 400, "no versions"),
    "unknown prompt": ({"prompt": "p" * 20}, 404, "no prompt"),
    "missing variable": ({"text": "{{a}} {{b}}"}, 400, "no value for 'a', 'b'"),
    "unused variable": ({"text": "x", "variables": {"a": "1"}}, 400, "a value for 'a'"),
    "no template": ({"text": "{{not one}}"}, 400, "Line 1"),
    "unknown technique": ({"text": "x", "technique": {"name": "cott"}}, 404, "no technique"),
    "near technique": (
        {"text": "x", "technique": {"name": "chain-of-thougt"}},
        404,
        "Did you mean chain-of-thought",
    ),
    "unknown option": (
        {"text": "x", "technique": {"name": "self-consistency", "options": {"path": 3}}},
        400,
        "Did you mean paths",
    ),
    "bad option": (
        {"text": "x", "technique": {"name": "self-consistency", "options": {"paths": 0}}},
        400,
        "paths is 0",
    ),
    "unknown tool": (
        {"text": "x", "technique": {"name": "react"}, "tools": ["clok"]},
        404,
        "Did you mean clock",
    ),
    "tool with consent": (
        {"text": "x", "technique": {"name": "react"}, "tools": ["python"]},
        400,
        "only with consent",
    ),
    "tool with options": (
        {"text": "x", "technique": {"name": "react"}, "tools": ["model"]},
        400,
        "needs options",
    ),
    "tool that reaches": (
        {"text": "x", "technique": {"name": "react"}, "tools": ["documents"]},
        400,
        "needs options",
    ),
    "react alone": ({"text": "x", "technique": {"name": "react"}}, 400, "none are named"),
    "retrieval": ({"text": "x", "technique": {"name": "retrieval"}}, 400, "nothing to search"),
    "no examples": ({"text": "x", "technique": {"name": "few-shot"}}, 400, "needs examples"),
    "likeness": (
        {
            "text": "x",
            "technique": {
                "name": "few-shot",
                "options": {
                    "choice": "similar",
                    "examples": [{"question": "a", "answer": "b"}],
                },
            },
        },
        400,
        "needs an embedder",
    ),
    "repeats": ({"text": "x", "repeats": 0}, 400, "repeats"),
    "unknown model": ({"text": "x", "model": "gone"}, 404, "gone"),
    "unknown field": ({"text": "x", "techniqe": 1}, 400, "technique"),
}


@pytest.mark.parametrize("name", BAD_RUNS)
async def test_bad_runs_are_refused_before_anybody_is_asked(stage: Stage, name: str):
    body, status, words = BAD_RUNS[name]
    lm = script(stage, "x")
    before = stage.rows()
    async with stage.client() as http:
        answer = await http.post(f"{PROMPTS}/run", json={"model": "scripted", **body})
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True), (
        answer.text
    )
    assert lm.requests == []
    assert stage.rows() == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "", {"name": "a b", "text": "x"}, 400, "cannot name a prompt"),
        ("POST", "", {"name": "greet", "text": "x"}, 400, "greet already"),
        ("POST", "", {"name": "other", "text": "{{a b}}"}, 400, "Line 1"),
        ("POST", "", {"name": "other", "text": " "}, 400, "needs words"),
        ("POST", "/ID/versions", {"text": "{{a b}}"}, 400, "Line 1"),
        ("GET", "/ID/diff?old=1&new=7", None, 404, "no version 7"),
        ("GET", "/ID/answers?version=7", None, 404, "no version 7"),
        ("POST", "/ID/replies", {"message": "m" * 20, "version": 1}, 404, "no reply"),
        ("POST", "/nobody/restore", {}, 404, "no prompt"),
        ("GET", "/nobody", None, 404, "no prompt"),
    ],
)
async def test_bad_input_is_refused(stage: Stage, method, path, body, status, words):
    async with stage.client() as http:
        id_ = await made(http)
        before = stage.rows()
        answer = await http.request(method, f"{PROMPTS}{path.replace('ID', id_)}", json=body)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert stage.rows() == before


async def test_a_reply_of_a_conversation_is_linked(stage: Stage):
    async with stage.client() as http:
        id_ = await made(http)
        talk = new_id()
        await http.post("/studio/api/conversations", json={"id": talk})
        with stage.store.writing() as tx:
            ask = messages.add(tx, LOCAL, Message(new_id(), talk, None, "user", "sent", "Q"))
            reply = Message(new_id(), talk, ask.id, "assistant", "done", "A", model="scripted")
            messages.add(tx, LOCAL, reply)
        body = {"message": reply.id, "version": 1}
        linked = (await http.post(f"{PROMPTS}/{id_}/replies", json=body)).json()
        assert (linked["text"], linked["message"], linked["version"]) == ("A", reply.id, 1)
        assert linked["conversation"] == talk


async def test_techniques_are_listed_with_papers_and_options(stage: Stage):
    async with stage.client() as http:
        found = (await http.get("/studio/api/techniques")).json()
    assert len(found["data"]) == 9
    assert all(each["paper"] for each in found["data"])
    assert set(found["tools"]) >= {"calculator", "clock"}
    assert "python" not in found["tools"]
    options = {each["name"]: each["options"] for each in found["data"]}
    paths = options["self-consistency"][0]
    assert (paths["name"], paths["schema"]["type"], paths["default"]) == ("paths", "integer", 5)


async def test_chat_completions_take_a_technique(stage: Stage):
    lm = script(stage, "It is big.", "The answer.")
    chosen = {"name": "generated-knowledge", "options": {"statements": 1}}
    async with stage.client() as http:
        answer = await http.post("/v1/chat/completions", json=hello(technique=chosen))
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "The answer."
    assert answer.json()["model"] == "scripted"
    assert answer.json()["usage"]["completion_tokens"] == len("It is big.The answer.")
    assert len(lm.requests) == 2


async def test_a_technique_streams_its_steps_where_they_are_wanted(stage: Stage):
    script(stage, "It is big.", "The answer.")
    chosen = {"name": "generated-knowledge", "options": {"statements": 1}}
    async with stage.client() as http:
        answer = await http.post(
            "/v1/chat/completions",
            json=hello(technique=chosen, stream=True),
            headers={"X-Kataribe-Events": "progress"},
        )
    assert answer.status_code == 200
    assert "event: kataribe.step" in answer.text
    assert "It is big." in answer.text.partition('data: {"id"')[0]
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"technique": "chain-of-thougt"}, 404, "Did you mean chain-of-thought"),
        ({"technique": {"name": "zero-shot", "options": {"instrction": "x"}}}, 400, "instruction"),
        ({"technique": "react"}, 400, "none are named"),
        ({"technique": "chain-of-thought", "n": 2}, 400, "one reply at a time"),
        ({"technique": 5}, 400, "technique"),
        ({"technique": "self-consistency", "stop": ["x"], "logprobs": True}, 400, "logprobs"),
    ],
)
async def test_a_technique_that_cannot_be_is_refused(stage: Stage, fields, status, words):
    lm = script(stage, "x")
    async with stage.client() as http:
        answer = await http.post("/v1/chat/completions", json=hello(**fields))
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True), (
        answer.text
    )
    assert lm.requests == []


async def test_a_server_without_rooms_knows_no_techniques():
    async with inside(source_of(ScriptedLM("x"))) as http:
        answer = await http.post("/v1/chat/completions", json=hello(technique="zero-shot"))
    assert answer.status_code == 400
    assert "kataribe up" in answer.json()["error"]["message"]
