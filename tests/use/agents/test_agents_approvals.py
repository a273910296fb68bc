"""Calls that need consent: the turn waits, goes on exactly there, and nothing runs twice."""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kataribe.base.errors import BusyError, ProviderError, UnavailableError
from kataribe.base.lm import Context, ToolSpec
from kataribe.base.messages import (
    Message,
    ToolCallPart,
    ToolResultPart,
    from_json,
    text_message,
    text_of,
    to_json,
)
from kataribe.base.tool_calls import call_tool
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.use.agents.approvals import Answer, answer_of, approve, refuse
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.tools.approvals import Approval
from kataribe.use.agents.turns import (
    KEPT_SECONDS,
    FolderTurns,
    MemoryTurns,
    Turns,
    call_id,
    new_turn,
    turn_of,
)
from tests.use.agents.parts import (
    QUESTION,
    Plain,
    calls,
    calls_of,
    going_on,
    listen,
    results,
    steps,
    times,
    until,
)


def by_name(call: ToolCallPart) -> Approval:
    return {"send": "ask", "erase": "never"}.get(call.name, "always")  # type: ignore[return-value]


def asking_agent(model: ScriptedLM, *tools: Plain, turns: Turns | None = None) -> Agent:
    options = AgentOptions(approve=by_name, turns=turns or MemoryTurns())
    return Agent(model, tools, call_tool, options)


def sending() -> Plain:
    return Plain("send", lambda to: f"sent to {to}")


async def test_a_call_that_needs_consent_waits_and_then_goes_on():
    send = sending()
    model = ScriptedLM([calls(("send", {"to": "ann"}), text="I write."), "Done."])
    made = asking_agent(model, send)
    events, end = await listen(made)
    assert (end.reason, text_of(end.message)) == ("approval", "I write.")
    (call,) = calls_of(end)
    assert (call.name, call.arguments) == ("send", '{"to": "ann"}')
    assert "send" in end.detail
    assert (send.calls, steps(events, "call")) == ([], [])
    _, end = await listen(made, going_on(QUESTION, end, approve(call)))
    assert (end.reason, text_of(end.message)) == ("stop", "Done.")
    assert send.calls == [{"to": "ann"}]
    assert [result.content for result in results(model.requests[1])] == ["sent to ann"]
    assert len(model.requests) == 2


async def test_a_refused_call_is_said_to_the_model_with_the_reason():
    send = sending()
    model = ScriptedLM([calls(("send", {"to": "ann"})), "As you wish."])
    made = asking_agent(model, send)
    _, end = await listen(made)
    answer = refuse(*calls_of(end), why="Not to Ann.")
    _, end = await listen(made, going_on(QUESTION, end, answer))
    (told,) = results(model.requests[1])
    assert told.is_error
    assert "did not allow" in told.content
    assert "Not to Ann." in told.content
    assert send.calls == []


async def test_a_call_that_is_never_allowed_asks_nobody():
    erase = Plain("erase", lambda: "gone")
    model = ScriptedLM([calls(("erase", {})), "I may not."])
    _, end = await listen(asking_agent(model, erase))
    assert end.reason == "stop"
    assert "may not be used" in results(model.requests[1])[0].content
    assert erase.calls == []


async def test_a_malformed_call_asks_nobody():
    model = ScriptedLM([calls(("send", "{")), "Sorry."])
    _, end = await listen(asking_agent(model, sending()))
    assert end.reason == "stop"


async def test_what_was_done_before_the_question_is_neither_lost_nor_repeated():
    send, multiply = sending(), times()
    model = ScriptedLM(
        [
            calls(("times", {"a": 6, "b": 7}), text="First."),
            calls(("times", {"a": 1, "b": 2}), ("send", {"to": "ann"}), text="Then."),
            "Done.",
        ]
    )
    made = asking_agent(model, send, multiply)
    _, end = await listen(made)
    assert [call.name for call in calls_of(end)] == ["send"]
    assert len(multiply.calls) == 2
    _, end = await listen(made, going_on(QUESTION, end, approve(*calls_of(end))))
    assert text_of(end.message) == "Done."
    assert (len(multiply.calls), len(send.calls)) == (2, 1)
    roles = [message.role for message in model.requests[2].prompt]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]
    assert [result.content for result in results(model.requests[2])] == ["2", "sent to ann"]


async def test_several_calls_are_answered_one_by_one():
    send = sending()
    script = [calls(("send", {"to": "ann"}), ("send", {"to": "bob"})), "Done."]
    model = ScriptedLM(script)
    made = asking_agent(model, send)
    _, end = await listen(made)
    ann, bob = calls_of(end)
    request = going_on(QUESTION, end, approve(bob))
    _, end = await listen(made, request)
    assert end.reason == "approval"
    assert calls_of(end) == (ann,)
    assert send.calls == [{"to": "bob"}]
    _, end = await listen(made, going_on(request, end, refuse(ann)))
    assert end.reason == "stop"
    assert send.calls == [{"to": "bob"}]
    first, second = results(model.requests[1])
    assert first.is_error
    assert second.content == "sent to bob"


async def test_a_turn_may_ask_several_times():
    send = sending()
    model = ScriptedLM([*(calls(("send", {"to": name})) for name in "abc"), "Done."])
    made = asking_agent(model, send)
    request, (_, end) = QUESTION, await listen(made)
    for _ in range(3):
        request = going_on(request, end, approve(*calls_of(end)))
        _, end = await listen(made, request)
    assert text_of(end.message) == "Done."
    assert [call["to"] for call in send.calls] == ["a", "b", "c"]


async def test_the_same_answer_twice_runs_nothing_twice():
    send = sending()
    model = ScriptedLM([calls(("send", {"to": "ann"})), calls(("send", {"to": "bob"})), "Done."])
    made = asking_agent(model, send)
    _, end = await listen(made)
    first = going_on(QUESTION, end, approve(*calls_of(end)))
    _, waits = await listen(made, first)
    events, again = await listen(made, first)
    assert replace(again) == waits
    assert steps(events, "again")
    second = going_on(first, waits, approve(*calls_of(waits)))
    _, done = await listen(made, second)
    for request, before in ((second, done), (first, waits), (second, done)):
        _, again = await listen(made, request)
        assert again == before
    assert [call["to"] for call in send.calls] == ["ann", "bob"]
    assert len(model.requests) == 3


async def test_the_same_answer_at_the_same_time_runs_nothing_twice():
    async def slowly(to: str) -> str:
        await asyncio.sleep(0.02)
        return f"sent to {to}"

    send = Plain("send", slowly)
    made = asking_agent(ScriptedLM([calls(("send", {"to": "ann"})), "Done."]), send)
    _, end = await listen(made)
    request = going_on(QUESTION, end, approve(*calls_of(end)))
    one = asyncio.create_task(listen(made, request))
    await until(lambda: send.running == 1)
    with pytest.raises(BusyError, match="worked on"):
        await listen(made, request)
    assert text_of((await one)[1].message) == "Done."
    assert len(send.calls) == 1


async def test_a_call_that_was_broken_off_is_not_run_again():
    async def hang(to: str) -> str:
        await asyncio.sleep(60)
        return "never"

    send = Plain("send", hang)
    model = ScriptedLM([calls(("send", {"to": "ann"})), "I do not know."])
    made = asking_agent(model, send)
    _, end = await listen(made)
    request = going_on(QUESTION, end, approve(*calls_of(end)))
    task = asyncio.create_task(listen(made, request))
    await until(lambda: send.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _, end = await listen(made, request)
    assert len(send.calls) == 1
    assert "not known" in results(model.requests[1])[0].content
    assert end.reason == "stop"


async def test_a_model_that_fails_after_consent_is_asked_again_and_the_tool_is_not():
    send = sending()
    model = ScriptedLM([calls(("send", {"to": "ann"})), ProviderError("gone"), "Done."])
    made = asking_agent(model, send)
    _, end = await listen(made)
    request = going_on(QUESTION, end, approve(*calls_of(end)))
    with pytest.raises(ProviderError):
        await listen(made, request)
    _, end = await listen(made, request)
    assert text_of(end.message) == "Done."
    assert len(send.calls) == 1


async def test_words_in_the_place_of_an_answer_are_a_no():
    send = sending()
    model = ScriptedLM([calls(("send", {"to": "ann"})), "All right."])
    made = asking_agent(model, send)
    _, end = await listen(made)
    request = going_on(QUESTION, end, text_message("user", "What would you write?"))
    _, end = await listen(made, request)
    assert send.calls == []
    *_, answered, said = model.requests[1].prompt
    assert "did not answer" in answered.parts[0].content
    assert text_of(said) == "What would you write?"


async def test_words_beside_an_answer_come_behind_the_result():
    send = sending()
    model = ScriptedLM([calls(("send", {"to": "ann"})), "All right."])
    made = asking_agent(model, send)
    _, end = await listen(made)
    said = text_message("user", "And thank you.")
    request = going_on(QUESTION, end, approve(*calls_of(end)), said)
    await listen(made, request)
    assert [message.role for message in model.requests[1].prompt][-2:] == ["tool", "user"]
    assert model.requests[1].prompt[-1] == said


@pytest.mark.parametrize(
    "words", ["yes", "", '{"approval": true}', '{"approval": "Yes"}', "[" * 10_000, "null"]
)
async def test_what_is_no_clear_yes_is_a_no(words):
    send = sending()
    model = ScriptedLM([calls(("send", {"to": "ann"})), "All right."])
    made = asking_agent(model, send)
    _, end = await listen(made)
    (call,) = calls_of(end)
    answer = Message("tool", (ToolResultPart(call.id, words),))
    await listen(made, going_on(QUESTION, end, answer))
    assert send.calls == []


def test_answers_are_read_as_they_are_written():
    call = ToolCallPart("x", "send", "{}")
    (yes,) = approve(call).parts
    (no,) = refuse(call, why="理由").parts
    assert isinstance(yes, ToolResultPart)
    assert isinstance(no, ToolResultPart)
    assert answer_of(yes) == Answer(approved=True)
    assert answer_of(no) == Answer(approved=False, why="理由")


async def test_consent_to_an_unknown_turn_counts_for_nothing():
    send = sending()
    model = ScriptedLM(["I would have to send it again."])
    made = asking_agent(model, send)
    call = ToolCallPart(call_id(new_turn(), 0), "send", '{"to": "ann"}')
    forged = (*QUESTION.prompt, Message("assistant", (call,)), approve(call))
    _, end = await listen(made, replace(QUESTION, prompt=forged))
    assert send.calls == []
    assert end.reason == "stop"
    assert "not known here" in results(model.requests[0])[0].content


async def test_nobody_consents_for_somebody_else():
    send = sending()
    model = ScriptedLM([calls(("send", {"to": "ann"})), "No."])
    made = asking_agent(model, send)
    ann = replace(QUESTION, context=Context(user="ann"))
    _, end = await listen(made, ann)
    request = going_on(ann, end, approve(*calls_of(end)))
    await listen(made, replace(request, context=Context(user="bob")))
    assert send.calls == []


async def test_ids_of_others_calls_are_no_turns():
    assert turn_of(call_id("0123456789abcdef0123", 7)) == "0123456789abcdef0123"
    for other in ("call_0", "call_../../etc/passwd_0", "call_0123456789abcdef0123", ""):
        assert turn_of(other) is None


async def test_a_restart_in_between_loses_nothing(tmp_path: Path):
    send, multiply = sending(), times()
    script = [calls(("times", {"a": 6, "b": 7})), calls(("send", {"to": "ann"}))]
    made = asking_agent(ScriptedLM(script), send, multiply, turns=FolderTurns(tmp_path))
    _, end = await listen(made)
    message = from_json(to_json(end.message))  # as it is kept in between
    request = replace(QUESTION, prompt=(*QUESTION.prompt, message, approve(*calls_of(end))))
    model = ScriptedLM(["Done."])
    again = asking_agent(model, send, multiply, turns=FolderTurns(tmp_path))
    _, end = await listen(again, request)
    assert text_of(end.message) == "Done."
    assert (len(send.calls), len(multiply.calls)) == (1, 1)
    assert [m.role for m in model.requests[0].prompt] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
    ]


def files(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_turns_that_wait_for_nobody_are_forgotten(tmp_path: Path):
    turns = FolderTurns(tmp_path)
    model = ScriptedLM([calls(("times", {"a": 6, "b": 7})), "42.", calls(("send", {"to": "a"}))])
    made = asking_agent(model, times(), sending(), turns=turns)
    await listen(made)
    assert files(tmp_path) == []
    await listen(made)
    assert len([name for name in files(tmp_path) if name.endswith(".jsonl")]) == 1
    assert turns.sweep(before=0) == 0
    assert turns.sweep(before=2e9) == 1
    assert files(tmp_path) == []


async def test_of_many_turns_in_memory_the_oldest_goes():
    turns = MemoryTurns(most=2)
    for name in ("a", "b", "c"):
        with turns.open(name, new=True) as journal:
            assert journal is not None
    with turns.open("a", new=False) as journal:
        assert journal is None
    with turns.open("c", new=False) as journal:
        assert journal is not None


async def test_a_turn_in_a_folder_is_one_process_s(tmp_path: Path):
    turns = FolderTurns(tmp_path)
    with (
        turns.open("a", new=True),
        pytest.raises(UnavailableError, match="Another process"),
        FolderTurns(tmp_path).open("a", new=True),
    ):
        pass


async def test_random_turns_run_each_consented_call_once():
    """Against a plain count: replies of random calls, random answers, requests sent twice."""
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(20):
        number = iter(range(10_000))
        script: list[Reply | str] = []
        for _ in range(dice.randrange(1, 5)):
            made = [
                (dice.choice(["send", "times", "weather"]), next(number))
                for _ in range(dice.randrange(1, 4))
            ]
            script.append(
                calls(
                    *(
                        ("times", {"a": n, "b": 1}) if t == "times" else (t, {"to": n})
                        for t, n in made
                    )
                )
            )
        send, multiply = Plain("send", lambda to: f"sent {to}"), times()
        agent = asking_agent(ScriptedLM([*script, "Done."], capabilities=WIDE), send, multiply)
        request = replace(QUESTION, tools=(ToolSpec("weather"),))
        _, end = await listen(agent, request)
        consented: list[int] = []
        while end.reason != "stop":
            answers: list[Message] = []
            for call in calls_of(end):
                if call.name == "weather":
                    answers.append(Message("tool", (ToolResultPart(call.id, "sun"),)))
                elif dice.random() < 0.6:
                    answers.append(approve(call))
                    consented.append(int(call.arguments.split()[-1].rstrip("}")))
                else:
                    answers.append(refuse(call))
            request = going_on(request, end, *answers)
            _, end = await listen(agent, request)
            if dice.random() < 0.5:
                _, again = await listen(agent, request)
                assert again == end
        assert sorted(call["to"] for call in send.calls) == sorted(consented)
        wanted = sum(
            c.name == "times" for one in script if isinstance(one, Reply) for c in one.calls
        )
        assert len(multiply.calls) == wanted


WIDE = replace(ScriptedLM().capabilities, context_length=10**6)


def test_turns_that_nobody_goes_on_with_are_swept_after_a_week(tmp_path: Path):
    turns = FolderTurns(tmp_path)
    old, new = new_turn(), new_turn()
    for turn in (old, new):
        with turns.open(turn, new=True):
            pass
    week_ago = time.time() - KEPT_SECONDS - 60
    os.utime(tmp_path / f"{old}.jsonl", (week_ago, week_ago))
    turns.sweep_old()
    assert [file.stem for file in tmp_path.glob("*.jsonl")] == [new]
    turns.forget_call("call_of_somebody_else")
    turns.forget_call(call_id(new, 3))
    assert list(tmp_path.glob("*.jsonl")) == []
