"""What an agent has done is neither lost, nor done twice, nor said otherwise than it was."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.events import Finished, ReasoningDelta, Usage
from kataribe.base.lm import Context, Request
from kataribe.base.messages import (
    ImagePart,
    Message,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.base.tool_calls import MOST_REPEATS, CallLimits, Repeats, asking, call_tool
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.use.agents.approvals import approve
from kataribe.use.agents.autonomous import Autonomous
from kataribe.use.agents.journal import MemoryJournal, Record, open_journal
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.run_limits import AutonomousOptions
from kataribe.use.agents.run_state import Run
from kataribe.use.agents.turn import Turn
from kataribe.use.agents.turns import call_id, new_turn
from kataribe.use.agents.working import AgentLimits
from tests.use.agents.parts import (
    QUESTION,
    Plain,
    calls,
    calls_of,
    going_on,
    listen,
    results,
    times,
)

CALL = ("times", {"a": 6, "b": 7})


def agent(lm: ScriptedLM, *tools: Plain, **options: Any) -> Agent:
    return Agent(lm, tools, call_tool, AgentOptions(**options))


async def worked(made: Agent, request: Request, journal: MemoryJournal) -> Finished:
    end = [event async for event in made.work(request, journal)][-1]
    assert isinstance(end, Finished)
    return end


async def test_consent_counts_though_the_calls_were_handed_over_again():
    tool, journal = times(), MemoryJournal()
    made = agent(ScriptedLM([calls(CALL), "42."]), tool, approve=lambda _: "ask")
    first = await worked(made, QUESTION, journal)
    again = await worked(made, QUESTION, journal)  # a restart, before anybody has answered
    assert calls_of(again) == calls_of(first)
    answer = approve(*calls_of(first))
    end = await worked(made, going_on(QUESTION, first, answer), journal)
    assert (text_of(end.message), len(tool.calls)) == ("42.", 1)
    assert len(Turn(journal).shown) == 2


async def test_calls_that_only_waited_for_others_were_not_begun():
    """A crash while two calls run: those behind them are run, these are not run again."""
    at_work, records = [], MemoryJournal()

    async def hang(n: int) -> str:
        at_work.append(n)
        await asyncio.sleep(60 if len(at_work) <= 2 else 0)
        return f"done {n}"

    tool = Plain("hang", hang)
    model = ScriptedLM([calls(*(("hang", {"n": n}) for n in range(5))), "Done."])
    limits = AgentLimits(calls=CallLimits(at_once=2))
    made = agent(model, tool, limits=limits)
    task = asyncio.create_task(worked(made, QUESTION, records))
    while len(at_work) < 2:  # noqa: ASYNC110 - the tool tells nobody
        await asyncio.sleep(0.001)
    crashed = MemoryJournal(records.records())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    end = await worked(made, QUESTION, crashed)
    assert text_of(end.message) == "Done."
    assert sorted(at_work) == [0, 1, 2, 3, 4]
    told = [result.content for result in results(model.requests[-1])]
    assert all("begun and broken off" in each for each in told[:2])
    assert told[2:] == ["done 2", "done 3", "done 4"]


async def test_at_the_end_of_the_time_it_is_said_which_calls_were_begun():
    async def hang(n: int) -> str:
        await asyncio.sleep(60)
        return ""

    journal = MemoryJournal()
    model = ScriptedLM(calls(*(("hang", {"n": n}) for n in range(2))))
    limits = AgentLimits(calls=CallLimits(at_once=1))
    request = replace(QUESTION, context=Context(deadline=time.monotonic() + 0.1))
    await worked(agent(model, Plain("hang", hang), limits=limits), request, journal)
    begun, waited = (result.content for _, result in Turn(journal).results)
    assert "Whether it has changed anything is not known" in begun
    assert "was not begun" in waited


async def test_a_record_is_kept_though_its_writer_goes_away_in_the_queue(tmp_path: Path):
    with open_journal(tmp_path / "run.jsonl") as journal:
        first = asyncio.create_task(journal.append({"kind": "first"}))
        second = asyncio.create_task(journal.append({"kind": "second"}))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert second.cancelled()
        assert [record["kind"] for record in journal.records()] == ["first", "second"]
    with open_journal(tmp_path / "run.jsonl") as journal:
        assert [record["kind"] for record in journal.records()] == ["first", "second"]


async def test_a_run_knows_what_its_journal_says_though_its_writer_went_away(tmp_path: Path):
    with open_journal(tmp_path / "run.jsonl") as journal:
        run = Run(journal)
        await run.write("goal", id="1" * 12, user=None, messages=[])
        task = asyncio.create_task(run.spend("plan", Usage(3, 4)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (
            (run.calls, run.usage) == (Run(journal).calls, Run(journal).usage) == (1, Usage(3, 4))
        )


class Cut(MemoryJournal):
    """Ends the process, as it were, at a record of a kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    async def append(self, record: Record) -> None:
        if record["kind"] == self._kind:
            raise asyncio.CancelledError
        await super().append(record)


async def test_calls_beyond_the_most_of_a_reply_do_not_run_after_a_crash_either():
    tool = times()
    made = [("times", {"a": 1, "b": n}) for n in range(4)]
    model = ScriptedLM([calls(*made), "Done."])
    lm = agent(model, tool, limits=AgentLimits(calls=CallLimits(most=2)))
    journal = Cut("begun")
    with pytest.raises(asyncio.CancelledError):
        await worked(lm, QUESTION, journal)
    kept = MemoryJournal(journal.records())
    await Turn(kept).write("begun", call=Turn(kept).calls[0].id)
    await worked(lm, QUESTION, kept)
    assert tool.calls == [{"a": 1, "b": 1}]
    told = [result.content for result in results(model.requests[-1])]
    assert ["more than 2 calls at once" in each for each in told] == [False, False, True, True]


async def test_the_caller_s_calls_are_handed_over_however_many():
    theirs = replace(QUESTION.__class__(QUESTION.prompt), tools=(times().spec,))
    model = ScriptedLM(calls(*(("times", {"a": 1, "b": n}) for n in range(4))))
    lm = Agent(model, (), call_tool, AgentOptions(limits=AgentLimits(calls=CallLimits(most=2))))
    _, end = await listen(lm, theirs)
    assert (end.reason, len(calls_of(end))) == ("tool_calls", 4)


def test_a_result_with_another_picture_is_another_result():
    call, repeats = ToolCallPart("1", "look", "{}"), Repeats()
    for number in range(2 * MOST_REPEATS):
        shown = (ImagePart("image/png", bytes([number])),)
        repeats.note(call, ToolResultPart("1", "A picture.", images=shown))
    assert repeats.times(call) == 1
    for number in range(3):
        repeats.note(call, ToolResultPart(str(number), "A picture.", images=shown))
    assert repeats.times(call) == 4


async def test_calls_of_an_unknown_turn_that_nobody_answered_have_a_result():
    id_ = call_id(new_turn(), 0)
    asked = (
        *QUESTION.prompt,
        Message("assistant", (ToolCallPart(id_, *("times", "{}")),)),
        text_message("user", "Leave it."),
    )
    model = ScriptedLM("As you like.")
    await listen(agent(model, times()), Request(asked))  # type: ignore[arg-type]
    (result,) = results(model.requests[0])
    assert (result.call_id, result.is_error) == (id_, True)
    assert "was not run" in result.content


async def test_what_was_thought_is_told_again_too():
    made = agent(
        ScriptedLM([Reply(reasoning="Six sevens.", calls=calls(CALL).calls), "42."]),
        times(),
        approve=lambda _: "ask",
    )
    _, first = await listen(made)
    request = going_on(QUESTION, first, approve(*calls_of(first)))
    await listen(made, request)
    events, again = await listen(made, request)
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert text_of(again.message) == "42."
    assert thought == "".join(getattr(p, "text", "") for p in again.message.parts[:-1])


PLAN = json.dumps({"tasks": [{"title": "send it", "done_when": "it is sent"}]})
NO = json.dumps({"ok": False, "why": "The second half is missing."})
OK = json.dumps({"ok": True, "why": "right"})


def autonomous(planner: list[Any], model: ScriptedLM, tool: Plain, **options: Any) -> Autonomous:
    worker = Agent(model, [tool], call_tool)
    return Autonomous(ScriptedLM(planner), worker, AutonomousOptions(**options))


async def test_a_second_try_is_told_of_the_calls_of_the_first():
    tool = Plain("send", lambda to: f"sent to {to}")
    model = ScriptedLM([calls(("send", {"to": "ann"})), "Half.", "Whole."])
    lm = autonomous([PLAN, NO, OK, "The report."], model, tool)
    await listen(lm, QUESTION)
    asked = text_of(model.requests[2].prompt[-1])  # type: ignore[arg-type]
    assert '- send {"to": "ann"}: sent to ann' in asked
    assert "Do not repeat a call" in asked
    assert "- send" not in text_of(model.requests[0].prompt[-1])  # type: ignore[arg-type]


async def test_a_try_that_a_limit_of_the_run_has_ended_says_nothing_of_its_task():
    tool, journal = Plain("send", lambda to: f"sent to {to}"), MemoryJournal()
    model = ScriptedLM([calls(("send", {"to": "ann"})), "", "Sent."])
    lm = autonomous([PLAN, NO, OK, "The report."], model, tool, attempts=1, steps=3)
    cut = [event async for event in lm.work(QUESTION, journal)][-1]
    assert isinstance(cut, Finished)
    assert cut.reason == "budget"
    lm._options = AutonomousOptions(attempts=1)
    end = [event async for event in lm.resume(journal)][-1]
    assert isinstance(end, Finished)
    assert (end.reason, text_of(end.message)) == ("stop", "The report.")
    (task,) = Run(journal).outcome().tasks
    assert (task.state, task.text, task.attempts, task.cut) == ("done", "Sent.", 2, 1)
    asked = text_of(model.requests[2].prompt[-1])  # type: ignore[arg-type]
    assert "sent to ann" in asked
    assert len(tool.calls) == 1


async def test_a_run_that_goes_on_works_for_whom_it_began():
    users: list[str | None] = []

    def note() -> str:
        context = asking.get()
        users.append(None if context is None else context.user)
        return "noted"

    journal, tool = MemoryJournal(), Plain("note", note)
    lm = autonomous([PLAN, OK, "The report."], ScriptedLM([calls(("note", {})), "x"]), tool)
    lm._options = AutonomousOptions(steps=1)
    request = replace(QUESTION, context=Context(user="ann"))
    _ = [event async for event in lm.work(request, journal)]
    lm._options = AutonomousOptions()
    _ = [event async for event in lm.resume(journal)]
    assert users == ["ann"]
