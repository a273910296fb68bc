"""Nobody reads or changes what belongs to somebody else: every route, as the app itself lists it.

A route that is new is walked as soon as it is in the OpenAPI document. Where it names a kind of
thing that `OWNED` and `SHARED` do not know, the walk fails until somebody says whose it is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kataribe.make.training.runs import RunInfo, create_run
from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import openapi_document
from kataribe.serve.gate import DOOR, OPEN, WHO
from kataribe.store import conversations, messages, prompt_answers, prompts, responses, tables
from kataribe.store.ids import new_id, now
from kataribe.store.messages import Message
from kataribe.store.prompt_answers import Answer
from kataribe.store.prompts import Wording
from kataribe.store.responses import Kept
from kataribe.store.sessions import LASTS
from tests.serve.conftest import source_of
from tests.serve.people_stage import SECRET, Stage, stage_in

DOCUMENT = openapi_document()
STUDIO = "/studio/api/"

OWNED = {
    "conversations": "conversation",
    "messages": "reply",
    "queue": "item",
    "attachments": "attachment",
    "jobs": "job",
    "keys": "key",
    "sessions": "session",
    "runs": "run",
    "prompts": "prompt",
    "facts": "fact",
    "responses": "response",
}
"""What a step of an address names: which of Taro's things stands behind it."""

SHARED = {"assistants", "catalog", "models", "servers", "check", "call", "restore"}
"""Steps whose things are everybody's: models, assistants and MCP servers belong to the machine."""

BODIES: Mapping[str, dict[str, Any]] = {
    "Send": {"text": "hello"},
    "QueueChange": {"text": "changed"},
    "ConversationChange": {"title": "changed"},
}
"""Bodies that the schema alone would make empty, or worse than a person's."""


@dataclass(frozen=True)
class Call:
    """One operation of the API."""

    method: str
    path: str
    operation: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def address(self, things: Mapping[str, str]) -> str:
        """The path with things in the places of its parameters."""
        steps = self.path.split("/")
        for number, step in enumerate(steps):
            if step.startswith("{"):
                steps[number] = things[OWNED[steps[number - 1]]]
        return "/".join(steps)

    def kinds(self) -> set[str]:
        """The steps before the path's parameters."""
        steps = self.path.split("/")
        return {steps[number - 1] for number, step in enumerate(steps) if step.startswith("{")}

    def body(self, things: Mapping[str, str]) -> dict[str, Any] | None:
        """A small valid body, whose ids are those of `things`."""
        content = self.operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is None:
            return None
        made = _made(schema, things)
        name = schema.get("$ref", "").rpartition("/")[2]
        return {**made, **BODIES.get(name, {})}


def _made(schema: Mapping[str, Any], things: Mapping[str, str], name: str = "") -> Any:
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        return _made(DOCUMENT["components"]["schemas"][target], things, name)
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return _made(schema[word][0], things, name)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {one: _made(fields[one], things, one) for one in schema.get("required", ())}
        case "array":
            return [_made(schema["items"], things, name) for _ in range(schema.get("minItems", 0))]
        case "string":
            if "pattern" not in schema:
                return "x" * max(1, schema.get("minLength", 1))
            return new_id() if name == "id" else things.get(name, things["reply"])
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return False
        case _:
            return {}


def _calls() -> Iterator[Call]:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            yield Call(method.upper(), path, operation)


CALLS = list(_calls())
STUDIO_CALLS = [call for call in CALLS if call.path.startswith(STUDIO)]
OWNED_CALLS = [call for call in CALLS if call.kinds() & OWNED.keys()]
LISTS = [call for call in STUDIO_CALLS if not call.kinds() and call.method == "GET"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
def things(stage: Stage) -> dict[str, str]:
    """What Taro owns, one of each kind; `taro` and `hanako` are their keys."""
    taro, hanako = stage.add("taro"), stage.add("hanako")
    conversation, attachment, job, item, vote, fact = (new_id() for _ in range(6))
    said: list[str] = []
    with stage.store.writing() as tx:
        conversations.create(tx, taro.id, conversation, title=SECRET, folder=SECRET)
        for role, state in (("user", "sent"), ("assistant", "done"), ("assistant", "done")):
            parent = said[0] if said else None
            group = None if role == "user" else "g" * 20
            message = Message(
                new_id(), conversation, parent, role, state, SECRET, model="scripted", group=group
            )
            said.append(messages.add(tx, taro.id, message).id)
        for table, row in _rows(taro.id, conversation, said, attachment, job, item, vote, fact):
            tx.execute(table.insert().values(**row))
    keys = {"taro": stage.key_of(taro), "hanako": stage.key_of(hanako)}
    with stage.store.reading() as tx:
        key = tx.scalar(sa.select(tables.api_keys.c.id).where(tables.api_keys.c.person == taro.id))
    return {
        "conversation": conversation,
        "reply": said[1],
        "question": said[0],
        "item": item,
        "attachment": attachment,
        "job": job,
        "key": key,
        "session": "5" * 20,
        "group": "g" * 20,
        "winner": said[1],
        "fact": fact,
        "run": _run(stage, taro.id),
        "prompt": _prompt(stage, taro.id),
        "response": _response(stage, taro.id),
        **keys,
    }


def _run(stage: Stage, owner: str) -> str:
    """A training run of his, as folders hold it."""
    info = RunInfo("run", "pretrain", owner=owner, model=SECRET, problem=SECRET)
    run = create_run(stage.workspace.runs, info, {"note": SECRET})
    for name in ("metrics", "samples"):
        line = {"step": 1, "tokens": 1, "time": 1.0, "prompt": SECRET, "text": SECRET}
        (run.path / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
    return run.id


def _prompt(stage: Stage, owner: str) -> str:
    """A prompt of his with an answer, and a deleted one of the same name."""
    wording = Wording(f"{SECRET} {{{{x}}}}", ("x",), SECRET)
    answer = Answer(SECRET, SECRET, "stop", given={"x": SECRET})
    with stage.store.writing() as tx:
        gone = prompts.create(tx, owner, SECRET, wording)
        prompts.delete(tx, owner, gone.id)
        made = prompts.create(tx, owner, SECRET, wording)
        prompt_answers.keep(tx, owner, made.id, 1, answer)
    return made.id


def _response(stage: Stage, owner: str) -> str:
    """A response of his that is kept."""
    said = {"id": "msg_1", "content": [{"type": "output_text", "text": SECRET}]}
    kept = Kept("resp_" + "7" * 24, "scripted", None, [said], {"output": [said]})
    with stage.store.writing() as tx:
        responses.keep(tx, owner, kept)
    return kept.id


def _rows(owner: str, conversation: str, said: list[str], *ids: str) -> list[tuple[sa.Table, dict]]:
    attachment, job, item, vote, fact = ids
    return [
        (
            tables.attachments,
            {
                "id": attachment,
                "owner": owner,
                "name": SECRET,
                "media_type": "text/plain",
                "size": len(SECRET),
                "sha256": "0" * 64,
                "data": SECRET.encode(),
                "created_at": now(),
            },
        ),
        (
            tables.jobs,
            {
                "id": job,
                "owner": owner,
                "kind": "download",
                "title": SECRET,
                "state": "paused",
                "wanted": "pause",
                "created_at": now(),
            },
        ),
        (
            tables.queued,
            {
                "id": item,
                "conversation": conversation,
                "place": 0,
                "text": SECRET,
                "created_at": now(),
            },
        ),
        (
            tables.votes,
            {
                "id": vote,
                "owner": owner,
                "conversation": conversation,
                "group": "h" * 20,
                "shown": said,
                "blind": True,
                "created_at": now(),
            },
        ),
        (
            tables.facts,
            {
                "id": fact,
                "owner": owner,
                "text": SECRET,
                "source": conversation,
                "created_at": now(),
                "changed_at": now(),
            },
        ),
        (tables.preferences, {"owner": owner, "name": "system", "value": SECRET}),
        (
            tables.sessions,
            {
                "hash": "5" * 64,
                "person": owner,
                "created_at": now(),
                "seen_at": now(),
                "expires_at": now() + LASTS,
                "agent": SECRET,
            },
        ),
    ]


def test_the_walk_knows_every_kind_of_thing():
    known = OWNED.keys() | SHARED
    new = {str(call): call.kinds() - known for call in STUDIO_CALLS if call.kinds() - known}
    assert new == {}, "say in OWNED or SHARED whose these are, and give Taro one in `things`"
    assert len(OWNED_CALLS) > 20
    assert len(LISTS) > 3


@pytest.mark.parametrize("call", OWNED_CALLS, ids=str)
async def test_somebody_elses_thing_is_not_there(stage: Stage, things: dict[str, str], call: Call):
    before = stage.rows()
    sessions_and_keys = call.kinds() & {"keys", "sessions"}
    key = things["hanako"]
    async with stage.client(key) as http:
        if sessions_and_keys:  # only who signed in looks after them
            http.headers.pop("authorization")
            http.headers["cookie"] = _signed_in(stage, "hanako")
            before = stage.rows()
        answer = await http.request(call.method, call.address(things), json=call.body(things))
    assert answer.status_code == 404, answer.text
    assert SECRET not in answer.text
    assert stage.rows() == before


def _signed_in(stage: Stage, name: str) -> str:
    from kataribe.store import people, sessions

    with stage.store.writing() as tx:
        person = people.find(tx, name)
        sessions.begin(tx, person.id, "p" + name, "tests", now())
    return f"kataribe-8720=p{name}"


@pytest.mark.parametrize("call", OWNED_CALLS, ids=str)
async def test_the_same_call_by_its_owner_finds_it(
    stage: Stage, things: dict[str, str], call: Call
):
    # Else the walk above would pass for calls that are wrong in themselves.
    async with stage.client(things["taro"]) as http:
        if call.kinds() & {"keys", "sessions"}:
            http.headers.pop("authorization")
            http.headers["cookie"] = _signed_in(stage, "taro")
        answer = await http.request(call.method, call.address(things), json=call.body(things))
    await stage.rooms.chats.close()
    assert answer.status_code not in (401, 403, 404, 500), answer.text


@pytest.mark.parametrize("call", LISTS, ids=str)
async def test_lists_hold_nothing_of_anybody_else(stage: Stage, things: dict[str, str], call: Call):
    about = {one["name"] for one in call.operation.get("parameters", ()) if one["in"] == "query"}
    asked = {"q": SECRET, "folder": SECRET, "limit": "50"}
    query = {name: asked[name] for name in about & asked.keys()}
    before = stage.rows()
    async with stage.client(things["hanako"]) as http:
        if not call.path.endswith("/events"):  # it has no end
            answer = await http.get(call.path, params=query)
            assert answer.status_code in (200, 400, 401), answer.text  # 400: no such room here
            assert SECRET not in answer.text
        for name in about & {"conversation", "after"}:
            answer = await http.get(call.path, params={**query, name: things["conversation"]})
            assert answer.status_code in (400, 404), answer.text
            assert SECRET not in answer.text
    assert stage.rows() == before


async def test_the_lists_do_show_them_to_their_owner(stage: Stage, things: dict[str, str]):
    async with stage.client(things["taro"]) as http:
        for path in ("conversations", "search?q=" + SECRET, "export", "preferences", "prompts"):
            assert SECRET in (await http.get(STUDIO + path)).text, path


async def test_nobody_gets_anything_without_a_key(stage: Stage, things: dict[str, str]):
    before = stage.rows()
    async with stage.client() as http, stage.client("sk-kataribe-" + "A" * 43) as guesser:
        for call in CALLS:
            if call.path in OPEN or (call.method, call.path) in {WHO, *DOOR}:
                continue
            path = call.path if call.kinds() - OWNED.keys() else call.address(things)
            for client in (http, guesser):
                answer = await client.request(call.method, path, json=call.body(things))
                assert (answer.status_code, str(call)) == (401, str(call))
                assert SECRET not in answer.text
    assert stage.rows() == before


def _send(**fields: Any) -> dict[str, Any]:
    return {"id": new_id(), "text": "hello", **fields}


async def test_nothing_of_somebody_else_gets_into_ones_own_conversation(
    stage: Stage, things: dict[str, str]
):
    own = new_id()
    async with stage.client(things["hanako"]) as http:
        made = await http.post(f"{STUDIO}conversations", json={"id": own})
        assert made.status_code == 200
        before = stage.rows()
        path = f"{STUDIO}conversations/{own}"
        for kind, method, address, body in (
            ("file", "POST", "messages", _send(attachments=[things["attachment"]])),
            ("parent", "POST", "messages", _send(parent=things["reply"])),
            ("head", "PATCH", "", {"head": things["reply"]}),
            ("again", "POST", f"messages/{things['reply']}/again", {"id": new_id()}),
            ("queue", "DELETE", f"queue/{things['item']}", None),
            ("now", "POST", f"queue/{things['item']}/now", {}),
            ("rating", "PUT", f"messages/{things['reply']}/rating", {"rating": 1}),
        ):
            answer = await http.request(method, f"{path}/{address}".rstrip("/"), json=body)
            assert answer.status_code in (400, 404), (kind, answer.text)
            assert stage.rows() == before, kind
        read = await http.post(f"{path}/read", json={"ids": [things["reply"]]})
        assert SECRET not in read.text
        vote = {
            "id": new_id(),
            "group": things["group"],
            "winner": things["reply"],
            "shown": [things["reply"], things["question"]],
            "blind": False,
        }
        answer = await http.post(f"{path}/votes", json=vote)
        assert answer.status_code in (400, 404), answer.text
        assert stage.rows() == before


async def test_a_folder_of_somebody_else_keeps_its_name(stage: Stage, things: dict[str, str]):
    body = {"folder": SECRET, "name": "mine"}
    async with stage.client(things["hanako"]) as http:
        await http.post(f"{STUDIO}conversations", json={"id": new_id(), "folder": "own"})
        before = stage.rows()
        answer = await http.patch(f"{STUDIO}conversations", json=body)
        assert answer.json() == {"conversations": 0}
        assert stage.rows() == before
    async with stage.client(things["taro"]) as http:
        answer = await http.patch(f"{STUDIO}conversations", json=body)
        assert answer.json() == {"conversations": 1}
    assert stage.rows() != before


async def test_ids_of_somebody_else_tell_nothing(stage: Stage, things: dict[str, str]):
    own = new_id()
    async with stage.client(things["hanako"]) as http:
        await http.post(f"{STUDIO}conversations", json={"id": own})
        again = await http.post(f"{STUDIO}conversations", json={"id": things["conversation"]})
        assert again.status_code >= 400
        assert SECRET not in again.text
        # The id of a message of Taro's, sent as one's own: it never becomes his.
        sent = _send(id=things["question"])
        answer = await http.post(f"{STUDIO}conversations/{own}/messages", json=sent)
        assert things["reply"] not in answer.text
        assert SECRET not in answer.text
    await stage.rooms.chats.close()


@pytest.mark.parametrize("what", ["send", "now", "steer", "stop", "queue", "delete", "again"])
async def test_nobody_elses_reply_can_be_stopped(tmp_path: Path, what: str):
    with stage_in(tmp_path) as stage:
        slow = stage.source.lms["scripted"] = _Slow()
        taro, hanako = stage.add("taro"), stage.add("hanako")
        own = new_id()
        async with (
            stage.client(stage.key_of(taro)) as http,
            stage.client(stage.key_of(hanako)) as other,
        ):
            path = f"{STUDIO}conversations/{own}"
            await http.post(f"{STUDIO}conversations", json={"id": own})
            accepted = (await http.post(f"{path}/messages", json=_send())).json()
            reply = accepted["replies"][0]
            waits = (await http.post(f"{path}/messages", json=_send(text="wait"))).json()["id"]
            method, address, body = {
                "send": ("POST", "/messages", _send()),
                "now": ("POST", "/messages", _send(when="now")),
                "steer": ("POST", "/messages", _send(when="steer")),
                "stop": ("POST", "/stop", {}),
                "queue": ("POST", f"/queue/{waits}/now", {}),
                "delete": ("DELETE", "", None),
                "again": ("POST", f"/messages/{reply}/again", {"id": new_id()}),
            }[what]
            for _ in range(1500):
                if slow.telling:
                    break
                await asyncio.sleep(0.02)
            before = slow.telling
            assert before > 0
            answer = await other.request(method, path + address, json=body)
            assert answer.status_code == 404, answer.text
            await asyncio.sleep(0.05)
            shown = await http.post(f"{path}/read", json={"ids": [reply]})
            assert shown.json()["data"][0]["state"] in ("waiting", "writing"), shown.text
            assert slow.telling == before
        await stage.rooms.chats.close()


class _Slow(ScriptedLM):
    """Says a word and then nothing more."""

    def __init__(self) -> None:
        super().__init__("Tokyo.", name="scripted")
        self.telling = 0

    async def stream(self, request):
        self.telling += 1
        try:
            async for event in super().stream(request):
                yield event
                await asyncio.sleep(60)
        finally:
            self.telling -= 1


def test_bodies_are_valid_ones():
    things = {"reply": "a" * 20, "group": "g" * 20, "winner": "a" * 20}
    for call in STUDIO_CALLS:
        body = call.body(things)
        assert body is None or json.dumps(body)
    assert source_of(ScriptedLM()).lms


async def test_nobody_runs_a_prompt_of_somebody_else(stage: Stage, things: dict[str, str]):
    before = stage.rows()
    async with stage.client(things["hanako"]) as http:
        body = {"prompt": things["prompt"], "variables": {"x": "y"}, "model": "scripted"}
        answer = await http.post(f"{STUDIO}prompts/run", json=body)
        assert (answer.status_code, SECRET in answer.text) == (404, False)
        assert stage.rows() == before
        own = await http.post(f"{STUDIO}prompts", json={"name": "mine", "text": "x"})
        prompt = own.json()["summary"]["id"]
        before = stage.rows()
        link = {"message": things["reply"], "version": 1}
        answer = await http.post(f"{STUDIO}prompts/{prompt}/replies", json=link)
        assert (answer.status_code, SECRET in answer.text) == (404, False)
        assert stage.rows() == before
