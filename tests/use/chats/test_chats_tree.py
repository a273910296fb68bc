"""Branches, deletion and its undoing, ratings, titles, and what a model is given."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys

import pytest

from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.base.events import Finished, TextDelta
from kataribe.base.lm import Request
from kataribe.base.messages import ImagePart, Message, text_of
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import EVERYTHING, Reply
from kataribe.store import attachments, conversations, messages, votes
from kataribe.store.asking import Retry, Said
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.news import Delta, Listed, MessageChanged
from kataribe.store.tables import LOCAL
from kataribe.use.chats.chats import Chats
from kataribe.use.chats.titles import cleaned, first_words
from tests.use.chats.conftest import Models, Talk, begin


async def ask(talk: Talk, text: str, **more: object) -> tuple[str, str]:
    """Says something and waits; gives the ids of question and reply."""
    id_ = new_id()
    became = await talk.chats.say(LOCAL, talk.id, Said(id_, text, **more))  # type: ignore[arg-type]
    await talk.quiet()
    return became.id, became.replies[0]


def roles(request: Request) -> list[tuple[str, str]]:
    return [(m.role, text_of(m)) for m in request.prompt if isinstance(m, Message)]


async def test_an_edited_question_begins_a_branch(talk: Talk) -> None:
    first, reply = await ask(talk, "first")
    second, _ = await ask(talk, "second")
    other, _ = await ask(talk, "second, otherwise", parent=reply)
    top, _ = await ask(talk, "anew", root=True)
    parents = {m.id: m.parent for m in talk.every()}
    assert parents[second] == parents[other] == reply
    assert parents[first] is parents[top] is None
    assert [m.text for m in talk.path()] == ["anew", "Yes."]
    shown = await talk.chats.change(LOCAL, talk.id, head=second)
    assert shown.head is not None
    assert [m.text for m in talk.path()] == ["first", "Yes.", "second", "Yes."]


async def test_again_stands_beside_the_earlier_reply(talk: Talk, models: Models) -> None:
    question, reply = await ask(talk, "first")
    became = await talk.chats.again(LOCAL, talk.id, Retry(new_id(), reply))
    await talk.quiet()
    assert {m.id for m in talk.every() if m.parent == question} == {reply, became.id}
    asked = models.lms["echo"].requests[-1]
    assert roles(asked) == [("user", "first")]


async def test_a_reply_goes_on_from_given_words(talk: Talk, models: Models) -> None:
    models.lms["echo"] = ScriptedLM(" and more.", name="echo", repeat=True)
    question, _ = await ask(talk, "first")
    became = await talk.chats.again(
        LOCAL, talk.id, Retry(new_id(), question, beginning="Just this")
    )
    await talk.quiet()
    assert talk.path()[-1].text == "Just this and more."
    asked = models.lms["echo"].requests[-1]
    assert asked.continue_last
    assert roles(asked)[-1] == ("assistant", "Just this")
    assert became.replies == (became.id,)


async def test_what_a_model_is_given(talk: Talk, models: Models) -> None:
    await talk.chats.change(LOCAL, talk.id, system="Be brief.")
    models.lms["echo"] = ScriptedLM([Reply(""), "Yes.", "Yes."], name="echo")
    with talk.chats.store.writing() as tx:
        note = attachments.keep(tx, LOCAL, "notes.md", "# 見出し\n```py\n1\n```\n".encode())
    await ask(talk, "an empty reply follows")
    await ask(talk, "and now?", attachments=(note.id,))
    assert roles(models.lms["echo"].requests[-1]) == [
        ("system", "Be brief."),
        (
            "user",
            "an empty reply follows\n\nnotes.md:\n````\n# 見出し\n```py\n1\n```\n````\n\nand now?",
        ),
    ]


async def test_replies_are_drawn_as_their_conversation_has_it(talk: Talk, models: Models) -> None:
    await talk.chats.change(LOCAL, talk.id, sampling={"temperature": 0.0, "seed": 7}, system="A.")
    _, reply = await ask(talk, "first")
    await talk.chats.again(LOCAL, talk.id, Retry(new_id(), reply, sampling={"temperature": 1.5}))
    await talk.quiet()
    await ask(talk, "second", sampling={"top_k": 3})
    drawn = [
        (r.sampling.temperature, r.sampling.top_k, r.seed) for r in models.lms["echo"].requests
    ]
    assert drawn == [(0.0, None, 7), (1.5, None, None), (None, 3, None)]
    await talk.chats.change(LOCAL, talk.id, system="B.")
    given = await talk.chats.given(LOCAL, talk.id, reply)
    assert roles(given.request)[0] == ("system", "A.")


async def test_a_reply_without_a_system_text_is_shown_without_one(talk: Talk) -> None:
    _, reply = await ask(talk, "first")
    other = await talk.chats.again(LOCAL, talk.id, Retry(new_id(), reply))
    await talk.quiet()
    await talk.chats.change(LOCAL, talk.id, system="Later.")
    for id_ in (reply, other.id):
        given = await talk.chats.given(LOCAL, talk.id, id_)
        assert roles(given.request) == [("user", "first")]
    with talk.chats.store.writing() as tx:  # as it was kept before
        messages.update(tx, reply, asked={})
    given = await talk.chats.given(LOCAL, talk.id, reply)
    assert roles(given.request)[0] == ("system", "Later.")


FENCES = """
from kataribe.use.chats.prompt import _file
ticks = "`" * 2**20
assert _file("a.txt", ticks) == f"a.txt:\\n{ticks}`\\n{ticks}\\n{ticks}`"
"""


def test_a_file_of_fences_does_not_take_for_ever() -> None:
    # A process of its own: what does not end could not be stopped in this one.
    subprocess.run([sys.executable, "-c", FENCES], check=True, timeout=120)


async def test_an_image_goes_to_models_that_see_and_is_refused_by_others(
    talk: Talk, models: Models
) -> None:
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63"
        "f8cfc0f01f0005000fff5d6b60d30000000049454e44ae426082"
    )
    files = []
    for name in ("a.png", "b.png"):
        with talk.chats.store.writing() as tx:
            files.append(attachments.keep(tx, LOCAL, name, png).id)
    await ask(talk, "What is it?", attachments=(files[0],))
    parts = models.lms["echo"].requests[-1].prompt[-1].parts  # type: ignore[union-attr]
    assert [part.data for part in parts if isinstance(part, ImagePart)] == [png]
    blind = dataclasses.replace(EVERYTHING, images=False)
    models.lms["blind"] = ScriptedLM("No.", name="blind", capabilities=blind)
    await ask(talk, "And this?", attachments=(files[1],), models=("blind",))
    failed = talk.path()[-1]
    assert failed.state == "failed"
    assert failed.failure is not None
    assert failed.failure["code"] == "unsupported"


async def test_a_file_stands_beside_one_message(talk: Talk, models: Models) -> None:
    models.lms["echo"] = ScriptedLM(lambda _: Reply("a b", pace=0.3), name="echo")
    with talk.chats.store.writing() as tx:
        note = attachments.keep(tx, LOCAL, "a.txt", b"words").id
    await talk.chats.say(LOCAL, talk.id, Said(new_id(), "first"))
    await talk.chats.say(LOCAL, talk.id, Said(new_id(), "second", attachments=(note,)))
    with pytest.raises(NotFoundError, match="no unsent attachment"):
        await talk.chats.say(LOCAL, talk.id, Said(new_id(), "third", attachments=(note,)))


async def test_half_characters_and_nuls_of_a_model_do_no_harm(talk: Talk, models: Models) -> None:
    models.lms["echo"] = Halves("x", name="echo")
    await ask(talk, "go")
    assert (talk.path()[-1].text, talk.path()[-1].state) == ("ab😀 c", "done")


class Halves(ScriptedLM):
    """Cuts characters in two, as the JSON of some servers does."""

    async def stream(self, request: Request):  # type: ignore[override]
        for piece in ("a\0b", "\ud83d", "\ude00", " c\ud83d"):
            yield TextDelta(piece)
        async for event in super().stream(request):
            if isinstance(event, Finished):
                yield event


class Broken(ScriptedLM):
    """Fails in a way that nobody foresaw."""

    async def stream(self, request: Request):  # type: ignore[override]
        async for event in super().stream(request):
            yield event
            raise self.error  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ZeroDivisionError("?"), asyncio.CancelledError()])
async def test_no_reply_stays_pending_for_ever(
    talk: Talk, models: Models, error: BaseException
) -> None:
    models.lms["echo"] = Broken("one two three", name="echo")
    models.lms["echo"].error = error  # type: ignore[attr-defined]
    await ask(talk, "go")
    reply = talk.path()[-1]
    assert reply.state == "failed"
    assert reply.failure is not None
    assert "log has the details" in reply.failure["message"]


async def test_a_person_who_is_deleted_gets_no_more_words(talk: Talk, models: Models) -> None:
    models.lms["echo"] = ScriptedLM(lambda _: Reply("a " * 400, pace=0.02), name="echo")
    await talk.chats.say(LOCAL, talk.id, Said(new_id(), "go"))
    await talk.until(lambda: models.running == 1)
    with talk.chats.store.writing() as tx:
        tx.exec_driver_sql("DELETE FROM people")
    await talk.until(lambda: models.running == 0)
    assert not talk.chats.is_pending(talk.id)


async def test_a_rating_takes_no_words_back(talk: Talk, models: Models) -> None:
    models.lms["echo"] = ScriptedLM(lambda _: Reply("a b c d e f", pace=0.1), name="echo")
    became = await talk.chats.say(LOCAL, talk.id, Said(new_id(), "go"))
    await asyncio.sleep(0.35)
    async with talk.chats.listening(LOCAL, talk.id) as (listener, joined):
        assert joined is not None
        await talk.chats.rate(LOCAL, talk.id, became.replies[0], 1, "good")
        while (told := await listener.next(5)) is not None:
            if isinstance(told.news, MessageChanged):
                break
        assert told is not None
        assert isinstance(told.news, MessageChanged)
        assert told.news.message.text.startswith(joined.live[0].text)
        assert told.news.message.rating == 1
    await talk.quiet()
    assert talk.path()[-1].rating == 1


async def test_somebody_elses_file_cannot_be_attached(talk: Talk) -> None:
    with pytest.raises(NotFoundError, match="no unsent attachment"):
        await ask(talk, "mine?", attachments=("x" * 20,))
    assert talk.every() == ()


async def test_deleted_messages_come_back(talk: Talk) -> None:
    _, reply = await ask(talk, "first")
    second, _ = await ask(talk, "second")
    await ask(talk, "third")
    before = [m.id for m in talk.path()]
    await talk.chats.delete_message(LOCAL, talk.id, second)
    assert [m.id for m in talk.path()] == before[:2]
    with pytest.raises(NotFoundError, match="may have been deleted"):
        await ask(talk, "below", parent=second)
    await talk.chats.restore_message(LOCAL, talk.id, second)
    assert [m.id for m in talk.path()] == before
    await talk.chats.delete_message(LOCAL, talk.id, before[0])
    assert talk.path() == ()
    assert reply not in [m.id for m in talk.every()]


async def test_two_deletions_at_one_time_come_back_apart(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = await ask(talk, "first")
    second, _ = await ask(talk, "second", root=True)
    monkeypatch.setattr("kataribe.store.messages.now", lambda: 1_000.0)
    await talk.chats.delete_message(LOCAL, talk.id, first)
    await talk.chats.delete_message(LOCAL, talk.id, second)
    await talk.chats.restore_message(LOCAL, talk.id, first)
    assert [m.text for m in talk.every()] == ["first", "Yes."]


async def test_a_conversation_is_deleted_while_a_reply_runs(talk: Talk, models: Models) -> None:
    models.lms["echo"] = ScriptedLM(lambda _: Reply("a b c d", pace=0.1), name="echo")
    await talk.chats.say(LOCAL, talk.id, Said(new_id(), "first"))
    await talk.chats.say(LOCAL, talk.id, Said(new_id(), "waits"))
    await asyncio.sleep(0.15)
    await talk.chats.delete(LOCAL, talk.id)
    assert models.running == 0
    for act in (
        talk.chats.say(LOCAL, talk.id, Said(new_id(), "too late")),
        talk.chats.stop(LOCAL, talk.id),
        talk.chats.steer(LOCAL, talk.id),
        talk.chats.change(LOCAL, talk.id, title="x"),
    ):
        with pytest.raises(NotFoundError, match="may have been deleted elsewhere"):
            await act
    await talk.chats.restore(LOCAL, talk.id)
    assert [m.state for m in talk.path()] == ["sent", "stopped"]
    assert [item.text for item in talk.waiting()] == ["waits"]


async def test_a_page_that_joins_gets_the_words_so_far_and_all_that_follow(
    talk: Talk, models: Models
) -> None:
    words = " ".join(f"語{number}😀" for number in range(300))
    models.lms["echo"] = ScriptedLM(lambda _: Reply(words, pace=0.01), name="echo")
    became = await talk.chats.say(LOCAL, talk.id, Said(new_id(), "go"))
    for _ in range(3):  # a page that reloads three times
        await asyncio.sleep(0.07)
        async with talk.chats.listening(LOCAL, talk.id) as (listener, joined):
            assert joined is not None
            text = joined.live[0].text
            for _ in range(4):
                told = await listener.next(5)
                assert told is not None
                if isinstance(told.news, Delta):
                    assert told.news.at == len(text.encode("utf-16-le")) // 2
                    text += told.news.text
                    assert told.news.tokens == len(text.encode())  # a byte is a token here
            assert words.startswith(text)
    async with talk.chats.listening(LOCAL, talk.id) as (listener, _):
        while True:
            told = await listener.next(5)
            assert told is not None
            if isinstance(told.news, MessageChanged) and told.news.message.id == became.replies[0]:
                assert (told.news.message.text, told.news.message.state) == (words, "done")
                break


async def test_news_reach_only_the_pages_of_their_owner(store: Store, models: Models) -> None:
    chats = Chats(store, models, "echo", titles=False)
    talk = begin(chats)
    async with chats.listening("somebody", None) as (other, _):
        async with chats.listening(LOCAL, None) as (mine, _):
            await ask(talk, "secret")
            told = await mine.next(5)
            assert told is not None
            assert isinstance(told.news, Listed)
        with pytest.raises(TimeoutError):
            await other.next(0.05)
    with pytest.raises(NotFoundError):
        async with chats.listening("somebody", talk.id):
            pass
    await chats.close()


async def test_a_page_that_does_not_read_is_cut_off(talk: Talk) -> None:
    async with talk.chats.listening(LOCAL, talk.id) as (listener, _):
        for _ in range(2100):
            talk.chats.hub.tell(LOCAL, talk.id, Delta("x", "text", 0, "y"))
        assert listener.cut_off
        count = 0
        while await listener.next(1) is not None:
            count += 1
        assert count == 2000


async def test_votes_and_ratings(store: Store) -> None:
    models = Models({name: ScriptedLM(name, name=name) for name in ("x", "y")})
    chats = Chats(store, models, "x", titles=False)
    talk = begin(chats)
    became = await chats.say(LOCAL, talk.id, Said(new_id(), "Who?", models=("x", "y")))
    await talk.quiet()
    question, first = talk.path()
    assert first.group is not None
    rated = await chats.rate(LOCAL, talk.id, first.id, -1, "wrong")
    assert (rated.rating, rated.remark) == (-1, "wrong")
    with pytest.raises(InputError, match="Only replies are rated"):
        await chats.rate(LOCAL, talk.id, question.id, 1, "")
    x, y = became.replies
    good = votes.Vote(new_id(), first.group, y, (y, x), blind=True)
    bad = (
        (dataclasses.replace(good, shown=(x,)), "shown names 1 replies"),
        (dataclasses.replace(good, shown=(x, x)), "shown names 2 replies"),
        (dataclasses.replace(good, winner="z" * 20), "no reply of this group"),
        (dataclasses.replace(good, group=new_id()), "shown names 2 replies"),
    )
    for vote, why in bad:
        with store.writing() as tx, pytest.raises(InputError, match=why):
            votes.keep(tx, LOCAL, talk.id, vote)
    with store.writing() as tx:
        votes.keep(tx, LOCAL, talk.id, good)
        votes.keep(tx, LOCAL, talk.id, dataclasses.replace(good, id=new_id(), winner=None))
        count = tx.exec_driver_sql("SELECT count(*), max(winner) FROM votes").one()
    assert tuple(count) == (1, None)
    await chats.close()


async def test_models_title_conversations_once(store: Store) -> None:
    models = Models(
        {"echo": ScriptedLM(["A reply.", 'Title: "Tea in Kyoto".', "More."], name="echo")}
    )
    chats = Chats(store, models, "echo")
    talk = begin(chats)

    def title() -> tuple[str, str | None]:
        with store.reading() as tx:
            found = conversations.get(tx, LOCAL, talk.id)
        return found.title, found.titled_by

    await chats.say(LOCAL, talk.id, Said(new_id(), "Where do they grow the best tea?"))
    await talk.until(lambda: title()[1] is not None or not chats.is_pending(talk.id))
    await talk.until(lambda: title() == ("Tea in Kyoto", "model"))
    await chats.change(LOCAL, talk.id, title="Mine", titled_by="person")
    await ask(talk, "again")
    assert title() == ("Mine", "person")
    await chats.close()


async def test_the_model_behind_an_assistant_titles_alone(store: Store) -> None:
    assistant = ScriptedLM(["A reply.", "Another."], name="helper")
    model = ScriptedLM(["Tea in Kyoto"], name="model")
    models = Models({"helper": assistant, "model": model})
    chats = Chats(store, models, "helper", plain={"helper": "model"}.__getitem__)
    talk = begin(chats)
    await chats.say(LOCAL, talk.id, Said(new_id(), "Where do they grow the best tea?"))

    def title() -> tuple[str, str | None]:
        with store.reading() as tx:
            found = conversations.get(tx, LOCAL, talk.id)
        return found.title, found.titled_by

    await talk.until(lambda: title() == ("Tea in Kyoto", "model"))
    assert (len(assistant.requests), len(model.requests)) == (1, 1)
    assert list(model.requests[0].tools) == []
    await chats.close()


async def test_where_no_model_is_behind_a_name_the_first_words_are_the_title(store: Store) -> None:
    assistant = ScriptedLM(["A reply."], name="helper")
    asked: list[str] = []
    chats = Chats(store, Models({"helper": assistant}), "helper", plain=asked.append)
    talk = begin(chats)
    await chats.say(LOCAL, talk.id, Said(new_id(), "Where do they grow the best tea?"))
    await talk.until(lambda: asked == ["helper"])
    await talk.quiet()
    await chats.close()
    with store.reading() as tx:
        found = conversations.get(tx, LOCAL, talk.id)
    assert (found.title, found.titled_by) == ("Where do they grow the best tea?", None)
    assert len(assistant.requests) == 1


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ('Title: "Tea"\nmore', "Tea"),
        ("「京都のお茶」", "京都のお茶"),
        ("タイトル：お茶の話。", "お茶の話"),
        ("", None),
        ("\n\n", None),
        ("*", None),
        ("x" * 200, "x" * 60),
        (
            "The capital of Japan is Tokyo.  Japan is a country in East",
            "The capital of Japan is Tokyo",
        ),
        ("東京の天気。晴れです", "東京の天気"),
        ("To bake without yeast, you need to use a dough that contains", None),
        ("Give each message a short title of two", None),
        ("tallest mountain in Africa", None),
    ],
)
def test_titles_are_cleaned(said: str, title: str | None) -> None:
    assert cleaned(said) == title


def test_the_first_words_stand_until_there_is_a_title() -> None:
    assert first_words("  one\n two ") == "one two"
    assert first_words("あ" * 100) == "あ" * 59 + "…"


async def test_a_full_disk_is_told_and_the_words_are_kept_when_there_is_room(
    talk: Talk, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kataribe.use.chats.changing.RETRY_SECONDS", 0.05)
    long = "a b " + "c" * 300_000
    models.lms["echo"] = ScriptedLM(lambda _: Reply(long, pace=0.05), name="echo")
    became = await talk.chats.say(LOCAL, talk.id, Said(new_id(), "first"))
    store = talk.chats.store
    async with talk.chats.listening(LOCAL, talk.id) as (listener, _):
        with store.reading() as tx:
            pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        limit(store, pages)
        while True:
            told = await listener.next(5)
            assert told is not None
            if isinstance(told.news, MessageChanged):
                break
        assert told.news.message.state == "failed"
        assert told.news.message.text == long
        assert "disk" in str(told.news.message.failure)
        with pytest.raises(StorageError, match="nothing of this change was kept"):
            await talk.chats.say(LOCAL, talk.id, Said(new_id(), "x" * 100_000))
        limit(store, 2**30)
        while not (isinstance(told.news, MessageChanged) and told.news.message.state == "done"):
            told = await listener.next(5)
            assert told is not None
    kept = {m.id: m for m in talk.every()}
    assert (kept[became.replies[0]].text, kept[became.replies[0]].state) == (long, "done")
    assert len(kept) == 2


@pytest.mark.parametrize("by_hand", [False, True], ids=["by itself", "stopped"])
async def test_the_queue_goes_on_when_a_reply_is_kept_later(
    talk: Talk, models: Models, monkeypatch: pytest.MonkeyPatch, by_hand: bool
) -> None:
    monkeypatch.setattr("kataribe.use.chats.changing.RETRY_SECONDS", 0.05)
    long = "a b " + "c" * 300_000
    replies = [Reply(long, pace=0.05), Reply("Yes.")]
    models.lms["echo"] = ScriptedLM(replies, name="echo")
    became = await talk.chats.say(LOCAL, talk.id, Said(new_id(), "first"))
    await talk.chats.say(LOCAL, talk.id, Said(new_id(), "second", root=True))
    store = talk.chats.store
    with store.reading() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
    limit(store, pages)
    await talk.until(lambda: not talk.chats.is_pending(talk.id))
    assert [item.text for item in talk.waiting()] == ["second"]
    if by_hand:
        assert await talk.chats.stop(LOCAL, talk.id) == ()
    limit(store, 2**30)
    await talk.until(lambda: {m.id: m.state for m in talk.every()}[became.replies[0]] == "done")
    if by_hand:
        await asyncio.sleep(0.2)
        assert [item.text for item in talk.waiting()] == ["second"]
    else:
        await talk.until(lambda: not talk.waiting())
        await talk.quiet()
        assert [m.text for m in talk.path()] == ["second", "Yes."]


def limit(store: Store, pages: int) -> None:
    """The disk has room for so many pages; every connection is told."""
    store._engine.dispose()
    from sqlalchemy import event

    def tell(connection: object, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

    event.listen(store._engine, "connect", tell)


def test_a_missing_message_is_named(store: Store) -> None:
    with store.reading() as tx, pytest.raises(NotFoundError, match="no message 'nothing'"):
        messages.get(tx, "x", "nothing")
