"""Limits end cleanly, with what was found; what is inside shares what is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from kataribe.base.errors import InputError, ProviderError, UnsupportedError
from kataribe.base.events import Event, Finished, TextDelta, ToolCallDelta, Usage
from kataribe.base.lm import Context, Request, replies, reply
from kataribe.base.messages import Message, TextPart, text_of
from kataribe.prove.ops.accounts import current
from kataribe.prove.ops.ledger import Ledger
from kataribe.prove.ops.limits import GRACE, Limited, Limits
from kataribe.prove.ops.meter import Metered
from kataribe.prove.ops.spent import free
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from tests.prove.ops.techniques import QUESTION, Chain, Votes, until

PROMPT = len("What is it?") + 1
FOREVER = Reply("word " * 500, pace=0.002)


def cents(usage: Usage) -> float:
    return (usage.prompt_tokens + usage.completion_tokens) * 0.01


async def collect(lm, request=QUESTION):
    events = [event async for event in lm.stream(request)]
    finished = [event for event in events if isinstance(event, Finished)]
    assert events[-1] is finished[-1]
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    return finished[0], said


async def test_without_limits_everything_passes():
    model = ScriptedLM("one two three")
    plain = [event async for event in model.stream(QUESTION)]
    assert [event async for event in Limited(model, Limits(), free).stream(QUESTION)] == plain
    assert model.requests[0] is model.requests[1]
    wide = Limited(model, Limits(10, 1000, 60.0, 5.0), free)
    assert [event async for event in wide.stream(QUESTION)] == plain


async def test_tokens_end_a_reply_with_what_was_said():
    model = ScriptedLM("one two three four five")
    finished, said = await collect(Limited(model, Limits(tokens=10), free))
    assert finished.reason == "budget"
    assert text_of(finished.message) == said == "one two three"
    assert finished.usage.completion_tokens == 13
    assert "10 tokens" in finished.detail
    assert "13 were used" in finished.detail
    assert (model.running, model.abandoned) == (0, 1)


async def test_a_reply_that_just_fits_is_whole():
    model = ScriptedLM("one two")
    finished, said = await collect(Limited(model, Limits(tokens=PROMPT + 7), free))
    assert said == "one two"
    assert finished.reason == "stop"


async def test_tokens_that_a_model_does_not_count_are_estimated():
    class Silent(ScriptedLM):
        async def stream(self, request: Request) -> AsyncIterator[Event]:
            for _ in range(100):
                yield TextDelta("日本語です。")  # 18 bytes
            raise AssertionError("nobody stopped it")

    finished, said = await collect(Limited(Silent(), Limits(tokens=12), free))
    assert finished.reason == "budget"
    assert len(said) == 3 * 6
    assert finished.usage.completion_tokens == 14


async def test_time_ends_a_reply_with_what_was_said():
    model = ScriptedLM(FOREVER)
    began = time.monotonic()
    finished, said = await collect(Limited(model, Limits(seconds=0.1), free))
    assert finished.reason == "deadline"
    assert said
    assert text_of(finished.message) == said
    assert "0.1 s" in finished.detail
    assert time.monotonic() - began < 30
    assert model.running == 0


async def test_time_ends_a_model_that_says_nothing():
    model = ScriptedLM(Reply("late", delay=60))
    finished, said = await collect(Limited(model, Limits(seconds=0.05), free))
    assert (finished.reason, said) == ("deadline", "")
    assert (model.running, model.abandoned) == (0, 1)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_request_s_deadline_and_budget_hold_too_and_are_handed_on():
    model = ScriptedLM(FOREVER)
    deadline = time.monotonic() + 0.05
    request = replace(QUESTION, context=Context(deadline=deadline, budget=9.0))
    finished, _ = await collect(Limited(model, Limits(seconds=60, dollars=3.0), free), request)
    assert finished.reason == "deadline"
    assert model.requests[0].context == Context(deadline=deadline, budget=3.0)


async def test_a_deadline_that_has_passed_asks_nobody():
    model = ScriptedLM(FOREVER)
    request = replace(QUESTION, context=Context(deadline=time.monotonic() - 1))
    finished, said = await collect(Limited(model, Limits(), free), request)
    assert (finished.reason, said, model.requests) == ("deadline", "", [])
    assert finished.usage == Usage(0, 0)


async def test_money_ends_a_reply_while_it_is_said():
    model = ScriptedLM("word " * 100)
    finished, said = await collect(Limited(model, Limits(dollars=0.20), cents))
    assert finished.reason == "budget"
    assert len(said) == finished.usage.completion_tokens == 24
    assert "$0.2" in finished.detail
    assert "$0.24 was spent" in finished.detail


async def test_money_without_a_price_is_refused_at_once():
    model = ScriptedLM("word")
    lm = Limited(model, Limits(dollars=0.20), lambda _: None)
    with pytest.raises(UnsupportedError, match=r"price of scripted.*\$0\.2"):
        await reply(lm, QUESTION)
    assert model.requests == []
    inner = Limited(model, Limits(), lambda _: None)
    finished, _ = await collect(Limited(Chain(inner, 2), Limits(tokens=99), free))
    assert finished.reason == "stop"  # without a limit of money nobody needs a price


async def test_calls_inside_share_what_is_left():
    model = ScriptedLM("0123456789")
    inner = Limited(model, Limits(), cents)
    each = PROMPT + 10
    technique = Votes(inner, 1)
    lm = Limited(Chain(technique, 9), Limits(tokens=3 * each + 5), free)
    finished, _ = await collect(lm)
    assert finished.reason == "budget"
    assert len(model.requests) == 4  # the fourth was begun, and ended in its first word
    assert finished.usage.prompt_tokens + finished.usage.completion_tokens <= 4 * each


async def test_steps_are_calls_of_models():
    model = ScriptedLM("again ")
    lm = Limited(Chain(Limited(model, Limits(), free), 9), Limits(steps=3), free)
    finished, said = await collect(lm)
    assert finished.reason == "budget"
    assert said == "again again again "
    assert len(model.requests) == 3
    assert finished.detail == "A limit of 3 model calls: all of them were made."
    finished, _ = await collect(Limited(ScriptedLM("a b"), Limits(steps=1), free))
    assert finished.reason == "stop"


async def test_a_technique_s_paths_side_by_side_share_the_money_and_it_rounds_off():
    model = ScriptedLM(Reply("word " * 20, pace=0.002))
    technique = Votes(Limited(model, Limits(), cents), 5)
    finished, said = await collect(Limited(technique, Limits(dollars=1.0), free))
    assert len(technique.seen) == 5
    assert {one.reason for one in technique.seen} == {"budget"}
    assert finished.reason == "budget"
    assert "$1" in finished.detail
    assert said.count("|") == 4  # what each of them had is in the answer
    spent = sum(cents(one.usage) for one in technique.seen)
    assert 1.0 < spent < 1.0 + 5 * PROMPT * 0.01 + 5 * 0.05


async def test_a_technique_whose_calls_know_no_limits_is_cut():
    ledger = Ledger()
    model = ScriptedLM(Reply("word " * 5000, pace=0.001))
    technique = Votes(Metered(model, ledger, free), 3)
    finished, said = await collect(Limited(technique, Limits(tokens=60), free))
    assert (finished.reason, said) == ("budget", "")
    assert model.running == 0
    assert ledger.total.completion_tokens == finished.usage.completion_tokens >= 60


async def test_an_error_of_a_technique_whose_calls_were_ended_is_none():
    class Strict(Votes):
        async def stream(self, request: Request) -> AsyncIterator[Event]:
            yield TextDelta("so far")
            found = await reply(self.lm, request)
            if found.reason != "stop":
                raise ProviderError("It did not finish.")
            yield found

    model = Limited(ScriptedLM("word " * 100), Limits(), free)
    finished, said = await collect(Limited(Strict(model, 1), Limits(tokens=50), free))
    assert (finished.reason, said) == ("budget", "so far")
    assert text_of(finished.message) == "so far"


async def test_an_error_within_the_limits_stays_one():
    lm = Limited(
        ScriptedLM(Reply("a b", error=ProviderError("gone"), fail_after=1)), Limits(9), free
    )
    with pytest.raises(ProviderError):
        await reply(lm, QUESTION)


async def test_limits_inside_limits_end_the_inner_call_only():
    inner = Limited(ScriptedLM(FOREVER), Limits(seconds=0.05), free)
    finished, said = await collect(Limited(Chain(inner, 2), Limits(seconds=60), free))
    assert finished.reason == "stop"
    assert said


async def test_the_same_deadline_inside_and_outside_ends_once():
    lm = ScriptedLM(Reply("late", delay=60))
    wrapped = Limited(
        Limited(Limited(lm, Limits(), free), Limits(), free), Limits(seconds=0.05), free
    )
    finished, _ = await collect(wrapped)
    assert finished.reason == "deadline"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(2 * GRACE)  # no timer is left to cancel anybody


async def test_a_technique_that_rounds_off_at_the_deadline_says_so():
    model = ScriptedLM(Reply("late", delay=60))
    technique = Votes(Limited(model, Limits(), free), 2)
    finished, said = await collect(Limited(technique, Limits(seconds=0.05), free))
    assert [one.reason for one in technique.seen] == ["deadline"] * 2
    assert (finished.reason, said) == ("deadline", " | ")
    assert "0.05 s" in finished.detail


async def test_cancelling_from_outside_is_no_deadline():
    model = ScriptedLM(Reply("late", delay=60))
    task = asyncio.create_task(collect(Limited(model, Limits(seconds=50), free)))
    await until(lambda: model.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.running == 0
    assert current.get() is None


async def test_closing_stops_what_is_inside_at_once():
    model = ScriptedLM(FOREVER)
    stream = Limited(Chain(Limited(model, Limits(), free), 2), Limits(tokens=500), free).stream(
        QUESTION
    )
    await anext(stream)
    await stream.aclose()
    assert (model.running, model.abandoned) == (0, 1)


async def test_a_slow_reader_is_not_cancelled():
    model = ScriptedLM("one two three")
    async with aclosing(Limited(model, Limits(seconds=0.05), free).stream(QUESTION)) as events:
        first = await anext(events)
        await asyncio.sleep(0.05 + 2 * GRACE)
        rest = [event async for event in events]
    assert isinstance(first, TextDelta)
    assert isinstance(rest[-1], Finished)
    assert rest[-1].reason == "deadline"


async def test_half_a_tool_call_is_left_out():
    model = ScriptedLM(Reply("Let me see.", calls=(Call("look", {"where": "there"}),)))

    class Endless(ScriptedLM):
        async def stream(self, request: Request) -> AsyncIterator[Event]:
            async for event in model.stream(request):
                yield event
                if isinstance(event, ToolCallDelta) and event.arguments:
                    await asyncio.sleep(60)

    finished, _ = await collect(Limited(Endless(), Limits(seconds=0.05), free))
    assert finished.message == Message("assistant", (TextPart("Let me see."),))
    assert "1 tool calls" in finished.detail


async def test_each_choice_ends_with_what_it_had():
    model = ScriptedLM([["short", "word " * 50, "word " * 50]])
    lm = Limited(model, Limits(tokens=PROMPT + 60), free)
    ends = await replies(lm, Request(QUESTION.prompt, n=3))
    assert [end.reason for end in ends] == ["stop", "budget", "budget"]
    # A scripted model says one choice after another: the second was being said.
    assert [len(text_of(end.message)) for end in ends] == [5, 59, 0]
    assert [end.usage.completion_tokens for end in ends] == [5, 59, 0]


async def test_an_unknown_price_inside_is_said_at_the_end():
    ledger = Ledger()
    inner = Metered(ScriptedLM("abc"), ledger, lambda _: None)
    finished, _ = await collect(Limited(Chain(inner, 2), Limits(dollars=1.0), free))
    assert finished.reason == "stop"
    assert "price of 2 calls" in finished.detail


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"steps": 0}, "0 steps"),
        ({"tokens": -1}, "-1 tokens"),
        ({"seconds": 0.0}, r"0\.0 seconds"),
        ({"seconds": float("nan")}, "nan seconds"),
        ({"dollars": -0.5}, r"-0\.5 dollars"),
    ],
)
def test_limits_that_leave_nothing_are_refused(limits, words):
    with pytest.raises(InputError, match=words):
        Limits(**limits)


async def test_a_budget_of_nothing_lets_what_is_free_pass():
    finished, _ = await collect(Limited(ScriptedLM("abc"), Limits(dollars=0.0), free))
    assert finished.reason == "stop"
    finished, _ = await collect(Limited(ScriptedLM("abc def"), Limits(dollars=0.0), cents))
    assert finished.reason == "budget"
