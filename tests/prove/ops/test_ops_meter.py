"""The meter: every call and all that it caused, each amount once, however calls end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from kataribe.base.errors import InputError, ProviderError
from kataribe.base.events import Event, Finished, Progress, TextDelta, Usage
from kataribe.base.lm import Context, Request, ToolSpec, replies, reply
from kataribe.base.messages import text_message
from kataribe.prove.ops.accounts import current
from kataribe.prove.ops.ledger import Ledger, Span, lines, trees
from kataribe.prove.ops.meter import Metered, MeteredTool
from kataribe.prove.ops.spent import Spent, free
from kataribe.run.providers.scripted import Reply, ScriptedLM
from tests.prove.ops.techniques import QUESTION, Chain, Votes, until

PROMPT = len("What is it?") + 1  # a scripted model's tokens are bytes, and one begins a message


def dear(usage: Usage) -> float:
    return usage.prompt_tokens * 0.001 + usage.completion_tokens * 0.01


def unknown(_: Usage) -> None:
    return None


def by_name(ledger: Ledger, name: str) -> list[Span]:
    return [span for span in ledger.spans() if span.name == name]


async def test_a_plain_call_is_one_span():
    ledger = Ledger()
    lm = Metered(ScriptedLM(Reply("four", cached_tokens=3, delay=0.01)), ledger, dear)
    request = Request(QUESTION.prompt, context=Context(user="ann", conversation="c1"))
    finished = await reply(lm, request)
    (span,) = ledger.spans()
    assert finished.usage == Usage(PROMPT, 4, 3)
    assert span.own == span.total == Spent(PROMPT, 3, 4, 1, pytest.approx(dear(finished.usage)), 0)
    assert (span.name, span.kind, span.user, span.conversation) == ("scripted", "lm", "ann", "c1")
    assert (span.parent, span.reason, span.exact, span.error) == (None, "stop", True, None)
    assert span.first is not None
    assert 0 < span.first <= span.whole
    assert ledger.total == span.own


async def test_what_a_technique_causes_is_below_it_and_counts_once():
    ledger = Ledger()
    model = Metered(ScriptedLM("abc"), ledger, dear)
    lm = Metered(Votes(model, 5), ledger, dear)
    await reply(lm, QUESTION)
    outer, inner = by_name(ledger, "votes")[0], by_name(ledger, "scripted")
    assert len(inner) == 5
    assert {span.parent for span in inner} == {outer.id}
    assert {span.trace for span in ledger.spans()} == {outer.trace}
    each = dear(Usage(PROMPT, 3))
    assert outer.own == Spent()
    assert outer.total == Spent(5 * PROMPT, 0, 15, 5, pytest.approx(5 * each))
    assert ledger.total == Spent(5 * PROMPT, 0, 15, 5, pytest.approx(5 * each))


async def test_a_technique_that_tells_no_usage_has_what_its_calls_used():
    ledger = Ledger()
    lm = Metered(
        Votes(Metered(ScriptedLM("abc"), ledger, dear), 4, tells_usage=False), ledger, free
    )
    await reply(lm, QUESTION)
    assert by_name(ledger, "votes")[0].total.completion_tokens == 12
    assert ledger.total.completion_tokens == 12


async def test_what_only_some_of_the_inner_calls_tell_is_the_outer_call_s_own():
    ledger = Ledger()
    bare = ScriptedLM("abc")

    class Half(Votes):
        """Its first path is metered, the others are not."""

        async def stream(self, request: Request) -> AsyncIterator[Event]:
            first = await reply(Metered(bare, ledger, dear), request)
            rest = [await reply(bare, request) for _ in range(2)]
            usage = Usage(3 * first.usage.prompt_tokens, 9)
            yield Finished(rest[0].message, usage, "stop")

    await reply(Metered(Half(bare, 3), ledger, dear), QUESTION)
    outer = by_name(ledger, "votes")[0]
    assert outer.total.completion_tokens == 9
    assert outer.own.completion_tokens == 6
    assert outer.own.dollars == pytest.approx(dear(Usage(2 * PROMPT, 6)))
    assert outer.total.dollars == pytest.approx(dear(Usage(3 * PROMPT, 9)))


async def test_meters_around_meters_count_once():
    ledger = Ledger()
    lm = Metered(Metered(Metered(ScriptedLM("abc"), ledger, dear), ledger, dear), ledger, dear)
    await reply(lm, QUESTION)
    assert ledger.total == Spent(PROMPT, 0, 3, 1, pytest.approx(dear(Usage(PROMPT, 3))))


async def test_a_tree_of_random_calls_adds_up_as_a_slow_count_does():
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    ledger = Ledger()
    models: list[ScriptedLM] = []

    def build(depth: int) -> Any:
        if depth == 0 or dice.random() < 0.3:
            models.append(ScriptedLM("x" * dice.randrange(1, 30), name=f"model{len(models)}"))
            lm: Any = models[-1]
        else:
            kind = dice.choice([Votes, Chain])
            lm = kind(build(depth - 1), dice.randrange(1, 4))
        leaf = isinstance(lm, ScriptedLM)
        return Metered(lm, ledger, dear if leaf else free) if leaf or dice.random() < 0.7 else lm

    roots = [build(4) for _ in range(5)]
    await asyncio.gather(*(reply(lm, QUESTION) for lm in roots))
    drawn = sum(len(str(model._script)) * len(model.requests) for model in models)
    calls = sum(len(model.requests) for model in models)
    assert ledger.total.completion_tokens == drawn
    assert ledger.total.prompt_tokens == calls * PROMPT
    assert ledger.total.steps == calls
    assert ledger.total.dollars == pytest.approx(dear(Usage(calls * PROMPT, drawn)))

    def summed(branch: Any) -> int:
        return branch.span.own.completion_tokens + sum(summed(one) for one in branch.inner)

    for branch in trees(ledger.spans()):
        assert branch.span.total.completion_tokens == summed(branch)


async def test_calls_side_by_side_do_not_mix():
    ledger = Ledger()
    model = Metered(ScriptedLM(Reply("abc", pace=0.001)), ledger, dear)
    lms = [Metered(Votes(model, paths), ledger, free) for paths in (1, 2, 3)]
    await asyncio.gather(*(reply(lm, QUESTION) for lm in lms))
    totals = sorted(span.total.completion_tokens for span in by_name(ledger, "votes"))
    assert totals == [3, 6, 9]
    assert len({span.trace for span in ledger.spans()}) == 3


async def test_streams_that_one_task_reads_in_turns_do_not_mix():
    ledger = Ledger()
    model = Metered(ScriptedLM("a b c d"), ledger, free)
    one, two = (Metered(Chain(model, 2), ledger, free).stream(QUESTION) for _ in range(2))
    async with aclosing(one), aclosing(two):
        for _ in range(3):
            await anext(one)
            await anext(two)
            assert current.get() is None
        await reply(model, QUESTION)  # whoever reads is not inside what is read
        async for _ in one:
            pass
        async for _ in two:
            pass
    chains = {span.id: span for span in by_name(ledger, "chain")}
    below = [span for span in by_name(ledger, "scripted") if span.parent in chains]
    assert len(below) == 4
    assert {span.total.completion_tokens for span in chains.values()} == {14}
    assert sum(span.parent is None for span in by_name(ledger, "scripted")) == 1


async def test_a_stream_that_is_closed_early_counts_what_was_used_and_says_so():
    ledger = Ledger()
    model = ScriptedLM(Reply("one two three", progress=(Progress("reading", 7, 12),)))
    stream = Metered(model, ledger, dear).stream(QUESTION)
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    await stream.aclose()
    (span,) = ledger.spans()
    assert (span.reason, span.exact, span.error) == ("closed", False, None)
    assert span.own == Spent(7, 0, 3, 1, pytest.approx(dear(Usage(7, 3))))
    assert (model.running, model.abandoned) == (0, 1)


async def test_a_closed_stream_of_a_model_that_tells_no_counts_is_estimated():
    ledger = Ledger()

    class Silent(ScriptedLM):
        async def stream(self, request: Request) -> AsyncIterator[Event]:
            yield TextDelta("twelve bytes")
            yield TextDelta("日本語です")  # 15 bytes
            await asyncio.sleep(60)

    stream = Metered(Silent(), ledger, dear).stream(QUESTION)
    await anext(stream)
    await anext(stream)
    await stream.aclose()
    (span,) = ledger.spans()
    assert not span.exact
    assert span.own.completion_tokens == 7
    assert span.own.prompt_tokens == 3  # 11 bytes


async def test_a_cancelled_technique_counts_the_calls_that_it_had_made():
    ledger = Ledger()
    model = ScriptedLM(Reply("one two three four", pace=0.05))
    lm = Metered(Votes(Metered(model, ledger, dear), 3), ledger, free)
    task = asyncio.create_task(reply(lm, QUESTION))
    await until(lambda: model.running == 3)
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (model.running, model.abandoned) == (0, 3)
    inner, outer = by_name(ledger, "scripted"), by_name(ledger, "votes")[0]
    assert len(inner) == 3
    assert {span.reason for span in ledger.spans() if span.kind == "lm"} == {"closed"}
    assert outer.total.completion_tokens == sum(span.own.completion_tokens for span in inner) > 0
    assert ledger.total == outer.total


async def test_a_task_that_outlives_its_call_is_counted_once():
    ledger = Ledger()
    model = Metered(ScriptedLM(Reply("one two three", pace=0.01)), ledger, dear)
    left: list[asyncio.Task[Finished]] = []

    class Careless(Votes):
        async def stream(self, request: Request) -> AsyncIterator[Event]:
            left.append(asyncio.create_task(reply(self.lm, request)))
            await asyncio.sleep(0.035)
            yield Finished(text_message("assistant", ""), Usage(0, 0), "stop")

    outermost = Metered(Chain(Metered(Careless(model, 1), ledger, free), 1), ledger, free)
    await reply(outermost, QUESTION)
    await left[0]
    assert ledger.total.completion_tokens == len("one two three")
    assert ledger.total.prompt_tokens == PROMPT
    assert by_name(ledger, "scripted")[0].parent == by_name(ledger, "votes")[0].id


@pytest.mark.parametrize("after", [0, 2])
async def test_a_call_that_fails_is_kept_with_its_error(after):
    ledger = Ledger()
    broken = Reply("one two three", error=ProviderError("gone"), fail_after=after)
    lm = Metered(ScriptedLM(broken), ledger, dear)
    with pytest.raises(ProviderError):
        await reply(lm, QUESTION)
    (span,) = ledger.spans()
    assert (span.reason, span.error, span.exact) == ("error", "provider_error", False)
    assert span.own.completion_tokens == (len("one two") if after else 0)
    assert span.own.dollars == (pytest.approx(dear(span_usage(span))) if after else 0)


def span_usage(span: Span) -> Usage:
    return Usage(span.own.prompt_tokens, span.own.completion_tokens)


async def test_the_prompt_of_several_choices_counts_once():
    ledger = Ledger()
    lm = Metered(ScriptedLM([["a", "bcd", "ef"]]), ledger, dear)
    await replies(lm, Request(QUESTION.prompt, n=3))
    assert ledger.total == Spent(PROMPT, 0, 6, 1, pytest.approx(dear(Usage(PROMPT, 6))))


async def test_an_unknown_price_is_said():
    ledger = Ledger()
    lm = Metered(Votes(Metered(ScriptedLM("abc"), ledger, unknown), 2), ledger, free)
    await reply(lm, QUESTION)
    assert by_name(ledger, "votes")[0].total == Spent(2 * PROMPT, 0, 6, 2, 0.0, 2)
    assert "$0.000000 or more" in next(lines(trees(ledger.spans())))


async def test_waiting_in_a_queue_is_told_apart():
    ledger = Ledger()
    waits = tuple(Progress("queued", place, 3) for place in (3, 2, 1))
    lm = Metered(ScriptedLM(Reply("a b", progress=waits, pace=0.005)), ledger, free)
    await reply(lm, QUESTION)
    (span,) = ledger.spans()
    assert span.first is not None
    assert 0 < span.queue <= span.first < span.whole


async def test_a_trace_from_outside_goes_on_and_is_handed_on():
    ledger = Ledger()
    model = ScriptedLM("abc")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await reply(
        Metered(model, ledger, free), Request(QUESTION.prompt, context=Context(trace=trace))
    )
    (span,) = ledger.spans()
    assert span.trace == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent == "b7ad6b7169203331"
    assert model.requests[0].context.trace == f"00-{span.trace}-{span.id}-01"


async def test_a_trace_that_is_none_begins_anew():
    ledger = Ledger()
    request = Request(QUESTION.prompt, context=Context(trace="no trace"))
    await reply(Metered(ScriptedLM("abc"), ledger, free), request)
    assert ledger.spans()[0].parent is None


class Asking:
    """A tool that asks a model."""

    def __init__(self, lm: Any) -> None:
        self.lm = lm

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec("expert")

    async def call(self, arguments: Mapping[str, Any]) -> str:
        return (await reply(self.lm, QUESTION)).reason


async def test_a_model_that_a_tool_asks_is_below_the_tool():
    ledger = Ledger()
    expert = Metered(ScriptedLM("yes", name="small"), ledger, dear)
    tool = MeteredTool(Asking(expert), ledger)

    class Agent(Votes):
        async def stream(self, request: Request) -> AsyncIterator[Event]:
            await tool.call({})
            yield Finished(text_message("assistant", ""), Usage(0, 0), "stop")

    await reply(Metered(Agent(ScriptedLM(), 1), ledger, free), QUESTION)
    (root,) = trees(ledger.spans())
    assert (root.span.name, root.inner[0].span.name) == ("votes", "expert")
    assert root.inner[0].span.kind == "tool"
    assert root.inner[0].inner[0].span.name == "small"
    assert (
        root.span.total
        == root.inner[0].span.total
        == Spent(PROMPT, 0, 3, 1, pytest.approx(dear(Usage(PROMPT, 3))))
    )
    shown = list(lines([root]))
    assert [len(line) - len(line.lstrip()) for line in shown] == [0, 2, 4]


async def test_a_tool_that_fails_leaves_a_span_too():
    ledger = Ledger()
    tool = MeteredTool(Asking(ScriptedLM(ProviderError("gone"))), ledger)
    with pytest.raises(ProviderError):
        await tool.call({})
    assert (ledger.spans()[0].reason, ledger.spans()[0].error) == ("error", "provider_error")
    assert current.get() is None


async def test_a_full_ledger_forgets_the_oldest_and_goes_on_counting():
    ledger = Ledger(most=3)
    for number in range(5):
        await reply(Metered(ScriptedLM("abc", name=f"m{number}"), ledger, free), QUESTION)
    assert [span.name for span in ledger.spans()] == ["m2", "m3", "m4"]
    assert (ledger.dropped, ledger.total.steps) == (2, 5)
    assert len(ledger.drain()) == 3
    assert ledger.spans() == ()
    assert (ledger.dropped, ledger.total.steps) == (2, 5)


def test_a_ledger_without_room_is_refused():
    with pytest.raises(InputError, match="0 spans"):
        Ledger(most=0)


async def test_a_span_whose_cause_is_gone_stands_at_the_root():
    ledger = Ledger(most=2)
    lm = Metered(Votes(Metered(ScriptedLM("abc"), ledger, free), 3), ledger, free)
    await reply(lm, QUESTION)
    (root,) = trees(ledger.drain())
    assert len(root.inner) == 1
    await reply(lm, QUESTION)
    assert len(trees([span for span in ledger.spans() if span.name != "votes"])) == 1


def writing(usage: Usage) -> float:
    """A host that charges for what it writes to its cache."""
    return usage.prompt_tokens * 0.001 + usage.cache_write_tokens * 0.1


async def test_what_is_written_to_a_cache_is_charged_and_counts_once():
    ledger = Ledger()
    model = Metered(ScriptedLM(Reply("four", cache_write_tokens=5)), ledger, writing)
    await reply(Metered(Votes(model, 3), ledger, writing), QUESTION)
    dollars = pytest.approx(3 * (PROMPT * 0.001 + 5 * 0.1))
    assert (ledger.total.cache_write_tokens, ledger.total.dollars) == (15, dollars)
    outer = by_name(ledger, "votes")[0]
    assert (outer.own.cache_write_tokens, outer.total.cache_write_tokens) == (0, 15)


async def test_a_technique_alone_tells_the_caches_of_all_its_calls():
    ledger = Ledger()
    lm = Metered(Votes(ScriptedLM(Reply("four", cache_write_tokens=5)), 3), ledger, writing)
    finished = await reply(lm, QUESTION)
    assert finished.usage.cache_write_tokens == 15
    assert ledger.total.dollars == pytest.approx(3 * (PROMPT * 0.001 + 5 * 0.1))
