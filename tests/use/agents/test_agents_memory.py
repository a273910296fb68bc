"""Long-term memory: through two tools, in the system text, each person's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import Context, Request
from kataribe.base.messages import text_message, text_of
from kataribe.base.tool_calls import asked_by, call_tool
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.store.database import Store
from kataribe.store.tables import LOCAL, people
from kataribe.use.agents.loop import Agent
from kataribe.use.agents.memory import KNOWN, Facts, Recall, Remember, Remembering, StoredFacts
from kataribe.use.prompts.react import ReAct
from tests.use.agents.parts import QUESTION, calls, listen, results


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "kataribe.db")
    yield opened
    opened.close()


@pytest.fixture
def kept(store: Store) -> Facts:
    with store.writing() as tx:
        for name in ("ann", "bob"):
            row = {"id": name, "name": name, "shown": name, "disabled": False, "created_at": 0}
            tx.execute(sa.insert(people).values(**row))
    return StoredFacts(store)


def as_person(name: str | None, text: str = "Hello") -> Request:
    context = Context(user=name, conversation=f"talk of {name}")
    return Request((text_message("user", text),), context=context)


def system_of(request: Request) -> str:
    first = request.prompt[0]
    return text_of(first) if first.role == "system" else ""  # type: ignore[union-attr, arg-type]


async def test_what_is_remembered_in_one_conversation_is_known_in_the_next(kept: Facts):
    model = ScriptedLM(
        [calls(("remember", {"fact": "Ann prefers short answers."})), "Noted.", "Hi.", "Hi."]
    )
    agent = Agent(Remembering(model, kept, len, 500), [Remember(kept), Recall(kept)], call_tool)
    await listen(agent, as_person("ann", "Be short, please."))
    assert "Remembered" in results(model.requests[1])[0].content
    (fact,) = await kept.listing("ann")
    assert (fact.text, fact.source) == ("Ann prefers short answers.", "talk of ann")
    await listen(agent, as_person("ann", "Hello again"))
    assert "- Ann prefers short answers." in system_of(model.requests[2])
    await listen(agent, as_person("bob"))
    assert "Ann" not in system_of(model.requests[3])


async def test_recall_finds_the_person_s_own(kept: Facts):
    await kept.add("ann", "飼い猫の名前はタマ")
    await kept.add("bob", "飼い犬の名前はポチ")
    model = ScriptedLM([calls(("recall", {"query": "名前"})), "タマ。"])
    agent = Agent(model, [Recall(kept)], call_tool)
    await listen(agent, as_person("ann"))
    assert results(model.requests[1])[0].content == "- 飼い猫の名前はタマ"


async def test_recall_says_when_there_is_nothing(kept: Facts):
    model = ScriptedLM([calls(("recall", {"query": "cat"})), "No."])
    await listen(Agent(model, [Recall(kept)], call_tool), as_person("ann"))
    assert "Nothing" in results(model.requests[1])[0].content


async def test_without_a_person_memory_is_the_local_one_s(kept: Facts):
    model = ScriptedLM([calls(("remember", {"fact": "x y z"})), "ok"])
    await listen(Agent(model, [Remember(kept)], call_tool), as_person(None))
    assert [fact.text for fact in await kept.listing(LOCAL)] == ["x y z"]


async def test_in_plain_text_each_person_has_facts_of_their_own_too(kept: Facts):
    script = [
        "Action: remember\nAction Input: Ann likes tea.",
        "Final Answer: Noted.",
        "Action: recall\nAction Input: tea",
        "Final Answer: I know nothing.",
        "Action: recall\nAction Input: tea",
        "Final Answer: You like tea.",
    ]
    model = ScriptedLM(script)
    lm = ReAct(model, [Remember(kept), Recall(kept)])
    for name in ("ann", "bob", "ann"):
        await listen(lm, as_person(name))
    assert [fact.text for fact in await kept.listing("ann")] == ["Ann likes tea."]
    (fact,) = await kept.listing("ann")
    assert fact.source == "talk of ann"
    assert await kept.listing("bob") == []
    assert await kept.listing(LOCAL) == []
    assert "Nothing about that" in text_of(model.requests[3].prompt[-1])
    assert "- Ann likes tea." in text_of(model.requests[5].prompt[-1])


async def test_where_nobody_says_who_asks_nothing_is_kept_or_looked_up(kept: Facts):
    await kept.add(LOCAL, "The one at this machine likes tea.")
    with pytest.raises(KataribeError, match="whose memory"):
        await Remember(kept).call({"fact": "Likes coffee."})
    with pytest.raises(KataribeError, match="whose memory"):
        await Recall(kept).call({"query": "tea"})
    assert len(await kept.listing(LOCAL)) == 1
    with asked_by(Context()):  # a request of nobody in particular is the local person's
        assert "likes tea" in await Recall(kept).call({"query": "tea"})


@pytest.mark.parametrize("arguments", [{}, {"fact": 3}, {"fact": ""}, {"fact": "x" * 2000}])
async def test_what_cannot_be_remembered_is_said_to_the_model(arguments, kept: Facts):
    model = ScriptedLM([calls(("remember", arguments)), "Sorry."])
    await listen(Agent(model, [Remember(kept)], call_tool), as_person("ann"))
    (told,) = results(model.requests[1])
    assert told.is_error
    assert await kept.listing("ann") == []


async def test_facts_are_edited_and_deleted(kept: Facts):
    fact = await kept.add("ann", "Likes tea.")
    await kept.edit("ann", fact.id, "Likes coffee.")
    model = ScriptedLM(["Hi.", "Hi."])
    lm = Remembering(model, kept, len, 500)
    await listen(lm, as_person("ann"))
    assert "coffee" in system_of(model.requests[0])
    await kept.delete("ann", fact.id)
    request = as_person("ann")
    await listen(lm, request)
    assert model.requests[1] == request


async def test_the_budget_holds_and_what_fits_the_question_comes_first(kept: Facts):
    for number in range(50):
        await kept.add("ann", f"Fact number {number} about nothing.")
    await kept.add("ann", "The cat is called Tama.")
    for number in range(50, 100):
        await kept.add("ann", f"Fact number {number} about nothing.")
    model = ScriptedLM("Hi.")
    budget = len(KNOWN) + 200
    await listen(Remembering(model, kept, len, budget), as_person("ann", "How is my cat?"))
    text = system_of(model.requests[0])
    assert len(text) <= budget
    lines = text.splitlines()[1:]
    assert lines[0] == "- The cat is called Tama."
    assert lines[1] == "- Fact number 99 about nothing."  # then the newest


async def test_a_system_text_stays_before_the_facts(kept: Facts):
    await kept.add("ann", "Likes tea.")
    model = ScriptedLM("Hi.")
    request = as_person("ann")
    request = replace(request, prompt=(text_message("system", "Be kind."), *request.prompt))  # type: ignore[arg-type]
    await listen(Remembering(model, kept, len, 500), request)
    assert system_of(model.requests[0]).startswith("Be kind.\n\n")
    assert len(model.requests[0].prompt) == 2


async def test_a_budget_too_small_for_any_fact_adds_nothing(kept: Facts):
    await kept.add("ann", "Likes tea.")
    model = ScriptedLM("Hi.")
    request = as_person("ann")
    await listen(Remembering(model, kept, len, 5), request)
    assert model.requests[0].prompt == request.prompt


async def test_a_raw_prompt_passes(kept: Facts):
    await kept.add(LOCAL, "Likes tea.")
    model = ScriptedLM("on a time")
    await listen(Remembering(model, kept, len, 500), Request("Once up"))
    assert model.requests[0].prompt == "Once up"


def test_a_budget_of_nothing_is_refused(kept: Facts):
    with pytest.raises(InputError, match="0 tokens"):
        Remembering(ScriptedLM(), kept, len, 0)


async def test_closing_stops_the_model(kept: Facts):
    model = ScriptedLM(Reply("a b c", pace=0.01))
    stream = Remembering(model, kept, len, 500).stream(QUESTION)
    await anext(stream)
    await stream.aclose()
    assert (model.running, model.abandoned) == (0, 1)
