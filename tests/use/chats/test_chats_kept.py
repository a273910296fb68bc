"""What is kept of a reply while it is written: in its row now and then, in its file at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kataribe.base.errors import StorageError
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import Reply
from kataribe.store import conversations, journals, messages, purge
from kataribe.store.asking import Said
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.messages import Message
from kataribe.store.news import Delta
from kataribe.use.chats import changing, running
from kataribe.use.chats.chats import Chats
from tests.use.chats.conftest import Models, Talk

WORDS = " ".join(f"word{number}" for number in range(2000))


@pytest.fixture
def slow(models: Models) -> None:
    """A model that thinks and writes for a long time, and one that only writes."""
    thinking = Reply(WORDS, reasoning="Let me think of it for a while.", pace=0.005)
    models.lms["thinks"] = ScriptedLM(lambda _: thinking, name="thinks")
    models.lms["writes"] = ScriptedLM(lambda _: Reply(WORDS, pace=0.005), name="writes")


async def ask(talk: Talk, *names: str) -> None:
    await talk.chats.say(talk.owner, talk.id, Said(new_id(), "Well?", models=names))


def replies(store: Store, talk: Talk) -> tuple[Message, ...]:
    with store.reading() as tx:
        found = [node.id for node in messages.nodes(tx, talk.id) if node.role == "assistant"]
        return messages.read(tx, talk.id, found)


def files(store: Store) -> list[Path]:
    return list(store.path.parent.glob("*-reply-*"))


async def told(talk: Talk, enough: int) -> dict[str, dict[str, str]]:
    """What a page was told by the time that every reply has said so many letters."""
    async with talk.chats.listening(talk.owner, talk.id) as (listener, joined):
        assert joined is not None
        said = {each.id: {"text": each.text, "reasoning": each.reasoning} for each in joined.live}
        while min(len(each["text"]) for each in said.values()) < enough:
            news = await listener.next(20)
            assert news is not None
            if isinstance(news.news, Delta):
                said[news.news.id][news.news.kind] += news.news.text
    return said


@pytest.mark.usefixtures("slow")
async def test_rows_grow_while_a_reply_is_written(talk: Talk, store: Store) -> None:
    await ask(talk, "thinks")

    def kept() -> tuple[int, int]:
        reply = replies(store, talk)[0]
        assert reply.state in ("waiting", "writing")
        return len(reply.reasoning), len(reply.text)

    await talk.until(lambda: kept()[0] > 0)
    await talk.until(lambda: kept()[1] > 0)
    before = kept()[1]
    await talk.until(lambda: kept()[1] > before)


@pytest.mark.usefixtures("slow")
async def test_what_a_page_was_told_outlives_the_process(
    talk: Talk, store: Store, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SAVE_SECONDS", 600.0)  # the rows know nothing of the words
    await ask(talk, "thinks", "writes")
    said = await told(talk, 200)
    copy = tmp_path / "copy"  # what is on the disk now is what a kill leaves
    shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("copy"))
    left = Store(copy / store.path.name)
    assert {reply.text for reply in replies(left, talk)} == {""}
    assert Chats(left, models, "echo").begin() == 2
    for reply, name in zip(replies(left, talk), ("thinks", "writes"), strict=True):
        assert reply.state == "interrupted"
        assert reply.model == name
        # All that was told, and perhaps what was on its way to this listener.
        assert reply.text.startswith(said[reply.id]["text"])
        assert reply.reasoning.startswith(said[reply.id]["reasoning"])
        assert WORDS.startswith(reply.text)
    assert [bool(each["reasoning"]) for each in said.values()] == [True, False]
    assert files(left) == []
    left.close()


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("how", ["stop", "delete", "end", "close"])
async def test_files_go_when_their_reply_has_ended(talk: Talk, store: Store, how: str) -> None:
    if how == "end":
        await ask(talk, "echo")
        await talk.quiet()
    else:
        await ask(talk, "thinks", "writes")
        await told(talk, 1)
        assert len(files(store)) == 2
    if how == "stop":
        await talk.chats.stop(talk.owner, talk.id)
    elif how == "delete":
        await talk.chats.delete(talk.owner, talk.id)
    elif how == "close":
        await talk.chats.close()
    await talk.until(lambda: files(store) == [])  # the row is a moment earlier


@pytest.mark.usefixtures("slow")
async def test_an_ended_reply_that_no_disk_takes_keeps_its_file(
    talk: Talk, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "RETRY_SECONDS", 0.01)
    await ask(talk, "writes")
    said = await told(talk, 50)

    def full(*_: object, **__: object) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(messages, "finish", full)
        with pytest.raises(StorageError):
            await talk.chats.stop(talk.owner, talk.id)
        reply = replies(store, talk)[0]
        kept = journals.completed(store.path, reply)["text"]
        assert kept.startswith(said[reply.id]["text"])
    await talk.until(lambda: replies(store, talk)[0].state == "stopped")
    await talk.until(lambda: files(store) == [])
    assert replies(store, talk)[0].text.startswith(kept)


@pytest.mark.usefixtures("slow")
async def test_files_of_what_is_deleted_for_good_go_at_once(talk: Talk, store: Store) -> None:
    """As another process does it, `kataribe users rm` say, while the reply is written or left."""
    await ask(talk, "thinks", "writes")
    await told(talk, 1)
    assert len(files(store)) == 2
    purge.delete_for_good(store, talk.owner, talk.id)
    assert files(store) == []
    await talk.until(lambda: not talk.chats.is_pending(talk.id))
    assert files(store) == []


async def test_files_of_deleted_messages_go_with_them(store: Store, talk: Talk) -> None:
    id_ = new_id()
    with store.writing() as tx:
        messages.add(tx, talk.owner, Message(id_, talk.id, None, "assistant", "writing"))
        messages.delete(tx, talk.id, id_)
        conversations.touch(tx, talk.id)
    journals.begin(store.path, id_, "echo")
    purge.sweep(store, at=1e11)
    assert files(store) == []


async def test_a_reply_goes_on_where_no_file_can_be_made(
    talk: Talk, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journals, "_place", lambda database, _: database / "nowhere")
    await ask(talk, "echo")
    await talk.quiet()
    assert [(reply.text, reply.state) for reply in replies(store, talk)] == [("Yes.", "done")]
    assert "cannot be kept as it is said" in caplog.text
