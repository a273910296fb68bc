"""Requests refuse what is out of range; the helpers give whole replies."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.events import Event, Finished, TextDelta, Usage
from kataribe.base.lm import LM, Capabilities, Request, Sampling, ask, replies, reply, reply_sync
from kataribe.base.messages import text_message, text_of
from kataribe.run.providers.scripted import ScriptedLM

HELLO = Request((text_message("user", "hello"),))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_k", -1),
        ("min_p", 1.5),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", -1.0),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -2.5),
        ("max_tokens", 0),
        ("max_tokens", 2**31),
        ("min_tokens", -1),
        ("logit_bias", {7: 101.0}),
        ("logit_bias", {7: math.nan}),
    ],
)
def test_sampling_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(InputError, match=field) as caught:
        Sampling(**{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0),
        ("temperature", 2),
        ("top_p", 1.0),
        ("top_k", 0),
        ("min_p", 0.0),
        ("repetition_penalty", 10.0),
        ("presence_penalty", -2),
        ("max_tokens", 1),
        ("logit_bias", {7: -100.0}),
    ],
)
def test_sampling_at_its_limits_is_taken(field, value):
    assert getattr(Sampling(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", 0), ("n", 129), ("logprobs", -1), ("logprobs", 21), ("stop", ("",))],
)
def test_requests_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(InputError) as caught:
        Request("x", **{field: value})
    assert caught.value.param == field


async def test_reply_gives_the_first_choice():
    finished = await reply(ScriptedLM("Good day."), HELLO)
    assert text_of(finished.message) == "Good day."
    assert finished.reason == "stop"


async def test_replies_come_in_order_of_their_index():
    request = Request(HELLO.prompt, n=3)
    found = await replies(ScriptedLM([["a", "b", "c"]]), request)
    assert [text_of(each.message) for each in found] == ["a", "b", "c"]
    assert [each.index for each in found] == [0, 1, 2]


def test_reply_sync_needs_no_event_loop():
    assert text_of(reply_sync(ScriptedLM("yes"), HELLO).message) == "yes"


def test_ask_sends_the_system_text_first():
    lm = ScriptedLM("yes")
    ask(lm, "really?", system="Be brief.")
    prompt = lm.requests[0].prompt
    assert [(each.role, text_of(each)) for each in prompt] == [
        ("system", "Be brief."),
        ("user", "really?"),
    ]


class Broken:
    """An LM that never ends."""

    name = "broken"
    capabilities = Capabilities(10)

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        yield TextDelta("and then")


class TwiceEnded(Broken):
    """An LM that ends the same choice twice."""

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        for _ in range(2):
            yield Finished(text_message("assistant", ""), Usage(0, 0), "stop")


async def test_a_stream_without_an_end_is_an_error():
    with pytest.raises(KataribeError, match="ended 0 of 1"):
        await reply(Broken(), HELLO)
    with pytest.raises(KataribeError, match="ended 1 of 2"):
        await replies(TwiceEnded(), Request("x", n=2))


def test_whatever_streams_is_an_lm():
    assert isinstance(ScriptedLM(), LM)
    assert isinstance(Broken(), LM)
    assert not isinstance(object(), LM)


def test_errors_of_the_model_pass_through():
    with pytest.raises(KataribeError, match="gone"):
        asyncio.run(reply(ScriptedLM(KataribeError("gone")), HELLO))
