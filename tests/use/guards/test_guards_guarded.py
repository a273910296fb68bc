"""An `LM` with guards around it: what goes through, what is held, stopped, asked again, counted."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from kataribe.base.errors import KataribeError, ProviderError, SettingsError, UnsupportedError
from kataribe.base.events import (
    Citation,
    Finished,
    Progress,
    ReasoningDelta,
    Step,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import LM, Context, Request, Sampling, replies
from kataribe.base.messages import (
    ReasoningPart,
    TextPart,
    ToolCallPart,
    text_message,
    text_of,
)
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from kataribe.use.guards.guard import ALL, Cleared, Sighting, Verdict
from kataribe.use.guards.guarded import Guarded, Policy
from kataribe.use.guards.masking import Personal
from kataribe.use.guards.repetition import Repetition


def asked(text="Hello", **options):
    return Request((text_message("user", text),), **options)


async def events_of(lm, request):
    return [event async for event in lm.stream(request)]


def words(events, index=0):
    return "".join(e.text for e in events if isinstance(e, TextDelta) and e.index == index)


def steps(events):
    return [event.detail for event in events if isinstance(event, Step)]


def last(events):
    assert isinstance(events[-1], Finished)
    return events[-1]


@dataclass(frozen=True)
class Bad:
    """Sees a word; a guard for tests of what follows from seeing."""

    word: str = "bad"
    action: str = "stop"
    hold: int = 0
    otherwise: str = "note"
    name: str = "bad"
    about: str = "Sees a word."
    holds: str = "some"
    reads_reasoning: bool = False

    def watch(self, request):
        return BadWatch(self)


@dataclass
class BadWatch:
    guard: Bad
    text: str = ""
    done: bool = False

    def push(self, text, tokens):
        self.text += text
        if self.guard.word in self.text and not self.done:
            self.done = True
            seen = Sighting("bad", "a word", "the reply", self.guard.word, self.guard.action)
            hint = (text_message("user", "without it, please"),)
            return Verdict(self.guard.hold, seen, hint=hint, otherwise=self.guard.otherwise)
        return Verdict(0 if self.done and self.guard.hold == ALL else self.guard.hold)

    def finish(self, reason, *, calls):
        return Verdict()


@dataclass(frozen=True)
class Taken:
    """A guard on what comes in that costs tokens."""

    action: str = "note"
    name: str = "taken"
    about: str = "Costs tokens."
    seen: list = field(default_factory=list)

    async def look(self, request):
        self.seen.append(request)
        return Cleared(
            request, (Sighting("taken", "a thing", "here", "x", self.action),), {}, Usage(5, 2)
        )


async def test_nothing_changes_without_a_sighting():
    reply = Reply(
        "one two three",
        reasoning="hm",
        calls=(Call("f", {"a": 1}),),
        citations=(Citation("s", 0, 3),),
        progress=(Progress("reading", 3, 3),),
    )
    request = asked(logprobs=1)
    plain = await events_of(ScriptedLM(reply), request)
    guarded = Guarded(ScriptedLM(reply), [Repetition(), Personal(restore=True)])
    assert isinstance(guarded, LM)
    assert guarded.name == "scripted"
    assert guarded.capabilities == ScriptedLM().capabilities
    assert await events_of(guarded, request) == plain


async def test_several_choices_keep_to_themselves():
    lm = Guarded(ScriptedLM([["fine", "so bad it is", "fine too"]]), [Bad()])
    found = await replies(lm, asked(n=3))
    assert [each.reason for each in found] == ["stop", "content_filter", "stop"]
    assert [text_of(each.message) for each in found] == ["fine", "so bad", "fine too"]


async def test_a_stop_closes_the_inner_stream_at_once():
    inner = ScriptedLM("a bad thing and a long rest of words that never come")
    events = await events_of(Guarded(inner, [Bad()]), asked())
    assert words(events) == "a bad"
    assert (inner.abandoned, inner.running) == (1, 0)
    assert last(events).reason == "content_filter"
    assert last(events).detail == "bad stopped: a word (the reply): “bad”"
    assert steps(events) == [last(events).detail]
    assert text_of(last(events).message) == "a bad"


async def test_the_usage_of_a_closed_stream_is_what_was_told():
    reply = Reply("a bad thing and more", progress=(Progress("reading", 7, 7),))
    usage = last(await events_of(Guarded(ScriptedLM(reply), [Bad()]), asked())).usage
    assert usage == Usage(7, len("a bad"))


async def test_held_words_wait_and_then_go_out():
    lm = Guarded(ScriptedLM("abcdef ghijkl mnopqr"), [Bad(hold=5)])
    got = []
    async for event in lm.stream(asked()):
        got.append(event)
        if isinstance(event, TextDelta):
            assert "abcdef ghijkl mnopqr".startswith(words(got))
    assert words(got) == "abcdef ghijkl mnopqr"
    first = next(event for event in got if isinstance(event, TextDelta))
    assert first.text == "a"  # five of the first six characters wait


async def test_log_probabilities_come_with_the_end_of_their_piece():
    request = asked(logprobs=0)
    events = await events_of(Guarded(ScriptedLM("abcdef ghij"), [Bad(hold=4)]), request)
    told = [lp for e in events if isinstance(e, TextDelta) for lp in e.logprobs]
    assert tuple(told) == last(events).logprobs
    assert "".join(each.token for each in told) == "abcdef ghij"


async def test_a_held_end_is_not_let_out_by_a_stop():
    events = await events_of(Guarded(ScriptedLM("good bad"), [Bad(hold=3)]), asked())
    assert words(events) == "good "
    assert text_of(last(events).message) == "good "


async def test_asking_again_counts_every_try():
    inner = ScriptedLM(["a bad start", "a good end"])
    lm = Guarded(inner, [Bad(action="retry", hold=ALL)])
    events = await events_of(lm, asked("Hi", seed=3))
    assert words(events) == text_of(last(events).message) == "a good end"
    assert last(events).reason == "stop"
    first, second = (len(each.prompt) for each in inner.requests)
    assert (first, second) == (1, 2)
    assert text_of(inner.requests[1].prompt[-1]) == "without it, please"
    assert inner.requests[1].seed != 3
    used = last(events).usage
    alone = last(await events_of(ScriptedLM("a good end"), inner.requests[1])).usage
    assert used.completion_tokens == len("a bad") + alone.completion_tokens
    assert used.prompt_tokens > alone.prompt_tokens
    assert inner.abandoned == 1


async def test_the_budget_of_retries_ends():
    inner = ScriptedLM("a bad word", repeat=True)
    lm = Guarded(inner, [Bad(action="retry", hold=ALL, otherwise="stop")], Policy(retries=2))
    events = await events_of(lm, asked())
    assert len(inner.requests) == 3
    assert last(events).reason == "content_filter"
    assert [line.split(":")[0] for line in steps(events)] == [
        "bad asked again",
        "bad asked again",
        "bad stopped",
    ]


async def test_when_no_retry_is_left_a_note_lets_the_words_out():
    lm = Guarded(ScriptedLM("a bad word"), [Bad(action="retry", hold=ALL)], Policy(retries=0))
    events = await events_of(lm, asked())
    assert words(events) == "a bad word"
    assert last(events).reason == "stop"
    assert last(events).detail.startswith("bad noted")


async def test_nothing_is_asked_again_after_the_deadline():
    inner = ScriptedLM("a bad word")
    lm = Guarded(inner, [Bad(action="retry", hold=ALL)])
    context = Context(deadline=time.monotonic() - 1)
    assert last(await events_of(lm, asked(context=context))).reason == "stop"
    assert len(inner.requests) == 1


async def test_thoughts_of_a_try_that_was_thrown_away_stay_in_the_message():
    inner = ScriptedLM([Reply("bad", reasoning="first "), Reply("good", reasoning="second")])
    events = await events_of(Guarded(inner, [Bad(action="retry", hold=ALL)]), asked())
    said = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert said == "first second"
    assert last(events).message.parts == (ReasoningPart(said), TextPart("good"))


async def test_calls_of_a_try_that_may_be_thrown_away_wait():
    reply = Reply("some words", calls=(Call("f", {"a": 1}),))
    events = await events_of(Guarded(ScriptedLM(reply), [Bad(hold=ALL)]), asked())
    kinds = [type(event) for event in events]
    assert kinds.index(ToolCallDelta) > kinds.index(TextDelta)
    call = next(part for part in last(events).message.parts if isinstance(part, ToolCallPart))
    assert call.arguments == '{"a": 1}'


async def test_a_refused_request_never_reaches_the_model():
    inner = ScriptedLM()
    lm = Guarded(inner, [Taken("refuse")], Policy(refusal="I cannot do that."))
    events = await events_of(lm, asked(n=2))
    assert inner.requests == []
    ends = [event for event in events if isinstance(event, Finished)]
    assert [each.reason for each in ends] == ["content_filter"] * 2
    assert [each.usage for each in ends] == [Usage(5, 2), Usage(0, 0)]
    assert words(events, 1) == text_of(ends[1].message) == "I cannot do that."
    assert "taken refused: a thing (here)" in ends[0].detail


async def test_a_silent_refusal_has_only_its_reason():
    events = await events_of(Guarded(ScriptedLM(), [Taken("refuse")]), asked())
    assert last(events).message.parts == ()


async def test_tokens_of_looking_count():
    plain = last(await events_of(ScriptedLM("Hi"), asked())).usage
    used = last(await events_of(Guarded(ScriptedLM("Hi"), [Taken()]), asked())).usage
    assert used == Usage(plain.prompt_tokens + 5, plain.completion_tokens + 2)


async def test_words_before_an_error_are_let_out():
    reply = Reply("one two three four", error=ProviderError("gone"), fail_after=3)
    got = []

    async def drain():
        async for event in Guarded(ScriptedLM(reply), [Bad(hold=6)]).stream(asked()):
            got.append(event)  # noqa: PERF401  # what came before the error counts

    with pytest.raises(ProviderError, match="gone"):
        await drain()
    assert words(got) == "one two three"


async def test_leaving_the_stream_stops_the_model():
    inner = ScriptedLM(Reply("one two three four five", pace=0.01))
    async with aclosing(Guarded(inner, [Bad(hold=2)]).stream(asked())) as events:
        async for _ in events:
            break
    assert (inner.running, inner.abandoned) == (0, 1)


async def test_cancelling_stops_the_model_in_a_second_try_too():
    inner = ScriptedLM(["bad", Reply("one two three", pace=5)])
    lm = Guarded(inner, [Bad(action="retry", hold=ALL)])

    async def drain():
        async for _ in lm.stream(asked()):
            pass

    task = asyncio.create_task(drain())
    while len(inner.requests) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)  # the scripted model tells nobody
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.running == 0


async def test_a_model_that_says_more_at_its_end_than_before_is_heard():
    class Late:
        name = "late"
        capabilities = ScriptedLM().capabilities

        async def stream(self, request):
            yield TextDelta("a ")
            yield Finished(text_message("assistant", "a bad end"), Usage(1, 1), "stop")

    events = await events_of(Guarded(Late(), [Bad()]), asked())
    assert last(events).reason == "content_filter"
    events = await events_of(Guarded(Late(), [Bad("worse")]), asked())
    assert words(events) == "a bad end"


async def test_guards_are_switched_off_by_name():
    guards = [Bad(), Repetition()]
    lm = Guarded(ScriptedLM("a bad word"), guards, Policy(off=("bad",)))
    assert words(await events_of(lm, asked())) == "a bad word"
    with pytest.raises(SettingsError, match=r"'repetiton'.*Did you mean repetition") as caught:
        Guarded(ScriptedLM(), guards, Policy(off=("repetiton",)))
    assert caught.value.param == "off"
    with pytest.raises(SettingsError, match="two guards named bad"):
        Guarded(ScriptedLM(), [Bad(), Bad("other")])


@pytest.mark.parametrize("retries", [-1, 11])
def test_retries_have_limits(retries):
    with pytest.raises(SettingsError, match=f"retries is {retries}"):
        Policy(retries=retries)


async def test_token_ids_cannot_be_looked_at():
    with pytest.raises(UnsupportedError, match="token ids") as caught:
        await events_of(Guarded(ScriptedLM(), [Personal()]), Request((1, 2, 3)))
    assert caught.value.param == "prompt"
    out_only = Guarded(ScriptedLM("fine"), [Repetition()])
    assert words(await events_of(out_only, Request((1, 2, 3)))) == "fine"


async def test_an_echoed_prompt_is_not_looked_at():
    lm = Guarded(ScriptedLM(" good"), [Bad()])
    events = await events_of(lm, Request("a bad prompt", echo=True))
    assert text_of(last(events).message) == "a bad prompt good"
    assert last(events).reason == "stop"


async def test_scoring_passes_through():
    lm = Guarded(ScriptedLM(), [Bad("prompt")])
    request = Request("a prompt", echo=True, score_only=True, logprobs=0)
    plain = await events_of(ScriptedLM(), request)
    assert await events_of(lm, request) == plain


async def test_limits_of_the_request_still_hold():
    lm = Guarded(ScriptedLM("one two three"), [Repetition()])
    events = await events_of(lm, asked(sampling=Sampling(max_tokens=5)))
    assert last(events).reason == "length"


async def test_errors_of_the_model_pass():
    with pytest.raises(KataribeError, match="no such"):
        await events_of(Guarded(ScriptedLM(ProviderError("no such")), [Bad()]), asked())
