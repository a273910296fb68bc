"""What holds for every technique: it counts all, repeats, stops at once and tells errors."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Callable

import pytest
from technique_events import (
    Metered,
    end,
    events_and_error,
    events_of,
    question,
    sensible,
    steps,
    total,
    until,
    words,
)

from kataribe.base.errors import InputError, KataribeError, ProviderError, UnsupportedError
from kataribe.base.events import Finished, Step
from kataribe.base.lm import LM, Context, JsonFormat, Request, Sampling, ToolSpec
from kataribe.base.messages import ImagePart, Message, TextPart, text_message, text_of
from kataribe.run.providers import Reply, ScriptedLM

ONE_CALL = ("zero-shot", "few-shot", "chain-of-thought", "retrieval")
LAST_CALL = ("generated-knowledge", "tree-of-thoughts", "chaining")
CARRIED = {
    "tools": ONE_CALL,
    "response_format": (*ONE_CALL, *LAST_CALL, "self-consistency"),
    "logprobs": (*ONE_CALL, *LAST_CALL),
    "stop": (*ONE_CALL, *LAST_CALL, "self-consistency"),
    "continue_last": ONE_CALL,
}
ASKED = {
    "tools": (ToolSpec("look"),),
    "response_format": JsonFormat(),
    "logprobs": 0,
    "stop": ("#",),
    "continue_last": True,
}


def breaks_at(place: int, delay: float) -> Callable[[Request], str | Reply]:
    """A script whose request number `place` fails; after a delay the others have answered."""
    count = itertools.count()

    def says(request: Request) -> str | Reply:
        if next(count) == place:
            return Reply("x", delay=delay, error=ProviderError("The server is gone."))
        return sensible(request)

    return says


async def test_each_is_an_lm_that_keeps_the_protocol(name, build):
    lm = build(name, ScriptedLM(sensible))
    assert isinstance(lm, LM)
    assert lm.name == f"{name} over scripted"
    assert lm.capabilities.context_length == 4096
    assert not lm.capabilities.raw_prompt
    assert words(await events_of(lm))


@pytest.mark.parametrize("n", [1, 3])
async def test_the_whole_cost_is_counted_once(name, build, n):
    inner = Metered(ScriptedLM(lambda request: Reply(sensible(request), cached_tokens=2)))
    events = await events_of(build(name, inner), question(n=n))
    ends = [event.usage for event in events if isinstance(event, Finished)]
    assert len(ends) == n
    assert total(ends) == inner.usage
    assert inner.usage.completion_tokens > 0


async def test_a_technique_around_a_technique_counts_all_too(build):
    inner = Metered(ScriptedLM(sensible))
    outer = build("generated-knowledge", build("chaining", inner))
    events = await events_of(outer)
    assert end(events).usage == inner.usage
    assert len(steps(events, "plan")) == 4  # three statements and the answer, a plan each
    assert len(steps(events, "knowledge")) == 3


async def test_a_seeded_request_repeats_and_its_calls_differ(name, build):
    def says(request: Request) -> str:
        return sensible(request).replace("Six", f"Six ({request.seed})")

    def told(events):
        return sorted(str(event) for event in events)

    first, second = ScriptedLM(says), ScriptedLM(says)
    asked = question(seed=7, n=2)
    once = await events_of(build(name, first), asked)
    assert told(once) == told(await events_of(build(name, second), asked))
    seeds = [request.seed for request in first.requests]
    assert None not in seeds
    if name in ONE_CALL:
        assert seeds == [7]  # with n = 2 in the request
    else:
        # The call that writes the reply has the request's own seed, every other one its own.
        assert len(set(seeds)) == len(seeds)
        assert all(0 <= seed < 2**31 for seed in seeds)


async def test_no_seed_stays_none(name, build):
    inner = ScriptedLM(sensible)
    await events_of(build(name, inner))
    assert {request.seed for request in inner.requests} == {None}


async def test_the_first_of_several_is_the_one_that_n_1_gives(name, build):
    def says(request: Request) -> str:
        return sensible(request).replace("Six", f"Six ({request.seed})")

    one = await events_of(build(name, ScriptedLM(says)), question(seed=3))
    two = await events_of(build(name, ScriptedLM(says)), question(seed=3, n=2))
    assert words(two) == words(one)


async def test_context_and_sampling_reach_every_call(name, build):
    inner = ScriptedLM(sensible)
    context = Context("ann", "chat-1", time.monotonic() + 60, 0.5, "00-trace")
    sampling = Sampling(temperature=0.3, max_tokens=300)
    asked = question(context=context, sampling=sampling, template={"enable_thinking": False})
    await events_of(build(name, inner), asked)
    assert {request.context for request in inner.requests} == {context}
    assert {request.sampling.max_tokens for request in inner.requests} == {300}
    assert all(request.template == {"enable_thinking": False} for request in inner.requests)


async def test_at_most_so_many_calls_at_a_time(name, build):
    inner = Metered(ScriptedLM(sensible))
    lm = build(name, inner)
    assert lm.at_once == 4
    await events_of(lm, question(n=6))
    assert inner.most <= 4
    if name not in ONE_CALL:
        assert inner.most > 1


async def test_closing_closes_every_inner_stream_at_once(name, build):
    whole = await events_of(build(name, ScriptedLM(sensible)), question(n=2))
    for wanted in range(1, len(whole)):
        scripted = ScriptedLM(sensible)
        inner = Metered(scripted)
        stream = build(name, inner).stream(question(n=2))
        for _ in range(wanted):
            await anext(stream)
        before = len(scripted.requests)
        await stream.aclose()
        assert (inner.open, scripted.running) == (0, 0)
        await asyncio.sleep(0.01)
        assert len(scripted.requests) == before  # and nothing goes on behind it


async def test_cancelling_whoever_listens_closes_them_too(name, build):
    scripted = ScriptedLM(lambda request: Reply(sensible(request), delay=30))

    async def listen():
        async for _ in build(name, scripted).stream(question(n=2)):
            pass

    task = asyncio.ensure_future(listen())
    await until(lambda: scripted.running > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scripted.running == 0
    assert scripted.abandoned == len(scripted.requests)


async def test_an_error_of_any_inner_call_passes(name, build):
    scripted = ScriptedLM(sensible)
    await events_of(build(name, scripted))
    for failing in range(len(scripted.requests)):
        is_last = failing == len(scripted.requests) - 1
        inner = ScriptedLM(breaks_at(failing, 0.3 if is_last else 0.0))
        events, error = await events_and_error(build(name, inner), question())
        assert isinstance(error, ProviderError)
        assert error.message == "The server is gone."
        assert inner.running == 0
        assert not any(isinstance(event, Finished) for event in events)
        earlier = [event for event in events if isinstance(event, Step)]
        if is_last and name not in ONE_CALL:
            assert earlier[-1].name == "so far"


async def test_an_inner_stream_without_an_end_is_an_error(name, build):
    class Endless(ScriptedLM):
        async def stream(self, request):
            async for event in super().stream(request):
                if not isinstance(event, Finished):
                    yield event

    with pytest.raises(KataribeError, match="sent no end"):
        await events_of(build(name, Endless(sensible)))


async def test_after_the_deadline_no_model_is_asked(name, build):
    inner = ScriptedLM(sensible)
    asked = question(context=Context(deadline=time.monotonic() - 1), n=2)
    events = await events_of(build(name, inner), asked)
    assert [end(events, index).reason for index in range(2)] == ["deadline", "deadline"]
    assert inner.requests == []


async def test_a_limit_in_an_inner_call_ends_it_with_that_reason(name, build):
    inner = ScriptedLM(lambda request: Reply(sensible(request), reason="budget", detail="$1"))
    events = await events_of(build(name, inner))
    assert (end(events).reason, end(events).detail) == ("budget", "$1")
    assert end(events).usage.completion_tokens > 0


@pytest.mark.parametrize("prompt", ["Once upon", (1, 2), ()])
async def test_bare_prompts_are_refused(name, build, prompt):
    inner = ScriptedLM(sensible)
    with pytest.raises(UnsupportedError, match="Send messages") as refused:
        await events_of(build(name, inner), Request(prompt))
    assert refused.value.param == "prompt"
    assert inner.requests == []


async def test_without_a_turn_of_the_user_there_is_no_question(name, build):
    with pytest.raises(InputError, match="none of the 1 messages is the user's"):
        await events_of(
            build(name, ScriptedLM(sensible)), Request((text_message("system", "Be kind."),))
        )


@pytest.mark.parametrize("field", CARRIED)
async def test_what_is_not_carried_is_refused_by_its_name(name, build, field):
    inner = ScriptedLM(sensible)
    asked = question(**{field: ASKED[field]})
    if field == "continue_last":
        asked = dataclasses.replace(
            asked, prompt=(*asked.prompt, text_message("assistant", "It is"))
        )
    lm = build(name, inner)
    if name in CARRIED[field]:
        await events_of(lm, asked)
        assert getattr(inner.requests[-1], field) == ASKED[field]
        return
    with pytest.raises(UnsupportedError, match=f"^{name} over scripted") as refused:
        await events_of(lm, asked)
    assert refused.value.param == field
    assert inner.requests == []


@pytest.mark.parametrize("field", ["echo", "score_only"])
async def test_what_is_for_bare_prompts_is_refused(name, build, field):
    with pytest.raises(UnsupportedError, match="bare prompts") as refused:
        await events_of(build(name, ScriptedLM(sensible)), question(**{field: True}))
    assert refused.value.param == field


async def test_what_the_inner_model_cannot_do_the_technique_cannot(name, build):
    able = dataclasses.replace(
        ScriptedLM().capabilities, tools=False, logprobs=False, structured_output=False
    )
    lm = build(name, ScriptedLM(sensible, capabilities=able))
    assert not lm.capabilities.tools
    with pytest.raises(UnsupportedError, match="log-probabilities"):
        await events_of(lm, question(logprobs=1))


async def test_the_last_turn_is_worked_on_and_the_others_stay(name, build):
    earlier = (
        text_message("system", "Be brief."),
        text_message("user", "Who are you?"),
        text_message("assistant", "A teller."),
    )
    image = ImagePart("image/png", b"png")
    turn = Message("user", (TextPart("What is 6 times 7?"), image))
    inner = ScriptedLM(sensible)
    await events_of(build(name, inner), Request((*earlier, turn)))
    for request in inner.requests:
        assert request.prompt[0] == earlier[0]
        spoken = [message for message in request.prompt if message in earlier]
        assert tuple(spoken) == earlier
        mine = next(message for message in request.prompt if image in message.parts)
        assert "What is 6 times 7?" in text_of(mine)


async def test_a_question_in_japanese_is_worked_on_in_japanese(name, build):
    inner = ScriptedLM("6かける7は42です。\n答え: 42")
    await events_of(build(name, inner), question("6かける7はいくつですか。"))
    added = [text_of(request.prompt[-1]) for request in inner.requests]
    for text in added:
        assert "6かける7はいくつですか。" in text or name == "react"
        assert "Question:" not in text
        assert "Think step" not in text
