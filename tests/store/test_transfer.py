"""Everything out, everything in; and files made to harm."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from kataribe.base.errors import InputError
from kataribe.store import (
    attachments,
    conversations,
    facts,
    job_log,
    jobs,
    messages,
    preferences,
    prompt_answers,
    prompts,
    purge,
    queue,
    search,
)
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.jobs import Failure, Job, NewJob, Progress
from kataribe.store.messages import Message
from kataribe.store.prompt_answers import Answer
from kataribe.store.prompts import Wording
from kataribe.store.tables import LOCAL, METADATA
from kataribe.store.transfer.arriving import Arrived, imported
from kataribe.store.transfer.leaving import exported
from tests.store.conftest import person, talk

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


STEP = {"name": "call", "line": "send {}", "content": "{}", "left": 0, "call": "call_1", "at": 1.5}
STEP |= {"tokens": 7}
ROUND = {
    "calls": [{"id": "call_1", "name": "send", "arguments": "{}"}],
    "answers": {"call_1": {"approved": True, "why": "", "by": "person"}},
    "asked_at": 1.0,
    "until": 2.0,
    "usage": [1, 2, 0],
    "text": "",
}


def saved(store: Store, path: Path, owner: str = LOCAL) -> dict[str, Any]:
    path.write_bytes(b"".join(exported(store, owner)))
    told: dict[str, Any] = json.loads(path.read_bytes())
    return told


def taken(store: Store, owner: str, path: Path) -> Arrived:
    with path.open("rb") as file:
        return imported(store, owner, file)


def fill(store: Store, owner: str = LOCAL) -> tuple[str, list[str]]:
    with store.writing() as tx:
        id_, said = talk(tx, "質問です", "返答です", "続き", "終わり", owner=owner, title="題名")
        group = new_id()
        messages.update(
            tx,
            said[1],
            group=group,
            asked={"sampling": {"temperature": 0.5, "seed": 7}, "beginning": "返", "blind": True},
            rating=-1,
            remark="短い",
            reasoning="考え",
            prompt_tokens=5,
            completion_tokens=2,
            cached_tokens=0,
            first_after=0.25,
            took=1.5,
            finish="stop",
            steps=[STEP],
            consents=[ROUND],
        )
        messages.update(tx, said[3], state="failed", failure={"code": "x", "message": "y"})
        other = Message(new_id(), id_, said[0], "assistant", "writing", "別の", group=group)
        messages.add(tx, owner, other)
        vote = METADATA.tables["votes"]
        values = {"id": new_id(), "owner": owner, "conversation": id_, "group": group}
        values |= {"winner": said[1], "shown": [said[1], other.id], "blind": True, "created_at": 1}
        tx.execute(sa.insert(vote).values(**values))
        picture = attachments.keep(tx, owner, "絵.png", PNG)
        table = METADATA.tables["attachments"]
        tx.execute(sa.update(table).where(table.c.id == picture.id).values(message=said[0]))
        note = attachments.keep(tx, owner, "note.md", b"# note", "text/markdown")
        asked = {"attachments": [note.id], "models": ["pico", "other"], "blind": True}
        queue.put(tx, id_, queue.Item(new_id(), "待つ", asked))
        conversations.change(tx, owner, id_, folder="仕事", pinned=True, system="簡潔に")
        preferences.change(tx, owner, {"theme": "dark", "sampling": {"top_p": 0.9}})
    return id_, said


def without_names(told: dict[str, Any]) -> dict[str, Any]:
    """An export with ids and times that differ by right taken out."""
    plain = json.loads(json.dumps(told))
    plain.pop("made_at")
    for one in plain["files"]:
        one.pop("id")
    for one in plain["conversations"]:
        for item in one["queue"]:
            item["asked"]["attachments"] = len(item["asked"].get("attachments", []))
        for vote in one["votes"]:
            vote.pop("id")
    return plain


def test_there_and_back(store, tmp_path):
    id_, said = fill(store)
    told = saved(store, tmp_path / "out.json")
    assert {message["state"] for message in told["conversations"][0]["messages"]} == {
        "sent",
        "done",
        "failed",
        "interrupted",
    }
    other = Store(tmp_path / "other" / "k.db")
    assert taken(other, LOCAL, tmp_path / "out.json") == Arrived(1, 5, 0)
    assert without_names(saved(other, tmp_path / "again.json")) == without_names(told)
    with other.reading() as tx:
        assert conversations.get(tx, LOCAL, id_).title == "題名"
        reply = messages.get(tx, id_, said[1])
        assert (reply.steps, reply.consents) == ([STEP], [ROUND])
        found = search.find(tx, LOCAL, "返答", kinds=["message"], limit=9)
        assert [one.ref for one in found] == [said[1]]
        assert search.find(tx, LOCAL, "題名", kinds=["title"], limit=9)
        (picture,) = attachments.of_messages(tx, said)[said[0]]
        assert attachments.data_of(tx, LOCAL, picture.id) == PNG
        (item,) = queue.waiting(tx, id_)
        assert item.asked["blind"] is True
        (note,) = item.asked["attachments"]
        assert attachments.data_of(tx, LOCAL, note) == b"# note"
    # Once more, also laid out otherwise: nothing doubles.
    (tmp_path / "wide.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    for name in ("out.json", "wide.json"):
        assert taken(other, LOCAL, tmp_path / name) == Arrived(0, 0, 1)
    assert without_names(saved(other, tmp_path / "again.json")) == without_names(told)
    other.close()


def worked(store: Store, owner: str = LOCAL) -> dict[str, str]:
    """Jobs in all kinds of states: state -> id."""
    found = {}
    with store.writing() as tx:
        for state in ("done", "failed", "cancelled", "running", "paused", "waiting"):
            params = {"model": "hf:語り/部", "goal": state}
            job = jobs.add_job(tx, owner, NewJob("download", f"題 {state}", params)).id
            found[state] = job
            if state == "waiting":
                continue
            jobs.claim(tx, job)
            jobs.keep_progress(tx, job, Progress("fetching", 3, 9, "bytes"))
            job_log.add_line(tx, job, "info", "一行目")
            job_log.add_line(tx, job, "warning", "line two")
            if state in ("cancelled", "paused"):
                jobs.ask(tx, owner, job, "cancel" if state == "cancelled" else "pause")
                jobs.cancelled(tx, job) if state == "cancelled" else jobs.leave_job(tx, job)
            elif state != "running":
                failure = Failure("download_failed", "gone") if state == "failed" else None
                jobs.end_job(tx, job, result=None if failure else {"name": "部"}, failure=failure)
    return found


def jobs_of(store: Store, owner: str = LOCAL) -> dict[str, Job]:
    with store.reading() as tx:
        return {job.title: job for job in jobs.list_jobs(tx, owner)}


def test_jobs_come_along_as_a_record_that_nothing_does_again(store, tmp_path):
    ids = worked(store)
    told = saved(store, tmp_path / "out.json")
    assert [job["state"] for job in told["jobs"]] == list(ids)
    other = Store(tmp_path / "other" / "k.db")
    assert taken(other, LOCAL, tmp_path / "out.json") == Arrived(0, 0, 0, len(ids))
    came, here = jobs_of(other), jobs_of(store)
    assert [came[title].id for title in here] == [here[title].id for title in here]
    done = here["題 done"]
    assert came["題 done"] == done
    with store.reading() as one, other.reading() as two:
        before, after = (job_log.read_lines(tx, LOCAL, done.id) for tx in (one, two))
        assert [(line.at, line.level, line.line) for line in after] == [
            (line.at, line.level, line.line) for line in before
        ]
        assert len(after) == 2
    assert {title: job.state for title, job in came.items() if job.state != "done"} == {
        f"題 {state}": "cancelled" for state in ids if state != "done"
    }
    assert came["題 failed"].failure == Failure("download_failed", "gone")
    assert came["題 cancelled"].failure is None
    for state in ("running", "paused", "waiting"):
        job = came[f"題 {state}"]
        assert job.failure
        assert job.failure.code == "left_elsewhere"
        assert state in job.failure.message
        assert job.ended_at
    with other.writing() as tx:
        for job in came.values():
            with pytest.raises(InputError, match="cannot be resumed"):
                jobs.ask(tx, LOCAL, job.id, "run")
        assert not jobs.open_jobs(tx)
    # Once more, laid out otherwise, and what came goes out: nothing doubles.
    (tmp_path / "wide.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    for name in ("out.json", "wide.json"):
        assert taken(other, LOCAL, tmp_path / name) == Arrived(0, 0, 0, 0)
    saved(other, tmp_path / "again.json")
    assert taken(store, LOCAL, tmp_path / "again.json") == Arrived(0, 0, 0, 0)
    assert jobs_of(store) == here
    other.close()


def test_a_result_that_is_no_number_comes_along_as_none(store, tmp_path):
    with store.writing() as tx:
        job = jobs.add_job(tx, LOCAL, NewJob("training", "t", {"rate": float("inf")})).id
        jobs.claim(tx, job)
        jobs.end_job(tx, job, result={"loss": float("nan"), "steps": 3}, failure=None)
    (told,) = saved(store, tmp_path / "out.json")["jobs"]
    assert (told["params"], told["result"]) == ({"rate": None}, {"loss": None, "steps": 3})
    other = Store(tmp_path / "other" / "k.db")
    assert taken(other, LOCAL, tmp_path / "out.json").jobs == 1
    other.close()


def test_what_is_imported_comes_after_what_is_newer(store, tmp_path):
    worked(store)
    saved(store, tmp_path / "out.json")
    other = Store(tmp_path / "other" / "k.db")
    with other.writing() as tx:
        own = jobs.add_job(tx, LOCAL, NewJob("download", "own", {})).id
    taken(other, LOCAL, tmp_path / "out.json")
    with other.reading() as tx:
        assert [job.id for job in jobs.list_jobs(tx, LOCAL, limit=1)] == [own]
    other.close()


def test_jobs_of_somebody_else_come_beside_them(store, tmp_path):
    worked(store)
    saved(store, tmp_path / "out.json")
    before = jobs_of(store)
    with store.writing() as tx:
        person(tx, "other")
    assert taken(store, "other", tmp_path / "out.json").jobs == len(before)
    assert taken(store, "other", tmp_path / "out.json").jobs == 0
    theirs = jobs_of(store, "other")
    assert theirs.keys() == before.keys()
    assert not {job.id for job in theirs.values()} & {job.id for job in before.values()}
    assert jobs_of(store) == before


def test_facts_come_along_and_stay_one_s_own(store, tmp_path):
    with store.writing() as tx:
        person(tx, "other")
        kept = [facts.add(tx, LOCAL, text, "talk") for text in ("Likes tea.", "名前は太郎")]
        facts.add(tx, "other", "Nobody else's.")
    saved(store, tmp_path / "out.json")
    elsewhere = Store(tmp_path / "other" / "k.db")
    with elsewhere.writing() as tx:
        here = facts.add(tx, LOCAL, "likes TEA.")
    for _ in range(2):
        taken(elsewhere, LOCAL, tmp_path / "out.json")
        with elsewhere.reading() as tx:
            newest, oldest = facts.listing(tx, LOCAL)
        assert oldest == here
        assert newest == replace(kept[1], id=newest.id)
    elsewhere.close()


def test_the_form_before_this_one_is_read(store, tmp_path):
    fill(store)
    told = saved(store, tmp_path / "out.json")
    raw = (tmp_path / "out.json").read_bytes()
    begin, end = raw.index(b'"version":5'), raw.rindex(b'\n],"jobs":[')
    old = raw[:end].replace(b'"version":5', b'"version":1', 1).replace(b',"facts":[]', b"", 1)
    old += b"\n]}\n"
    assert begin > 0
    (tmp_path / "old.json").write_bytes(old)
    whole = {name: value for name, value in told.items() if name not in ("jobs", "prompts")}
    whole["version"] = 1
    (tmp_path / "wide.json").write_text(json.dumps(whole, indent=2), encoding="utf-8")
    third = raw[: raw.rindex(b'\n],"prompts":[')].replace(b'"version":5', b'"version":4', 1)
    (tmp_path / "third.json").write_bytes(third + b"\n]}\n")
    for number, name in enumerate(("old.json", "wide.json", "third.json")):
        other = Store(tmp_path / f"other{number}" / "k.db")
        assert taken(other, LOCAL, tmp_path / name) == Arrived(1, 5, 0)
        other.close()


def test_messages_without_steps_beside_others_with_them(store, tmp_path):
    """As every version before the fourth wrote them."""
    id_, said = fill(store)
    told = saved(store, tmp_path / "out.json")
    for message in told["conversations"][0]["messages"][2:]:
        del message["steps"], message["consents"]
    (tmp_path / "mixed.json").write_text(json.dumps(told), encoding="utf-8")
    other = Store(tmp_path / "other" / "k.db")
    assert taken(other, LOCAL, tmp_path / "mixed.json") == Arrived(1, 5, 0)
    with other.reading() as tx:
        assert messages.get(tx, id_, said[1]).steps == [STEP]
        assert messages.get(tx, id_, said[3]).steps == []
    other.close()


def test_what_a_person_allowed_does_not_travel(store, tmp_path):
    """A file may come from anybody; it must not let tools run unasked."""
    id_, _ = fill(store)
    with store.writing() as tx:
        conversations.allow(tx, LOCAL, id_, "agent", ["send"])
    told = saved(store, tmp_path / "out.json")
    assert "allowed" not in told["conversations"][0]
    told["conversations"][0]["allowed"] = [{"model": "agent", "tool": "send"}]
    (tmp_path / "bad.json").write_text(json.dumps(told), encoding="utf-8")
    other = Store(tmp_path / "other" / "k.db")
    with pytest.raises(InputError, match="allowed"):
        taken(other, LOCAL, tmp_path / "bad.json")
    other.close()


def test_others_may_write_while_messages_are_cut(store, tmp_path, monkeypatch):
    fill(store)
    saved(store, tmp_path / "out.json")
    other, held, cut = Store(tmp_path / "other" / "k.db"), {}, search.cut
    monkeypatch.setattr(
        search, "cut", lambda text: held.update({text: other._writer.locked()}) or cut(text)
    )
    taken(other, LOCAL, tmp_path / "out.json")
    assert {text for text, one in held.items() if not one} >= {"質問です", "返答です", "終わり"}
    other.close()


def test_ids_of_somebody_else_are_not_taken(store, tmp_path):
    id_, _ = fill(store)
    told = saved(store, tmp_path / "out.json")
    with store.writing() as tx:
        person(tx, "other")
    assert taken(store, "other", tmp_path / "out.json") == Arrived(1, 5, 0)
    assert without_names(saved(store, tmp_path / "mine.json")) == without_names(told)  # untouched
    theirs = saved(store, tmp_path / "theirs.json", "other")
    (one,) = theirs["conversations"]
    assert one["id"] != id_
    assert [message["text"] for message in one["messages"]] == [
        message["text"] for message in told["conversations"][0]["messages"]
    ]
    ids = {message["id"] for message in one["messages"]}
    assert one["head"] in ids
    assert all(message["parent"] in {None, *ids} for message in one["messages"])
    assert set(one["votes"][0]["shown"]) <= ids
    assert len(theirs["files"]) == 2
    assert not ids & {message["id"] for message in told["conversations"][0]["messages"]}
    assert taken(store, "other", tmp_path / "out.json") == Arrived(0, 0, 1)
    with store.reading() as tx:
        assert len(search.find(tx, "other", "返答", kinds=["message"], limit=9)) == 1
        assert len(search.find(tx, LOCAL, "返答", kinds=["message"], limit=9)) == 1


def test_what_was_deleted_is_not_exported_and_comes_back_from_an_export(store, tmp_path):
    id_, _ = fill(store)
    saved(store, tmp_path / "out.json")
    with store.writing() as tx:
        conversations.delete(tx, LOCAL, id_)
    assert saved(store, tmp_path / "none.json")["conversations"] == []
    assert taken(store, LOCAL, tmp_path / "out.json") == Arrived(1, 5, 0)
    assert taken(store, LOCAL, tmp_path / "out.json") == Arrived(0, 0, 1)
    (one,) = saved(store, tmp_path / "new.json")["conversations"]
    assert one["id"] != id_
    assert len(saved(store, tmp_path / "new.json")["files"]) == 2
    purge.delete_for_good(store, LOCAL, id_)
    assert taken(store, LOCAL, tmp_path / "out.json") == Arrived(1, 5, 0)
    with store.reading() as tx:
        assert conversations.get(tx, LOCAL, id_).title == "題名"


def test_an_import_that_was_cut_off_goes_on(store, tmp_path, monkeypatch):
    fill(store)
    fill(store)
    told = saved(store, tmp_path / "out.json")
    other = Store(tmp_path / "other" / "k.db")
    from kataribe.store.transfer import arriving

    real = arriving._attach

    def broken(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arriving, "_attach", broken)
    with pytest.raises(Exception, match="No space"):
        taken(other, LOCAL, tmp_path / "out.json")
    monkeypatch.setattr(arriving, "_attach", real)
    assert taken(other, LOCAL, tmp_path / "out.json") == Arrived(0, 0, 2)
    assert without_names(saved(other, tmp_path / "again.json")) == without_names(told)
    other.close()


TREES = st.lists(
    st.tuples(st.integers(0, 30), st.text(max_size=20).map(lambda text: text.replace("\0", ""))),
    max_size=15,
)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=TREES)
def test_trees_there_and_back(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("trees")
    store, other = Store(folder / "a.db"), Store(folder / "b.db")
    with store.writing() as tx:
        id_ = new_id()
        conversations.create(tx, LOCAL, id_)
        ids: list[str] = []
        for above, text in tree:
            parent = ids[above % len(ids)] if ids and above else None
            message = Message(new_id(), id_, parent, "user", "sent", text)
            ids.append(messages.add(tx, LOCAL, message).id)
            conversations.touch(tx, id_, ids[-1])
        before = messages.nodes(tx, id_)
    told = saved(store, folder / "out.json")
    assert taken(other, LOCAL, folder / "out.json") == Arrived(1, len(tree), 0)
    with other.reading() as tx:
        assert messages.nodes(tx, id_) == before
    assert without_names(saved(other, folder / "back.json")) == without_names(told)
    store.close()
    other.close()


def test_what_the_program_has_kept_comes_in_again(store, tmp_path):
    """The longest that people and models have got in, and signs that models should not say."""
    name = "m" * 256
    long = Message(new_id(), "", None, "user", "sent", "長" * 8_000_000)
    with store.writing() as tx:
        id_, _ = talk(tx)
        conversations.change(tx, LOCAL, id_, system="s" * 200_000, title="t" * 200)
        asked = {"models": [name] * 4, "attachments": []}
        for _ in range(queue.MOST_WAITING):
            queue.put(tx, id_, queue.Item(new_id(), "waits", asked))
        messages.add(tx, LOCAL, replace(long, conversation=id_))
        said = Message(new_id(), id_, long.id, "assistant", "failed", "a\0b", model=name)
        messages.add(tx, LOCAL, said)
        messages.update(tx, said.id, reasoning="\0", remark="\0" + "r" * 9_999, detail="d\0")
        messages.update(tx, said.id, failure={"code": "x", "message": f"{'y' * 3000}\0"})
        beginning = {"beginning": "b" * 200_000 + "\0", "sources": [new_id()] * 100}
        messages.update(tx, said.id, asked=beginning, finish="f" * 40)
        conversations.change(tx, LOCAL, id_, model=name)
    saved(store, tmp_path / "out.json")
    other = Store(tmp_path / "other" / "k.db")
    assert taken(other, LOCAL, tmp_path / "out.json") == Arrived(1, 2, 0)
    with other.reading() as tx:
        first, second = messages.read(tx, id_, [long.id, said.id])
        assert len(first.text) == 8_000_000
        assert (second.text, second.reasoning, second.detail) == ("ab", "", "d")
        assert second.remark == "r" * 9_999
        assert second.model == name
        assert second.asked["beginning"] == "b" * 200_000
        assert len(queue.waiting(tx, id_)) == queue.MOST_WAITING
        assert [node.length for node in messages.nodes(tx, id_)] == [8_000_000, 2]
    other.close()


def changed(told: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(told))
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = copy
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    elif callable(value):
        place[last] = value(copy)
    else:
        place[last] = value
    return copy


FIRST = "conversations.0"
FACT = {"id": "f" * 20, "text": "x", "source": None, "created_at": 1.0, "changed_at": 2.0}
HARM = {
    "no format": ("format", ..., "format"),
    "another format": ("format", "else", "format"),
    "newer": ("version", 6, "version 6"),
    "no version": ("version", ..., "version None"),
    "version as text": ("version", "1", "version 1"),
    "unknown field": ("extra", 1, "extra"),
    "preference name": ("preferences", {"Bad Name": 1}, "Bad Name"),
    "preference size": ("preferences", {"a": "x" * 70_000}, "65,536"),
    "fact without words": ("facts", [{**FACT, "text": ""}], "text"),
    "fact too long": ("facts", [{**FACT, "text": "x" * 1001}], "text"),
    "fact of blanks": ("facts", [{**FACT, "text": " "}], "needs words"),
    "fact with more": ("facts", [{**FACT, "owner": "eve"}], "owner"),
    "too many facts": ("facts", [FACT] * 2001, "facts"),
    "no list": ("conversations", {}, "conversations"),
    "conversation is a number": (FIRST, 5, "valid dictionary"),
    "bad id": (f"{FIRST}.id", "../../etc/passwd", "id"),
    "id with newline": (f"{FIRST}.id", "a" * 16 + "\n", "id"),
    "title is a number": (f"{FIRST}.title", 5, "title"),
    "title is long": (f"{FIRST}.title", "x" * 201, "title"),
    "NUL": (f"{FIRST}.title", "a\0b", "title"),
    "NUL in the system text": (f"{FIRST}.system", "a\0b", "system"),
    "pinned as text": (f"{FIRST}.pinned", "yes", "pinned"),
    "owner smuggled": (f"{FIRST}.owner", "other", "owner"),
    "sampling out of range": (f"{FIRST}.sampling", {"temperature": 99}, "temperature"),
    "asked smuggled": (f"{FIRST}.messages.1.asked", {"tool": 1}, "tool"),
    "queue models": (f"{FIRST}.queue.0.asked", {"models": 5}, "models"),
    "role": (f"{FIRST}.messages.0.role", "system", "role"),
    "state": (f"{FIRST}.messages.0.state", "writing", "state"),
    "state of the other": (f"{FIRST}.messages.0.state", "done", "user message"),
    "rating": (f"{FIRST}.messages.1.rating", 2, "rating"),
    "time": (f"{FIRST}.created_at", -1, "created_at"),
    "tokens": (f"{FIRST}.messages.1.prompt_tokens", 2**80, "prompt_tokens"),
    "head elsewhere": (f"{FIRST}.head", "0" * 20, "head"),
    "itself above": (
        f"{FIRST}.messages.0.parent",
        lambda told: told["conversations"][0]["messages"][0]["id"],
        "not above",
    ),
    "cycle": (
        f"{FIRST}.messages.0.parent",
        lambda told: told["conversations"][0]["messages"][3]["id"],
        "not above",
    ),
    "parent elsewhere": (f"{FIRST}.messages.2.parent", "0" * 20, "not above"),
    "message twice": (
        f"{FIRST}.messages.1.id",
        lambda told: told["conversations"][0]["messages"][0]["id"],
        "twice",
    ),
    "queued twice": (
        f"{FIRST}.queue.0.id",
        lambda told: told["conversations"][0]["messages"][0]["id"],
        "twice",
    ),
    "conversation twice": (
        "conversations",
        lambda told: told["conversations"] * 2,
        "twice",
    ),
    "file data": ("files.0.data", "no base64", "base64"),
    "file kind": ("files.0.data", base64.b64encode(b"%PDF-1.7").decode(), "PDF"),
    "file claim": ("files.0.media_type", "text/html", "image/png"),
    "file elsewhere": ("files.0.message", "0" * 20, "does not have"),
    "file twice": ("files", lambda told: told["files"][:1] * 2, "twice"),
    "no jobs": ("jobs", ..., "jobs"),
    "job of version 1": ("version", 1, "jobs"),
    "prompts of version 4": ("version", 4, "prompts"),
    "no prompts": ("prompts", ..., "prompts"),
    "job id": ("jobs.0.id", "../../../../etc/passwd", "id"),
    "job kind": ("jobs.0.kind", "Down load", "kind"),
    "job title": ("jobs.0.title", "x" * 201, "title"),
    "job state": ("jobs.0.state", "gone", "state"),
    "job params": ("jobs.0.params", ["model"], "params"),
    "job result": ("jobs.0.result", "all", "result"),
    "job owner smuggled": ("jobs.0.owner", "other", "owner"),
    "job wish smuggled": ("jobs.0.wanted", "cancel", "wanted"),
    "job time": ("jobs.0.created_at", "now", "created_at"),
    "job progress": ("jobs.0.done", -1, "done"),
    "job log": ("jobs.0.log.0.level", "fatal", "level"),
    "job twice": ("jobs", lambda told: told["jobs"][:1] * 2, "twice"),
    "job named as a message": (
        "jobs.0.id",
        lambda told: told["conversations"][0]["messages"][0]["id"],
        "twice",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_harmful_files_bring_nothing(store, tmp_path, harm):
    where, value, words = HARM[harm]
    fill(store)
    worked(store)
    told = changed(saved(store, tmp_path / "out.json"), where, value)
    good = Store(tmp_path / "good" / "k.db")
    (tmp_path / "bad.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        taken(good, LOCAL, tmp_path / "bad.json")
    assert caught.value.param
    empty = saved(good, tmp_path / "empty.json")
    assert (empty["conversations"], empty["preferences"], empty["jobs"]) == ([], {}, [])
    good.close()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "JSON"),
        (b"no json", "JSON"),
        (b"[]", "object"),
        (b'{"format":"kataribe-export"', "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"a":' * 100_000, "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (b'{"format":"kataribe-export","version":1,"conversations":[\n', "beginning|made_at"),
    ],
)
def test_what_is_no_export(store, tmp_path, raw, words):
    (tmp_path / "bad.json").write_bytes(raw)
    with pytest.raises(InputError, match=words):
        taken(store, LOCAL, tmp_path / "bad.json")


def test_a_file_that_was_cut_off(store, tmp_path):
    fill(store)
    fill(store)
    raw = b"".join(exported(store, LOCAL))
    other = Store(tmp_path / "other" / "k.db")
    lines = raw.splitlines(keepends=True)
    for part in (raw[:-4], b"".join(lines[:2]), b"".join(lines[:3])[:-10], raw + b"{}\n"):
        (tmp_path / "cut.json").write_bytes(part)
        with pytest.raises(InputError, match="Nothing was imported"):
            taken(other, LOCAL, tmp_path / "cut.json")
    assert saved(other, tmp_path / "empty.json")["conversations"] == []
    other.close()


def test_a_text_may_have_any_number_of_signs(store, tmp_path):
    signs = ',[{"\\' * 1_200_000
    with store.writing() as tx:
        talk(tx, signs, "ok")
    saved(store, tmp_path / "out.json")
    other = Store(tmp_path / "other" / "k.db")
    assert taken(other, LOCAL, tmp_path / "out.json").conversations == 1
    other.close()


@pytest.mark.parametrize("values", ["{}", '{"a":0}', "[]", "[[[]]]", '"ab"', "0", '""""'])
def test_what_would_fill_the_memory_is_not_parsed(store, tmp_path, monkeypatch, values):
    fill(store)
    begin = b"".join(exported(store, LOCAL)).splitlines()[0]
    monkeypatch.setattr("kataribe.store.transfer.reading.MOST_SIGNS", 1_000_000)
    many = ",".join([values] * 1_000_000)
    (tmp_path / "many.json").write_bytes(begin + b'\n{"id":[' + many.encode() + b"]}\n")
    parsed: list[int] = []

    def counting(raw: bytes, **options: Any) -> Any:
        parsed.append(len(raw))
        return from_json(raw, **options)

    monkeypatch.setattr("kataribe.store.transfer.reading.from_json", counting)
    with pytest.raises(InputError, match="line 2: it has more values than any conversation"):
        taken(store, LOCAL, tmp_path / "many.json")
    assert parsed == [len(begin) - len(b',"conversations":[') + 1]


@pytest.mark.parametrize(
    ("many", "words"), [(100_001, "100000"), (1_000_000, "Nothing was imported")]
)
def test_a_conversation_of_a_million_messages_is_refused(store, tmp_path, many, words):
    fill(store)
    told = saved(store, tmp_path / "out.json")
    message = json.dumps(told["conversations"][0]["messages"][0]) if many < 200_000 else "{}"
    before, after = json.dumps({**told["conversations"][0], "messages": []}).split('"messages": []')
    begin = json.dumps({k: told[k] for k in ("format", "version", "made_at", "made_by")})
    with (tmp_path / "many.json").open("w", encoding="utf-8") as file:
        file.write(begin[:-1] + ',"preferences":{},"conversations":[\n')
        file.write(f'{before}"messages": [{message}')
        for _ in range(many):
            file.write("," + message)
        file.write("]" + after + '\n],"files":[\n]}\n')
    with pytest.raises(InputError, match=words):
        taken(store, LOCAL, tmp_path / "many.json")


def asked(store: Store, owner: str = LOCAL) -> tuple[str, str]:
    """A prompt of two versions with two answers, one of them a reply; gives its id and that."""
    with store.writing() as tx:
        made = prompts.create(tx, owner, "挨拶", Wording("{{x}}と言う", ("x",), "最初"))
        prompts.add_version(tx, owner, made.id, Wording("Say {{x}}.", ("x",)))
        _, said = talk(tx, "Say hello.", "Hello.", owner=owner)
        used = {"name": "zero-shot", "options": {"instruction": "簡潔に"}}
        one = Answer("pico", "こんにちは", "stop", "", {"x": "hello"}, used, 5, 0, 3, 0.5)
        prompt_answers.keep(tx, owner, made.id, 1, one)
        prompt_answers.link(tx, owner, made.id, 2, said[1])
    return made.id, said[1]


def prompts_of(store: Store, owner: str = LOCAL) -> list[dict[str, Any]]:
    """Everything of a person's prompts but their ids."""
    found = []
    with store.reading() as tx:
        for prompt in prompts.listing(tx, owner):
            versions = prompts.versions(tx, owner, prompt.id)
            answers = prompt_answers.listing(tx, owner, prompt.id)
            found.append(
                {
                    "prompt": replace(prompt, id=""),
                    "versions": [replace(each, id="") for each in versions],
                    "answers": [
                        replace(each, id="", key=0, message=None, conversation=None)
                        for each in answers
                    ],
                    "linked": [each.message is not None for each in answers],
                }
            )
    return found


def test_prompts_come_along_with_versions_and_answers(store, tmp_path):
    id_, reply = asked(store)
    with store.writing() as tx:
        gone = prompts.create(tx, LOCAL, "gone", Wording("x", ()))
        prompts.delete(tx, LOCAL, gone.id)
    told = saved(store, tmp_path / "out.json")
    assert [each["name"] for each in told["prompts"]] == ["挨拶"]
    (tmp_path / "wide.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    elsewhere = Store(tmp_path / "other" / "k.db")
    assert taken(elsewhere, LOCAL, tmp_path / "out.json").prompts == 1
    assert prompts_of(elsewhere) == prompts_of(store)
    with elsewhere.reading() as tx:
        assert prompts.get(tx, LOCAL, id_).name == "挨拶"
        assert prompt_answers.listing(tx, LOCAL, id_)[0].message == reply
    for name in ("out.json", "wide.json"):  # nothing doubles
        assert taken(elsewhere, LOCAL, tmp_path / name).prompts == 0
    assert prompts_of(elsewhere) == prompts_of(store)
    elsewhere.close()


def test_prompts_of_somebody_else_come_beside_them(store, tmp_path):
    id_, _ = asked(store)
    saved(store, tmp_path / "out.json")
    before = prompts_of(store)
    with store.writing() as tx:
        person(tx, "other")
        prompts.create(tx, "other", "挨拶", Wording("Mine.", ()))
    assert taken(store, "other", tmp_path / "out.json").prompts == 1
    assert taken(store, "other", tmp_path / "out.json").prompts == 0
    assert prompts_of(store) == before
    with store.reading() as tx:
        theirs = prompts.listing(tx, "other")
        assert {each.name for each in theirs} == {"挨拶", "挨拶-2"}
        assert id_ not in {each.id for each in theirs}
    (came,) = [each for each in prompts_of(store, "other") if each["prompt"].name == "挨拶-2"]
    assert came == {**before[0], "prompt": replace(before[0]["prompt"], name="挨拶-2")}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("prompts.0.name", "a b", "cannot name a prompt"),
        ("prompts.0.id", "../../etc", "id"),
        ("prompts.0.owner", "other", "owner"),
        ("prompts.0.versions", [], "versions"),
        ("prompts.0.versions.1.number", 3, "numbered"),
        ("prompts.0.versions.0.text", "a\0b", "text"),
        ("prompts.0.versions.0.text", "x" * 200_001, "text"),
        ("prompts.0.versions.0.note", "x" * 201, "note"),
        ("prompts.0.versions.0.answers.0.technique", {"name": 5}, "technique"),
        ("prompts.0.versions.0.answers.0.given", {"x": 5}, "given"),
        ("prompts.0.versions.0.answers.0.message", "m" * 20, "half of a reply"),
        ("prompts", lambda told: told["prompts"] * 2, "twice"),
    ],
)
def test_a_prompt_made_to_harm_is_refused(store, tmp_path, path, value, words):
    asked(store)
    told = changed(saved(store, tmp_path / "out.json"), path, value)
    (tmp_path / "bad.json").write_text(json.dumps(told), encoding="utf-8")
    other = Store(tmp_path / "other" / "k.db")
    with pytest.raises(InputError, match=words):
        taken(other, LOCAL, tmp_path / "bad.json")
    assert prompts_of(other) == []
    other.close()
