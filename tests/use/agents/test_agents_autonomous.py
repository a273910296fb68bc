"""Autonomous work: planned, done, checked, revised, delivered; and gone on with after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import (
    InputError,
    KataribeError,
    NotFoundError,
    ProviderError,
    UnsupportedError,
)
from kataribe.base.events import Finished, TextDelta, Usage
from kataribe.base.limits import Limits
from kataribe.base.lm import (
    LM,
    Capabilities,
    Context,
    JsonFormat,
    Request,
    Sampling,
    ToolSpec,
    reply,
)
from kataribe.base.messages import Message, TextPart, text_message, text_of
from kataribe.base.tool_calls import call_tool
from kataribe.prove.ops.ledger import Ledger
from kataribe.prove.ops.limits import Limited
from kataribe.prove.ops.meter import Metered
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.use.agents.approvals import approve, refuse
from kataribe.use.agents.autonomous import Autonomous
from kataribe.use.agents.in_text import InText
from kataribe.use.agents.journal import MemoryJournal, open_journal
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.run_limits import AutonomousOptions
from kataribe.use.agents.run_state import Outcome, Run
from kataribe.use.agents.turns import FolderTurns
from tests.use.agents import autonomous_child
from tests.use.agents.parts import (
    Plain,
    calls,
    calls_of,
    going_on,
    listen,
    steps,
    until,
)

ROOT = Path(__file__).resolve().parents[3]
WIDE = Capabilities(10**6, tools=True, structured_output=True)
GOAL = Request((text_message("user", "Report on six times seven."),))
OK = '{"ok": true, "why": "right"}'


def plan(*titles: str) -> str:
    return json.dumps({"tasks": [{"title": t, "done_when": "it is there"} for t in titles]})


def no(why: str) -> str:
    return json.dumps({"ok": False, "why": why})


def autonomous(
    planner: list[Any], worker: Any, *tools: Plain, options: AutonomousOptions | None = None
) -> Autonomous:
    lm = worker if isinstance(worker, ScriptedLM) else ScriptedLM(worker, capabilities=WIDE)
    agent = Agent(lm, tools, call_tool, AgentOptions(approve=_approve))
    return Autonomous(ScriptedLM(planner, capabilities=WIDE), agent, options)


def _approve(call: Any) -> Any:
    return "ask" if call.name == "send" else "always"


async def worked(lm: Autonomous, request: Request = GOAL) -> tuple[list[Any], Finished, Outcome]:
    journal = MemoryJournal()
    events = [event async for event in lm.work(request, journal)]
    assert isinstance(events[-1], Finished)
    return events, events[-1], Run(journal).outcome()


async def test_a_goal_is_planned_done_checked_and_delivered():
    tool = Plain("times", lambda a, b: str(a * b))
    lm = autonomous(
        [plan("multiply", "explain"), OK, OK, "The report."],
        [calls(("times", {"a": 6, "b": 7})), "42", "It is so."],
        tool,
    )
    events, end, outcome = await worked(lm)
    assert (text_of(end.message), end.reason) == ("The report.", "stop")
    assert end.detail == "2 tasks done, 0 given up, 0 revisions of the list."
    assert steps(events, "plan") == ["1. multiply", "2. explain"]
    assert steps(events, "task") == ["1 of 2: multiply", "2 of 2: explain"]
    assert steps(events, "result") == ["times: 42"]
    assert [(task.title, task.state, task.text) for task in outcome.tasks] == [
        ("multiply", "done", "42"),
        ("explain", "done", "It is so."),
    ]
    assert outcome.text == "The report."
    assert "  call gave: 42" in outcome.log
    assert outcome.log[-1].startswith("end: stop")


async def test_later_work_sees_what_was_done_and_the_goal():
    lm = autonomous([plan("one", "two"), OK, OK, "All."], ["first result", "second result"])
    await worked(lm)
    second = lm._worker._worker.lm.requests[1]
    asked = text_of(second.prompt[-1])
    assert asked.startswith("Report on six times seven.")
    assert "first result" in asked
    assert "only this task of it: two" in " ".join(asked.split())
    delivered = text_of(lm._planner.requests[-1].prompt[-1])
    assert "first result" in delivered
    assert "second result" in delivered


async def test_a_planner_with_structured_output_is_held_to_the_schema():
    lm = autonomous([plan("one"), OK, "All."], ["done"])
    request = replace(GOAL, sampling=Sampling(temperature=0.5, max_tokens=9), stop=("#",))
    await worked(lm, request)
    listed, checked, delivered = lm._planner.requests
    assert isinstance(listed.response_format, JsonFormat)
    assert listed.response_format.schema["properties"].keys() == {"tasks"}
    assert checked.response_format.schema["properties"].keys() == {"ok", "why"}
    assert (listed.sampling.max_tokens, listed.stop) == (None, ())
    assert (delivered.sampling, delivered.stop) == (request.sampling, ("#",))


async def test_a_planner_without_it_is_told_the_schema_and_corrected():
    plain = replace(WIDE, structured_output=False)
    script = [
        "I shall plan!",
        f"Here:\n```json\n{plan('one')}\n```",
        'Surely: {"ok": "perhaps", "why": ""}',
        f"Sorry. {OK}",
        "All.",
    ]
    planner = ScriptedLM(script, capabilities=plain)
    agent = Agent(ScriptedLM(["done"], capabilities=WIDE), [], call_tool)
    _, end, outcome = await worked(Autonomous(planner, agent))
    assert (end.reason, outcome.tasks[0].state) == ("stop", "done")
    assert '"done_when"' in text_of(planner.requests[0].prompt[-1])
    assert "not what was asked for" in text_of(planner.requests[1].prompt[-1])
    assert "ok:" in text_of(planner.requests[3].prompt[-1])


async def test_a_planner_that_makes_no_list_still_gets_the_work_done():
    lm = autonomous(["no", "no", "no", "?", "?", "?", "All."], ["done"])
    _, end, outcome = await worked(lm)
    assert text_of(end.message) == "All."
    assert outcome.tasks[0].title == "Report on six times seven."
    assert "Nobody checked it" in outcome.tasks[0].why


async def test_a_result_that_is_not_enough_is_tried_again_with_the_reason():
    lm = autonomous([plan("one"), no("The unit is missing."), OK, "All."], ["42", "42 km"])
    _, _, outcome = await worked(lm)
    assert outcome.tasks[0].text == "42 km"
    assert outcome.tasks[0].attempts == 2
    again = text_of(lm._worker._worker.lm.requests[1].prompt[-1])
    assert "The unit is missing." in again


async def test_an_empty_result_is_not_enough_without_asking():
    lm = autonomous([plan("one"), OK, "All."], ["", "42"])
    _, _, outcome = await worked(lm)
    assert outcome.tasks[0].attempts == 2
    assert outcome.tasks[0].text == "42"


async def test_what_cannot_be_done_is_planned_anew():
    lm = autonomous(
        [plan("look it up", "tell"), no("gone"), no("gone"), plan("guess", "tell"), OK, OK, "All."],
        ["-", "-", "about 42", "told"],
    )
    events, end, outcome = await worked(lm)
    assert [(t.id, t.title, t.state) for t in outcome.tasks] == [
        (1, "look it up", "given up"),
        (3, "guess", "done"),
        (4, "tell", "done"),
    ]
    assert end.detail == "2 tasks done, 1 given up, 1 revisions of the list."
    assert steps(events, "given up") == ["1. look it up: gone"]
    assert steps(events, "revised") == ["3. guess", "4. tell"]
    delivered = text_of(lm._planner.requests[-1].prompt[-1])
    assert "Not done:\n- look it up: gone" in delivered


async def test_the_list_is_not_revised_for_ever():
    planner = ScriptedLM(
        lambda request: (
            no("never right")
            if "Is the task done?" in text_of(request.prompt[-1])
            else (
                plan("again")
                if "list of tasks" in text_of(request.prompt[-1])
                or "split" in text_of(request.prompt[-1])
                else "Nothing was done."
            )
        ),
        capabilities=WIDE,
    )
    agent = Agent(ScriptedLM("-", capabilities=WIDE), [], call_tool)
    _, end, outcome = await worked(Autonomous(planner, agent))
    assert text_of(end.message) == "Nothing was done."
    assert len(outcome.tasks) == 3  # the first list and two revisions
    assert {task.state for task in outcome.tasks} == {"given up"}


async def test_a_list_that_is_too_long_is_cut():
    lm = autonomous(
        [plan(*"abcdef"), OK, OK, "All."], ["1", "2"], options=AutonomousOptions(tasks=2)
    )
    _, _, outcome = await worked(lm)
    assert [task.title for task in outcome.tasks] == ["a", "b"]


async def test_usage_counts_every_call():
    lm = autonomous([plan("one"), OK, "All."], [calls(("times", {"a": 6, "b": 7})), "42"], TIMES())
    _, end, _ = await worked(lm)
    each = [
        await reply(ScriptedLM(line, capabilities=WIDE), request)
        for model in (lm._planner, lm._worker._worker.lm)
        for line, request in zip(model._script, model.requests, strict=True)
    ]
    assert end.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in each)
    assert end.usage.completion_tokens == sum(one.usage.completion_tokens for one in each)


def TIMES() -> Plain:  # noqa: N802
    return Plain("times", lambda a, b: str(a * b))


async def test_tokens_end_a_run_with_what_was_found():
    first = "the first part " * 200
    lm = autonomous([plan("one", "two")], [first], options=AutonomousOptions(tokens=2500))
    events, end, outcome = await worked(lm)
    assert end.reason == "budget"
    assert "of at most 2,500 tokens" in end.detail
    found = text_of(end.message)
    assert found.startswith("one\nthe first part the first part")
    assert len(found) < len(first)  # the reply at the task was held to what was left, too
    assert outcome.reason == "budget"
    assert steps(events, "limit")


async def test_steps_end_a_run_wherever_it_is():
    worker = [calls(("times", {"a": 1, "b": 2})), calls(("times", {"a": 2, "b": 2})), "2 and 4"]
    for most in range(1, 7):
        options = AutonomousOptions(steps=most)
        lm = autonomous([plan("one", "two"), OK], [*worker, "two"], TIMES(), options=options)
        journal = MemoryJournal()
        async for event in lm.work(GOAL, journal):
            last = event
        assert last.reason == "budget"
        assert f"All of {most} steps are used" in last.detail
        assert Run(journal).calls == most


async def test_a_run_that_a_limit_has_ended_goes_on_with_more():
    planner = [plan("one", "two"), OK, OK, "whole"]
    lm = autonomous(planner, ["first", "second"], options=AutonomousOptions(steps=3))
    journal = MemoryJournal()
    cut = [event async for event in lm.work(GOAL, journal)][-1]
    assert (cut.reason, text_of(cut.message)) == ("budget", "one\nfirst")
    again = [event async for event in lm.resume(journal)][-1]
    assert again.reason == "budget"  # nothing more may be used, and nothing was
    lm._options = AutonomousOptions()
    end = [event async for event in lm.resume(journal)][-1]
    assert (end.reason, text_of(end.message)) == ("stop", "whole")
    assert Run(journal).calls == 6
    assert "it goes on" in Run(journal).outcome().log


async def test_time_ends_a_run_with_what_was_found():
    async def hang() -> str:
        await asyncio.sleep(60)
        return "never"

    tool = Plain("hang", hang)
    lm = autonomous([plan("one", "two"), OK], ["the first part", calls(("hang", {}))], tool)
    request = replace(GOAL, context=Context(deadline=time.monotonic() + 0.3))
    _, end, _ = await worked(lm, request)
    assert end.reason == "deadline"
    assert text_of(end.message).startswith("one\nthe first part")
    assert tool.running == 0


async def test_money_ends_a_run():
    options = AutonomousOptions(dollars=0.5, price=lambda usage: usage.prompt_tokens * 0.001)
    lm = autonomous([plan("one", "two"), OK], ["the first part"], options=options)
    _, end, _ = await worked(lm)
    assert (end.reason, "$0.5" in end.detail) == ("budget", True)


def price(usage: Usage) -> float:
    return usage.prompt_tokens * 0.001


@pytest.mark.parametrize("is_held", [True, False])
async def test_money_ends_a_run_within_one_attempt(is_held):
    numbers = iter(range(1000))
    model: LM = ScriptedLM(
        lambda _: calls(("look", {"at": next(numbers)}), text="So it goes on."), capabilities=WIDE
    )
    planner: LM = ScriptedLM([plan("one"), OK], capabilities=WIDE)
    if is_held:
        ledger = Ledger()
        model, planner = (
            Limited(Metered(each, ledger, price), Limits(), price) for each in (model, planner)
        )
    tool = Plain("look", lambda at: f"thing {at} " + "z" * 200)
    worker = Agent(model, [tool], call_tool, AgentOptions(price=price))
    options = AutonomousOptions(dollars=2.0, price=price)
    _, end, outcome = await worked(Autonomous(planner, worker, options))
    assert end.reason == "budget"
    assert "of at most $2" in end.detail
    assert outcome.tasks[0].attempts == 1
    assert 2.0 <= price(end.usage) < 4.5  # the call that went over it, and none after that
    assert 2 <= len(tool.calls) < 8  # of the 20 steps that an attempt may have


async def test_what_is_left_of_the_money_is_told_to_every_call():
    lm = autonomous(
        [plan("one"), OK, "All."],
        ["first"],
        options=AutonomousOptions(dollars=100.0, price=price),
    )
    await worked(lm)
    listed, checked, delivered = [r.context.budget for r in lm._planner.requests]
    (worked_on,) = [r.context.budget for r in lm._worker._worker.lm.requests]
    assert listed == 100.0
    assert listed > worked_on > checked > delivered > 90.0


@pytest.mark.parametrize(
    ("last", "text", "reason"),
    [
        (Reply(""), "one\nfirst", "stop"),
        (Reply("", reason="deadline"), "one\nfirst", "deadline"),
        (Reply("The rep", reason="budget", detail="$1."), "The rep\n\none\nfirst", "budget"),
    ],
)
async def test_a_deliverable_that_was_not_written_is_what_was_found(last, text, reason):
    planner = [plan("one"), OK, last, "The whole report."]
    lm = autonomous(planner, ["first"])
    journal = MemoryJournal()
    events = [event async for event in lm.work(GOAL, journal)]
    end = events[-1]
    assert (text_of(end.message), end.reason) == (text, reason)
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert said == text
    assert "what the tasks gave stands instead" in end.detail
    assert steps(events, "found") == [end.detail]
    again = [event async for event in lm.resume(journal)][-1]
    expected = "The whole report." if reason != "stop" else text
    assert text_of(again.message) == expected


async def test_a_planner_whose_stream_has_no_end_is_an_error_and_not_asked_for_ever():
    class Broken(ScriptedLM):
        async def stream(self, request: Request):  # type: ignore[no-untyped-def, override]
            async for event in super().stream(request):
                if not (isinstance(event, Finished) and text_of(event.message) == "All."):
                    yield event

    planner = Broken([plan("one"), OK, "All.", "All of it."], capabilities=WIDE)
    agent = Agent(ScriptedLM(["done"], capabilities=WIDE), [], call_tool)
    lm, journal = Autonomous(planner, agent), MemoryJournal()
    with pytest.raises(KataribeError, match="sent no end of the deliverable"):
        assert [event async for event in lm.work(GOAL, journal)]
    assert len(planner.requests) == 3
    end = [event async for event in lm.resume(journal)][-1]
    assert text_of(end.message) == "All of it."  # nothing was done twice


async def test_a_plan_that_a_limit_cuts_is_made_when_the_run_goes_on():
    planner = [Reply('{"tas', reason="budget", detail="$1."), plan("one"), OK, "All."]
    lm = autonomous(planner, ["first"])
    journal = MemoryJournal()
    end = [event async for event in lm.work(GOAL, journal)][-1]
    assert (end.reason, text_of(end.message)) == ("budget", "")
    assert "$1. 0 tasks done" in end.detail
    end = [event async for event in lm.resume(journal)][-1]
    assert (end.reason, text_of(end.message)) == ("stop", "All.")
    assert [task.title for task in Run(journal).tasks] == ["one"]


async def test_a_model_without_calls_of_tools_works_in_text():
    mute = ScriptedLM(
        [
            'Thought: compute.\nAction: times\nAction Input: {"a": 6, "b": 7}',
            "Thought: done.\nFinal Answer: 42",
        ],
        capabilities=replace(WIDE, tools=False),
    )
    tool = Plain("times", lambda a, b: str(a * b))
    planner = ScriptedLM([plan("multiply"), OK, "The report."], capabilities=WIDE)
    lm = Autonomous(planner, Agent(InText(mute), [tool], call_tool))
    events, end, outcome = await worked(lm)
    assert (text_of(end.message), outcome.tasks[0].text) == ("The report.", "42")
    assert steps(events, "result") == ["times: 42"]


async def test_without_tools_any_model_is_an_agent():
    mute = ScriptedLM(["first"], capabilities=replace(WIDE, tools=False))
    planner = ScriptedLM([plan("one"), OK, "All."], capabilities=WIDE)
    _, end, _ = await worked(Autonomous(planner, Agent(mute, [], call_tool)))
    assert text_of(end.message) == "All."


async def test_consent_is_asked_for_and_the_run_goes_on(tmp_path: Path):
    sent = Plain("send", lambda to: f"sent to {to}")
    options = AutonomousOptions(runs=FolderTurns(tmp_path))
    script = [plan("write", "count"), OK, OK, "All."]
    lm = autonomous(
        script, [calls(("send", {"to": "ann"})), "It is sent.", "One."], sent, options=options
    )
    _, end = await listen(lm, GOAL)
    assert end.reason == "approval"
    (call,) = calls_of(end)
    assert sent.calls == []
    request = going_on(GOAL, end, approve(call))
    events, end = await listen(lm, request)
    assert (text_of(end.message), sent.calls) == ("All.", [{"to": "ann"}])
    assert steps(events, "task") == ["1 of 2: write", "2 of 2: count"]
    _, again = await listen(lm, request)
    assert text_of(again.message) == "All."
    assert len(sent.calls) == 1


async def test_a_refusal_is_told_to_the_worker():
    sent = Plain("send", lambda to: "sent")
    lm = autonomous(
        [plan("write"), OK, "All."], [calls(("send", {"to": "ann"})), "I may not."], sent
    )
    _, end = await listen(lm, GOAL)
    _, end = await listen(lm, going_on(GOAL, end, refuse(*calls_of(end), why="no")))
    assert (text_of(end.message), sent.calls) == ("All.", [])


async def test_an_answer_to_an_unknown_run_is_refused():
    sent = Plain("send", lambda to: "sent")
    lm = autonomous([plan("write")], [calls(("send", {"to": "ann"}))], sent)
    _, end = await listen(lm, GOAL)
    other = autonomous([], [], sent)
    with pytest.raises(NotFoundError, match="not known here"):
        await listen(other, going_on(GOAL, end, approve(*calls_of(end))))
    ours = replace(going_on(GOAL, end, approve(*calls_of(end))), context=Context(user="eve"))
    with pytest.raises(NotFoundError):
        await listen(lm, ours)
    assert sent.calls == []


async def test_closing_stops_what_runs():
    async def hang() -> str:
        await asyncio.sleep(60)
        return "never"

    tool = Plain("hang", hang)
    lm = autonomous([plan("one")], [calls(("hang", {}))], tool)
    task = asyncio.create_task(worked(lm))
    await until(lambda: tool.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tool.running, tool.stopped) == (0, 1)


async def test_a_model_that_fails_leaves_a_run_that_goes_on():
    tool = TIMES()
    journal = MemoryJournal()
    lm = autonomous(
        [plan("one"), ProviderError("gone"), OK, "All."],
        [calls(("times", {"a": 6, "b": 7})), "42"],
        tool,
    )
    with pytest.raises(ProviderError):
        _ = [event async for event in lm.work(GOAL, journal)]
    events = [event async for event in lm.resume(journal)]
    assert text_of(events[-1].message) == "All."
    assert len(tool.calls) == 1


async def test_a_finished_run_says_its_deliverable_again():
    journal = MemoryJournal()
    lm = autonomous([plan("one"), OK, "All."], ["42"])
    first = [event async for event in lm.work(GOAL, journal)][-1]
    again = [event async for event in lm.resume(journal)][-1]
    assert again.message == first.message
    assert (again.usage.prompt_tokens, again.usage.completion_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (replace(GOAL, n=2), UnsupportedError, "one goal"),
        (replace(GOAL, tools=(ToolSpec("x"),)), UnsupportedError, "cannot call tools"),
        (Request("raw"), UnsupportedError, "chats only"),
        (Request((text_message("assistant", "Hi."),)), InputError, "goal is needed"),
    ],
)
async def test_what_a_run_cannot_do_is_refused(request_, error, words):
    with pytest.raises(error, match=words):
        await reply(autonomous([], []), request_)


async def test_a_journal_without_a_goal_cannot_be_resumed():
    with pytest.raises(InputError, match="no goal"):
        _ = [event async for event in autonomous([], []).resume(MemoryJournal())]


@pytest.mark.parametrize("change", [{"tasks": 0}, {"attempts": 0}, {"tokens": 0}, {"dollars": 1.0}])
def test_options_that_make_no_sense_are_refused(change):
    with pytest.raises(InputError):
        AutonomousOptions(**change)


async def test_parts_beside_the_words_of_a_goal_stay():
    message = Message("user", (TextPart("Look: "), TextPart("this.")))
    lm = autonomous([plan("one"), OK, "All."], ["42"])
    await worked(lm, Request((text_message("system", "Be kind."), message)))
    asked = lm._planner.requests[0].prompt
    assert asked[0] == text_message("system", "Be kind.")
    assert asked[1].parts[:2] == message.parts


# Killed


def child(journal: Path, effects: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, str(autonomous_child.__file__), str(journal), str(effects)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def run_until_killed(journal: Path, effects: Path, records: int) -> str | None:
    """Kills the process when it has kept so many further records; its end if it came first."""
    with child(journal, effects) as process:
        assert process.stdout is not None
        end = None
        for number, line in enumerate(process.stdout, 1):
            if line.startswith("end "):
                end = line.removeprefix("end ").strip()
            elif number == records:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    assert process.returncode == (0 if end is not None else -signal.SIGKILL)
    return end


@pytest.mark.parametrize("each", [2, 5])
def test_killed_between_steps_it_goes_on_and_repeats_no_call(each: int, tmp_path: Path):
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    journal, effects = tmp_path / "run.jsonl", tmp_path / "effects"
    effects.touch()  # every call may be killed between its beginning and its effect
    end, kills = None, 0
    while end is None:
        kills += 1
        assert kills < 60
        end = run_until_killed(journal, effects, dice.randrange(1, 2 * each))
    assert end == "The deliverable."
    assert kills > 2
    with open_journal(journal) as kept:
        records = kept.records()
    outcome = Run(kept).outcome()
    assert [task.state for task in outcome.tasks] == ["done"] * 3
    turns = [record["record"] for record in records if record["kind"] == "turn"]
    begun = Counter(record["call"] for record in turns if record["kind"] == "begun")
    made = Counter(effects.read_text().split("\n")[:-1])
    assert set(begun.values()) == {1}
    assert set(made.values()) <= {1}  # not one call had its effect twice
    unknown = [r for r in turns if r["kind"] == "result" and "not known" in r["content"]]
    assert len(made) + len(unknown) >= 2 * autonomous_child.TASKS
    plans = [record for record in records if record["kind"] == "plan"]
    assert len(plans) == 1
    assert records[-1]["kind"] == "deliverable"


async def test_killed_or_not_the_run_comes_to_the_same(tmp_path: Path):
    effects = tmp_path / "effects"
    lm = autonomous_child.made(effects)
    _, end, outcome = await worked(lm, autonomous_child.GOAL)
    assert text_of(end.message) == "The deliverable."
    assert len(effects.read_text().splitlines()) == 2 * autonomous_child.TASKS
    assert len(outcome.tasks) == autonomous_child.TASKS
