"""Consent to calls of tools: the reply waits, goes on exactly there, and outlives the process."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kataribe.base.errors import InputError, KataribeError, NotFoundError
from kataribe.base.messages import ToolCallPart
from kataribe.base.tool_calls import call_tool
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.store import conversations, messages, search
from kataribe.store.asking import Answered, Said
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.messages import Message
from kataribe.store.news import ConsentTold, MessageChanged
from kataribe.store.tables import LOCAL
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.tools.approvals import Approval
from kataribe.use.agents.turns import FolderTurns
from kataribe.use.chats.chats import Chats
from kataribe.use.chats.consent import TOO_LATE, as_messages, waiting_in
from tests.use.agents.parts import Plain, calls, listen, results
from tests.use.chats.conftest import Models, Talk, begin

ANN = ("send", {"to": "ann"})
BOB = ("send", {"to": "bob"})


@pytest.fixture
async def talk(store: Store, models: Models, tmp_path: Path) -> AsyncIterator[Talk]:
    turns = FolderTurns(tmp_path / "turns")
    chats = Chats(store, models, "echo", titles=False, forget=turns.forget_call)
    yield begin(chats)
    await chats.close()


def asks(_: ToolCallPart) -> Approval:
    return "ask"


@dataclass
class Sender:
    """An assistant whose tool runs only with consent, with its turns in a folder."""

    folder: Path
    script: list[str | Reply]
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = ScriptedLM(self.script, name="m")
        self.turns = FolderTurns(self.folder / "turns")

    def agent(self) -> Agent:
        def send(to: str) -> str:
            self.sent.append(to)
            return f"sent to {to}"

        options = AgentOptions(name="sender", approve=asks, turns=self.turns)
        return Agent(self.model, (Plain("send", send),), call_tool, options)


def sender(models: Models, folder: Path, *script: str | Reply) -> Sender:
    made = Sender(folder, list(script))
    models.lms["sender"] = made.agent()  # type: ignore[assignment]
    return made


async def asked(talk: Talk) -> Message:
    """A reply that waits for consent."""
    became = await talk.chats.say(talk.owner, talk.id, Said(new_id(), "Go.", models=("sender",)))
    await talk.until(lambda: bool(waits(talk, became.replies[0])))
    return live(talk, became.replies[0])


def live(talk: Talk, reply: str) -> Message:
    found = talk.chats.words_of([reply]).get(reply)
    if found is not None:
        return found
    with talk.chats.store.reading() as tx:
        return messages.get(tx, talk.id, reply)


def waits(talk: Talk, reply: str) -> list[str]:
    return [call.id for call in waiting_in(live(talk, reply).consents)]


async def answer(talk: Talk, reply: str, *answers: Answered, always: bool = False) -> Message:
    taking = talk.chats.consenting
    return await taking.answer(talk.owner, talk.id, reply, answers, always=always)


async def test_a_reply_waits_for_consent_and_goes_on(talk: Talk, models: Models, tmp_path: Path):
    made = sender(models, tmp_path, calls(ANN, text="I send it."), "Done.")
    reply = await asked(talk)
    assert (made.sent, reply.text) == ([], "I send it.")
    assert reply.consents[-1]["calls"][0]["arguments"] == '{"to": "ann"}'
    assert models.running == 0, "who waits for a person holds no model"
    (call,) = waits(talk, reply.id)
    await answer(talk, reply.id, Answered(call, approved=True))
    await talk.quiet()
    ended = live(talk, reply.id)
    assert (ended.state, ended.finish, ended.text) == ("done", "stop", "I send it.\n\nDone.")
    assert made.sent == ["ann"]
    assert ended.consents[0]["answers"][call]["by"] == "person"
    assert [each["name"] for each in ended.steps] == ["call", "result", "step"]
    alone = Agent(
        ScriptedLM(made.script, name="m"), (Plain("send", lambda to: f"sent to {to}"),), call_tool
    )
    _, end = await listen(alone, replace(made.model.requests[0], tools=()))
    used = end.usage
    assert (ended.prompt_tokens, ended.completion_tokens) == (
        used.prompt_tokens,
        used.completion_tokens,
    )
    await talk.until(lambda: not any((tmp_path / "turns").iterdir()))  # let go after the end


async def test_a_refusal_and_its_words_reach_the_model(talk: Talk, models: Models, tmp_path: Path):
    made = sender(models, tmp_path, calls(ANN), "As you wish.")
    reply = await asked(talk)
    (call,) = waits(talk, reply.id)
    await answer(talk, reply.id, Answered(call, approved=False, why="Not to Ann."))
    await talk.quiet()
    (told,) = results(made.model.requests[-1])
    assert "Not to Ann." in told.content
    assert made.sent == []
    assert live(talk, reply.id).text == "As you wish."


async def test_several_calls_go_on_when_each_has_an_answer(
    talk: Talk, models: Models, tmp_path: Path
):
    made = sender(models, tmp_path, calls(ANN, BOB), "Done.")
    reply = await asked(talk)
    ann, bob = waits(talk, reply.id)
    await answer(talk, reply.id, Answered(bob, approved=True))
    await asyncio.sleep(0.05)
    assert (made.sent, waits(talk, reply.id)) == ([], [ann])
    await answer(talk, reply.id, Answered(ann, approved=False))
    await talk.quiet()
    assert made.sent == ["bob"]


async def test_always_holds_in_this_conversation_for_this_assistant_alone(
    talk: Talk, models: Models, tmp_path: Path
):
    made = sender(models, tmp_path, calls(ANN, BOB), "Done.", calls(ANN), "Again.", calls(BOB), "-")
    reply = await asked(talk)
    ann, _ = waits(talk, reply.id)
    await answer(talk, reply.id, Answered(ann, approved=True), always=True)
    await talk.quiet()
    assert made.sent == ["ann", "bob"]
    became = await talk.chats.say(talk.owner, talk.id, Said(new_id(), "Go.", models=("sender",)))
    await talk.quiet()
    ended = live(talk, became.replies[0])
    assert (ended.text, made.sent[2:]) == ("Again.", ["ann"])
    assert next(iter(ended.consents[0]["answers"].values()))["by"] == "always"
    other = begin(talk.chats)
    there = await asked(other)
    assert waits(other, there.id), "elsewhere it is asked for again"


async def test_what_is_allowed_can_be_taken_away_and_not_put_in(
    talk: Talk, models: Models, tmp_path: Path
):
    sender(models, tmp_path, calls(ANN), "Done.")
    reply = await asked(talk)
    await answer(talk, reply.id, Answered(waits(talk, reply.id)[0], approved=True), always=True)
    await talk.quiet()
    with talk.chats.store.reading() as tx:
        allowed = conversations.get(tx, LOCAL, talk.id).allowed
    assert allowed == [{"model": "sender", "tool": "send"}]
    with pytest.raises(InputError, match="not allowed here"):
        await talk.chats.change(LOCAL, talk.id, allowed=[{"model": "sender", "tool": "erase"}])
    changed = await talk.chats.change(LOCAL, talk.id, allowed=[])
    assert changed.allowed == []


async def test_an_answer_counts_once_and_closes_the_card_everywhere(
    talk: Talk, models: Models, tmp_path: Path
):
    sender(models, tmp_path, calls(ANN), "Done.")
    reply = await asked(talk)
    (call,) = waits(talk, reply.id)
    async with talk.chats.listening(talk.owner, talk.id) as (listener, joined):
        assert joined is not None
        assert waiting_in(joined.live[0].consents), "a page that is opened now sees it, too"
        await answer(talk, reply.id, Answered(call, approved=True))
        while not isinstance((news := await listener.next(20)) and news.news, ConsentTold):
            assert news is not None
        assert news is not None
        assert isinstance(news.news, ConsentTold)
        assert call in news.news.round["answers"]
    with pytest.raises(InputError, match="does not wait"):
        await answer(talk, reply.id, Answered(call, approved=False))
    await talk.quiet()


async def test_somebody_else_cannot_answer(talk: Talk, models: Models, tmp_path: Path):
    made = sender(models, tmp_path, calls(ANN), "Done.")
    reply = await asked(talk)
    answers = [Answered(waits(talk, reply.id)[0], approved=True)]
    with pytest.raises(NotFoundError):
        await talk.chats.consenting.answer("somebody", talk.id, reply.id, answers)
    other = begin(talk.chats)
    with pytest.raises(NotFoundError):
        await talk.chats.consenting.answer(LOCAL, other.id, reply.id, answers)
    assert made.sent == []


async def test_stopping_while_it_waits_runs_nothing(talk: Talk, models: Models, tmp_path: Path):
    made = sender(models, tmp_path, calls(ANN, text="I send it."), "Done.")
    reply = await asked(talk)
    (call,) = waits(talk, reply.id)
    await talk.chats.stop(talk.owner, talk.id)
    assert live(talk, reply.id).state == "stopped"
    with pytest.raises(InputError, match="was stopped"):
        await answer(talk, reply.id, Answered(call, approved=True))
    assert made.sent == []
    await talk.until(lambda: not any((tmp_path / "turns").iterdir()))  # let go after the end


async def test_nobody_answers_in_time(
    talk: Talk, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(talk.chats._replies, "patience", 0.05)
    made = sender(models, tmp_path, calls(ANN), "Then not.")
    became = await talk.chats.say(talk.owner, talk.id, Said(new_id(), "Go.", models=("sender",)))
    await talk.quiet()
    reply = live(talk, became.replies[0])
    assert (reply.text, made.sent) == ("Then not.", [])
    (given,) = reply.consents[0]["answers"].values()
    assert (given["by"], given["why"]) == ("time", TOO_LATE)


async def test_a_restart_cuts_it_off_and_the_answer_goes_on_from_there(
    talk: Talk, store: Store, models: Models, tmp_path: Path
):
    made = sender(models, tmp_path, calls(ANN, text="I send it."), calls(BOB), "Done.")
    reply = await asked(talk)
    copy = tmp_path / "copy"  # what a kill leaves on the disk
    shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("copy", "turns"))
    await talk.chats.close()  # its turn is let go
    models.lms["sender"] = made.agent()  # type: ignore[assignment]
    left = Store(copy / store.path.name)
    chats = Chats(left, models, "echo", titles=False, forget=made.turns.forget_call)
    assert chats.begin() == 1
    after = Talk(chats, talk.id)
    cut = live(after, reply.id)
    assert (cut.state, cut.text) == ("interrupted", "I send it.")
    (call,) = waits(after, reply.id)
    told = await answer(after, reply.id, Answered(call, approved=True))
    assert told.state == "waiting"
    await after.until(lambda: len(live(after, reply.id).consents) == 2)
    assert made.sent == ["ann"]
    (bob,) = waits(after, reply.id)
    await answer(after, reply.id, Answered(bob, approved=True))
    await after.quiet()
    ended = live(after, reply.id)
    assert (ended.state, ended.text, made.sent) == ("done", "I send it.\n\nDone.", ["ann", "bob"])
    await after.until(lambda: not any((tmp_path / "turns").iterdir()))  # let go after the end
    with left.reading() as tx:
        found = search.find(tx, LOCAL, "Done", kinds=["message"], limit=5)
    assert [each.ref for each in found] == [reply.id]
    await chats.close()
    left.close()


async def test_an_ordinary_stop_of_the_server_keeps_the_question(
    talk: Talk, models: Models, tmp_path: Path
):
    sender(models, tmp_path, calls(ANN), "Done.")
    reply = await asked(talk)
    await talk.chats.close()
    cut = live(talk, reply.id)
    assert cut.state == "interrupted"
    assert waiting_in(cut.consents)
    with pytest.raises(KataribeError, match="stopping"):
        await answer(talk, reply.id, Answered(waits(talk, reply.id)[0], approved=True))


async def test_a_turn_that_is_not_known_any_more_runs_nothing(
    talk: Talk, store: Store, models: Models, tmp_path: Path
):
    made = sender(models, tmp_path, calls(ANN), "I cannot any more.")
    reply = await asked(talk)
    (call,) = waits(talk, reply.id)
    await talk.chats.close()
    shutil.rmtree(tmp_path / "turns")
    chats = Chats(store, models, "echo", titles=False)
    after = Talk(chats, talk.id)
    await answer(after, reply.id, Answered(call, approved=True))
    await after.quiet()
    assert made.sent == []
    assert live(after, reply.id).text == "I cannot any more."
    (told,) = results(made.model.requests[-1])
    assert "not known here any more" in told.content
    await chats.close()


async def test_words_that_are_too_long_are_refused_and_nothing_is_answered(
    talk: Talk, models: Models, tmp_path: Path
):
    sender(models, tmp_path, calls(ANN), "Done.")
    reply = await asked(talk)
    (call,) = waits(talk, reply.id)
    with pytest.raises(InputError, match="2,001 characters; at most 2,000"):
        await answer(talk, reply.id, Answered(call, approved=False, why="x" * 2001))
    assert waits(talk, reply.id) == [call]


async def test_pages_are_told_when_a_cut_off_reply_goes_on(
    talk: Talk, store: Store, models: Models, tmp_path: Path
):
    sender(models, tmp_path, calls(ANN, BOB), "Done.")
    reply = await asked(talk)
    ann, bob = waits(talk, reply.id)
    await talk.chats.close()
    chats = Chats(store, models, "echo", titles=False)
    after = Talk(chats, talk.id)
    async with chats.listening(LOCAL, talk.id) as (listener, _):
        told = await answer(after, reply.id, Answered(ann, approved=False))
        assert told.state == "interrupted", "one of two is answered"
        await answer(after, reply.id, Answered(bob, approved=False))
        states = []
        while len(states) < 2:
            news = await listener.next(20)
            assert news is not None
            if isinstance(news.news, MessageChanged):
                states.append(news.news.message.state)
    assert states == ["interrupted", "waiting"]
    await after.quiet()
    await chats.close()


def test_rounds_become_the_messages_of_the_protocol():
    round_ = {
        "calls": [{"id": "call_1", "name": "send", "arguments": "{}"}],
        "answers": {"call_1": {"approved": False, "why": "いいえ", "by": "person"}},
        "text": "",
    }
    said, told = as_messages([round_])
    assert said.parts == (ToolCallPart("call_1", "send", "{}"),)
    assert told.role == "tool"
    assert '"no"' in told.parts[0].content  # type: ignore[union-attr]
    assert "いいえ" in told.parts[0].content  # type: ignore[union-attr]
