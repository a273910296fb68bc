"""Bursts: nothing that a person says is lost, doubled or reordered, whatever happens when."""

from __future__ import annotations

import asyncio

import pytest

from kataribe.base.errors import InputError, KataribeError, NotFoundError
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import Reply
from kataribe.store.asking import Retry, Said
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.tables import LOCAL
from kataribe.use.chats.chats import Chats
from tests.use.chats.conftest import Gated, Models, Talk, begin


def slow(text: str = "one two three four five six", pace: float = 0.02) -> ScriptedLM:
    return ScriptedLM(lambda _: Reply(text, pace=pace), name="echo")


async def said(talk: Talk, text: str, **more: object) -> str:
    id_ = new_id()
    await talk.chats.say(LOCAL, talk.id, Said(id_, text, **more))  # type: ignore[arg-type]
    return id_


async def test_a_message_is_answered(talk: Talk) -> None:
    became = await talk.chats.say(LOCAL, talk.id, Said(new_id(), "Hello"))
    assert became.state == "sent"
    assert len(became.replies) == 1
    await talk.quiet()
    question, reply = talk.path()
    assert (question.text, reply.text, reply.state) == ("Hello", "Yes.", "done")
    assert reply.parent == question.id
    assert reply.completion_tokens
    assert reply.took is not None


async def test_what_is_said_meanwhile_waits_in_order(talk: Talk, models: Models) -> None:
    models.lms["echo"] = slow()
    await said(talk, "a")
    for text in "bcd":
        became = await talk.chats.say(LOCAL, talk.id, Said(new_id(), text))
        assert became.state == "queued"
    assert [item.text for item in talk.waiting()] == ["b", "c", "d"]
    await talk.until(lambda: not talk.waiting())
    await talk.quiet()
    assert [m.text for m in talk.path() if m.role == "user"] == ["a", "b", "c", "d"]
    assert models.most == 1


async def test_the_same_id_acts_once(talk: Talk, models: Models) -> None:
    models.lms["echo"] = slow()
    first, second = Said(new_id(), "a"), Said(new_id(), "b")
    answers = await asyncio.gather(*(talk.chats.say(LOCAL, talk.id, first) for _ in range(5)))
    assert {answer.id for answer in answers} == {first.id}
    assert {answer.replies for answer in answers} == {answers[0].replies}
    for _ in range(3):
        assert (await talk.chats.say(LOCAL, talk.id, second)).state == "queued"
    await talk.until(lambda: not talk.waiting())
    await talk.quiet()
    assert [m.text for m in talk.every() if m.role == "user"] == ["a", "b"]
    again = await talk.chats.say(LOCAL, talk.id, second)
    assert (again.state, len(again.replies)) == ("sent", 1)


async def test_edit_withdraw_and_merge(talk: Talk, models: Models) -> None:
    models.lms["echo"] = slow(pace=0.1)
    await said(talk, "a")
    b, c, d, e = [await said(talk, text) for text in "bcde"]
    await talk.chats.edit(LOCAL, talk.id, c, "C")
    await talk.chats.withdraw(LOCAL, talk.id, d)
    items = await talk.chats.merge(LOCAL, talk.id, e, "previous")
    assert [(item.id, item.text, item.sources) for item in items] == [
        (b, "b", ()),
        (c, "C\n\ne", (e,)),
    ]
    with pytest.raises(InputError, match="no previous message"):
        await talk.chats.merge(LOCAL, talk.id, b, "previous")
    with pytest.raises(NotFoundError, match="withdrawn"):
        await talk.chats.withdraw(LOCAL, talk.id, d)
    with pytest.raises(InputError, match="nothing but spaces"):
        await talk.chats.edit(LOCAL, talk.id, b, " \u3000\n")
    items = await talk.chats.merge(LOCAL, talk.id, b, "next")
    assert [(item.text, item.sources) for item in items] == [("b\n\nC\n\ne", (c, e))]


async def test_steering_stops_and_answers_everything_together(talk: Talk, models: Models) -> None:
    models.lms["echo"] = slow(pace=0.05)
    await said(talk, "a")
    await said(talk, "b")
    await talk.until(lambda: models.running == 1)
    await asyncio.sleep(0.12)
    models.lms["echo"] = ScriptedLM("Done.", name="echo", repeat=True)
    last = await talk.chats.say(LOCAL, talk.id, Said(new_id(), "c", when="steer"))
    assert last.state == "sent"
    await talk.quiet()
    question, stopped, turn, reply = talk.path()
    assert (question.text, stopped.state) == ("a", "stopped")
    assert stopped.text.startswith("one ")
    assert (turn.text, reply.text, reply.state) == ("b\n\nc", "Done.", "done")
    assert talk.waiting() == ()


async def test_now_takes_the_place_of_what_runs(talk: Talk, models: Models) -> None:
    models.lms["echo"] = slow(pace=0.05)
    await said(talk, "a")
    await said(talk, "b")
    c = await said(talk, "c")
    items = await talk.chats.now(LOCAL, talk.id, c)
    assert [item.text for item in items] == ["b"]
    await talk.until(lambda: not talk.waiting())
    await talk.quiet()
    assert [m.text for m in talk.path() if m.role == "user"] == ["a", "c", "b"]
    assert [m.state for m in talk.path() if m.role == "assistant"] == ["stopped", "done", "done"]


async def test_after_a_stop_by_hand_the_queue_waits_for_the_person(
    talk: Talk, models: Models
) -> None:
    models.lms["echo"] = slow(pace=0.05)
    await said(talk, "a")
    await said(talk, "b")
    stopped = await talk.chats.stop(LOCAL, talk.id)
    assert len(stopped) == 1
    await asyncio.sleep(0.2)
    assert [item.text for item in talk.waiting()] == ["b"]
    assert [m.state for m in talk.path()] == ["sent", "stopped"]
    await said(talk, "c")  # goes behind what waits
    await talk.until(lambda: not talk.waiting())
    await talk.quiet()
    assert [m.text for m in talk.path() if m.role == "user"] == ["a", "b", "c"]


async def test_stopping_what_has_ended_does_not_hold_the_queue(talk: Talk, models: Models) -> None:
    first = await talk.chats.say(LOCAL, talk.id, Said(new_id(), "a"))
    await talk.quiet()
    models.lms["echo"] = slow(pace=0.05)
    await said(talk, "b")
    await said(talk, "c")
    assert await talk.chats.stop(LOCAL, talk.id, first.replies[0]) == ()
    await talk.until(lambda: not talk.waiting())
    await talk.quiet()
    assert [m.text for m in talk.path() if m.role == "user"] == ["a", "b", "c"]


async def test_after_a_failure_the_queue_waits(talk: Talk, models: Models) -> None:
    models.lms["echo"] = ScriptedLM(
        [Reply("half a rep", pace=0.02, error=KataribeError("gone"), fail_after=2), "fine", "fine"],
        name="echo",
    )
    await said(talk, "a")
    await said(talk, "b")
    await talk.quiet()
    failed = talk.path()[-1]
    assert (failed.state, failed.failure) == (
        "failed",
        {"code": "internal_error", "message": "gone"},
    )
    assert [item.text for item in talk.waiting()] == ["b"]
    await talk.chats.again(LOCAL, talk.id, Retry(new_id(), failed.id))
    await talk.until(lambda: not talk.waiting())
    await talk.quiet()
    assert [m.text for m in talk.path()] == ["a", "fine", "b", "fine"]


async def test_a_model_that_is_not_there_fails_the_reply_and_keeps_the_question(talk: Talk) -> None:
    await said(talk, "a", models=("nobody",))
    await talk.quiet()
    question, reply = talk.path()
    assert question.text == "a"
    assert reply.state == "failed"
    assert reply.failure is not None
    assert "nobody" in reply.failure["message"]


async def test_several_models_answer_side_by_side(store: Store) -> None:
    models = Models({name: ScriptedLM(name.upper(), name=name) for name in ("x", "y", "z")})
    chats = Chats(store, models, "x", titles=False)
    talk = begin(chats)
    became = await chats.say(LOCAL, talk.id, Said(new_id(), "Who?", models=("x", "y", "z")))
    assert len(became.replies) == 3
    await talk.quiet()
    replies = [m for m in talk.every() if m.role == "assistant"]
    assert [(r.model, r.text) for r in replies] == [("x", "X"), ("y", "Y"), ("z", "Z")]
    assert len({r.group for r in replies}) == 1
    assert replies[0].group is not None
    await chats.close()


BAD = [
    ("", "nothing but spaces"),
    ("   \u3000\n\t", "nothing but spaces"),
    ("a\0b", "NUL"),
    (
        "x" * 2_000_001,
        "2,000,001 characters; at most 2,000,000 .* Shorten it, or send it in several messages",
    ),
]


@pytest.mark.parametrize(("text", "why"), BAD)
async def test_what_cannot_be_said_changes_nothing(talk: Talk, text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        await said(talk, text)
    assert talk.every() == ()


@pytest.mark.parametrize("when", ["now", "steer"])
@pytest.mark.parametrize(
    "bad",
    [
        {"text": " "},
        {"text": "a\0"},
        {"text": "x", "parent": "n" * 20},
        {"text": "x", "attachments": ("n" * 20,)},
    ],
)
async def test_what_is_refused_stops_nothing(
    talk: Talk, models: Models, when: str, bad: dict
) -> None:
    models.lms["echo"] = slow(pace=0.05)
    await said(talk, "a")
    await said(talk, "b")
    with pytest.raises((InputError, NotFoundError)):
        await said(talk, **{"when": when, **bad})
    await talk.until(lambda: not talk.waiting())
    await talk.quiet()
    assert [m.state for m in talk.path()] == ["sent", "done", "sent", "done"]


async def test_what_was_sent_is_told_by_what_it_became(talk: Talk, models: Models) -> None:
    models.lms["echo"] = slow(pace=0.2)
    await said(talk, "a")
    b, c, d = Said(new_id(), "b"), Said(new_id(), "c"), Said(new_id(), "d")
    for each in (b, c, d):
        await talk.chats.say(LOCAL, talk.id, each)
    await talk.chats.merge(LOCAL, talk.id, c.id, "previous")
    again = await talk.chats.say(LOCAL, talk.id, c)
    assert (again.id, again.state) == (b.id, "queued")
    await talk.chats.withdraw(LOCAL, talk.id, d.id)
    again = await talk.chats.say(LOCAL, talk.id, d)
    assert (again.state, again.replies) == ("withdrawn", ())
    models.lms["echo"] = ScriptedLM("Done.", name="echo", repeat=True)
    await talk.chats.steer(LOCAL, talk.id)
    await talk.quiet()
    again = await talk.chats.say(LOCAL, talk.id, c)
    assert (again.id, again.state, len(again.replies)) == (b.id, "sent", 1)


async def test_a_taken_id_is_refused_by_name(talk: Talk, models: Models) -> None:
    models.lms["echo"] = slow(pace=0.2)
    became = await talk.chats.say(LOCAL, talk.id, Said(new_id(), "a"))
    waits = await said(talk, "b")
    await talk.chats.stop(LOCAL, talk.id)
    for taken in (became.replies[0], waits):
        other = begin(talk.chats)
        with pytest.raises(InputError, match="another"):
            await talk.chats.say(LOCAL, other.id, Said(taken, "x"))
    with pytest.raises(InputError, match="There is a message"):
        await talk.chats.again(LOCAL, talk.id, Retry(became.replies[0], became.id))
    other = begin(talk.chats)
    asked = await talk.chats.say(LOCAL, other.id, Said(new_id(), "x"))
    with pytest.raises(InputError, match="was sent to another conversation"):
        await talk.chats.again(LOCAL, other.id, Retry(became.id, asked.id))


async def test_a_full_queue_goes_on_with_what_is_said_next(talk: Talk, models: Models) -> None:
    models.lms["echo"] = slow(pace=5)
    await said(talk, "first")
    for number in range(100):
        await said(talk, str(number))
    await talk.chats.stop(LOCAL, talk.id)
    await said(talk, "last")
    assert [item.text for item in talk.waiting()][-1] == "last"
    assert len(talk.waiting()) == 100
    await talk.chats.stop(LOCAL, talk.id)


async def test_merged_turns_have_an_end(talk: Talk, models: Models) -> None:
    models.lms["echo"] = Gated("echo")  # it lasts until it is stopped
    await said(talk, "first")
    for _ in range(5):
        await said(talk, "x" * 1_900_000)
    with pytest.raises(InputError, match="9,500,000 characters; one turn has at most 8,000,000"):
        await talk.chats.steer(LOCAL, talk.id)
    with pytest.raises(InputError, match="one turn has at most"):
        await said(talk, "y", when="steer")
    assert talk.chats.is_pending(talk.id)
    await talk.chats.stop(LOCAL, talk.id)


async def test_a_million_combining_characters_are_kept_as_they_are(talk: Talk) -> None:
    text = "e" + "\u0301" * 1_000_000
    await said(talk, text)
    await talk.quiet()
    assert talk.path()[0].text == text


async def test_too_many_waiting_messages_are_refused_with_the_limit(
    talk: Talk, models: Models
) -> None:
    models.lms["echo"] = slow(pace=5)
    await said(talk, "first")
    for number in range(100):
        await said(talk, str(number))
    with pytest.raises(InputError, match="100 messages wait already"):
        await said(talk, "one too many")
    assert len(talk.waiting()) == 100
