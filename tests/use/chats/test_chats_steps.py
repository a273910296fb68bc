"""The steps of techniques and agents in a reply: told as they happen, kept, and not too many."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kataribe.base.events import Step
from kataribe.base.tool_calls import call_tool
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import Reply
from kataribe.store import messages
from kataribe.store.asking import Said
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.messages import Message
from kataribe.store.news import StepTold
from kataribe.use.agents.loop import Agent
from kataribe.use.chats import running, steps
from kataribe.use.chats.chats import Chats
from kataribe.use.chats.steps import Steps
from kataribe.use.prompts.tree_of_thoughts import TreeOfThoughts, TreeOfThoughtsOptions
from tests.use.agents.parts import Plain, calls
from tests.use.chats.conftest import Models, Talk

LONG = "word " * 200


async def ask(talk: Talk, name: str) -> Message:
    became = await talk.chats.say(talk.owner, talk.id, Said(new_id(), "Well?", models=(name,)))
    await talk.quiet()
    with talk.chats.store.reading() as tx:
        return messages.get(tx, talk.id, became.replies[0])


def agent(models: Models) -> None:
    """An assistant whose tool answers with a long text."""
    script = [calls(("look", {"at": "the sky"}), text="I look."), "It is blue."]
    made = Agent(ScriptedLM(script, name="m"), (Plain("look", lambda at: LONG),), call_tool)
    models.lms["agent"] = made  # type: ignore[assignment]


async def test_an_agents_steps_are_told_and_kept_with_the_reply(talk: Talk, models: Models):
    agent(models)
    async with talk.chats.listening(talk.owner, talk.id) as (listener, _):
        reply = await ask(talk, "agent")
        told: list[StepTold] = []
        while len(told) < 3:
            news = await listener.next(20)
            assert news is not None
            if isinstance(news.news, StepTold):
                told.append(news.news)
    assert [each.at for each in told] == [0, 1, 2]
    assert [dict(each.step) for each in told] == [dict(each) for each in reply.steps]
    called, result, step = reply.steps
    assert (called["name"], result["name"], step["name"]) == ("call", "result", "step")
    assert called["call"] == result["call"] != ""
    assert json.loads(called["content"]) == {"at": "the sky"}
    assert result["content"] == LONG
    assert len(result["line"]) <= steps.LINE
    assert 0 <= called["at"] <= result["at"] <= step["at"]
    assert step["tokens"] > 0
    assert reply.text == "I look.\n\nIt is blue."


async def test_a_tree_of_thoughts_is_kept_whole(talk: Talk, models: Models):
    options = TreeOfThoughtsOptions(breadth=1, branches=2, depth=1)
    said = ScriptedLM(lambda _: f"Score: 7 {LONG}", name="tree")
    models.lms["tree"] = TreeOfThoughts(said, options)  # type: ignore[assignment]
    reply = await ask(talk, "tree")
    (tree,) = [each for each in reply.steps if each["name"] == "tree"]
    assert len(json.loads(tree["content"])["thoughts"]) == 2
    assert tree["line"] == ""


async def test_steps_outlive_the_process(
    talk: Talk, store: Store, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(running, "SAVE_SECONDS", 600.0)  # the row knows nothing of them
    told = tuple(Step("thought", f"number {number}", content=LONG) for number in range(5))
    models.lms["slow"] = ScriptedLM(lambda _: Reply("word " * 900, steps=told, pace=0.01))
    await talk.chats.say(talk.owner, talk.id, Said(new_id(), "Well?", models=("slow",)))
    async with talk.chats.listening(talk.owner, talk.id) as (listener, joined):
        assert joined is not None
        seen = sum(len(each.steps) for each in joined.live)
        while seen < 5:
            news = await listener.next(20)
            seen += news is not None and isinstance(news.news, StepTold)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("copy"))
    left = Store(copy / store.path.name)
    with left.reading() as tx:
        (reply,) = messages.live(tx)
    assert reply.steps == []
    assert Chats(left, models, "echo").begin() == 1
    with left.reading() as tx:
        reply = messages.get(tx, talk.id, reply.id)
    assert [each["line"] for each in reply.steps] == [each.detail for each in told]
    assert all(each["content"] == LONG for each in reply.steps)
    left.close()


def test_what_is_too_long_is_cut_and_counted():
    kept = Steps((), lambda text: text)
    _, told = kept.add(Step("result", "line", content="x" * (steps.LONGEST + 5)), 1.0)
    assert (len(told["content"]), told["left"]) == (steps.LONGEST, 5)
    _, tree = kept.add(Step("tree", "[" + "x" * steps.LONGEST_TREE), 1.0)
    assert (tree["content"], tree["left"]) == ("", steps.LONGEST_TREE + 1)


def test_all_contents_together_have_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(steps, "MOST_CONTENT", 25)
    kept = Steps((), lambda text: text)
    lengths = [len(kept.add(Step("a", "b", content="x" * 10), 0.0)[1]["content"]) for _ in range(4)]
    assert lengths == [10, 10, 5, 0]


def test_steps_beyond_the_most_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(steps, "MOST", 3)
    kept = Steps((), lambda text: text)
    places = [kept.add(Step("thought", str(number)), 0.0)[0] for number in range(6)]
    assert places == [0, 1, 2, 3, 3, 3]
    assert (kept.all[-1]["name"], kept.all[-1]["left"]) == ("more", 3)
