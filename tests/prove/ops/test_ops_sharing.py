"""Limits that several requests share."""

from __future__ import annotations

import asyncio

import pytest

from kataribe.base.limits import Limits
from kataribe.base.lm import Request, reply, reply_sync
from kataribe.base.messages import text_message, text_of
from kataribe.prove.ops.ledger import Ledger
from kataribe.prove.ops.limits import Limited
from kataribe.prove.ops.meter import Metered
from kataribe.prove.ops.sharing import is_over, sharing
from kataribe.prove.ops.spent import free
from kataribe.run.providers.scripted import Reply, ScriptedLM

QUESTION = Request((text_message("user", "?"),))


def limited(inner: ScriptedLM, ledger: Ledger | None = None) -> Limited:
    return Limited(Metered(inner, ledger or Ledger(), free), Limits(), free)


def test_requests_in_several_loops_share_their_limits():
    inner, ledger = ScriptedLM("Yes.", repeat=True), Ledger()
    lm = limited(inner, ledger)
    with sharing(Limits(steps=2)) as left:
        ends = []
        for _ in range(2):
            ends.append(reply_sync(lm, QUESTION))
            assert not is_over(left)
        ends.append(reply_sync(lm, QUESTION))
        assert is_over(left)
    assert [end.reason for end in ends] == ["stop", "stop", "budget"]
    assert ends[2].detail == left.detail == "A limit of 2 model calls: all of them were made."
    assert (text_of(ends[2].message), len(inner.requests), left.has_cut) == ("", 2, True)
    assert len(ledger.spans()) == 2
    # What is asked outside the block is not held to them.
    assert reply_sync(lm, QUESTION).reason == "stop"


async def test_requests_side_by_side_share_them_too():
    inner = ScriptedLM(Reply("word " * 200, pieces=("word ",) * 200, pace=0.02), repeat=True)
    lm = limited(inner)
    with sharing(Limits(tokens=40)) as left:
        ends = await asyncio.gather(*(reply(lm, QUESTION) for _ in range(4)))
    assert left.reason == "budget"
    assert {end.reason for end in ends} >= {"budget"}
    assert all("A limit of 40 tokens" in end.detail for end in ends if end.reason == "budget")


async def test_time_that_has_passed_between_requests_ends_the_next():
    inner = ScriptedLM([Reply("Yes."), Reply("Never.", delay=300.0)])
    lm = limited(inner)
    with sharing(Limits(seconds=0.5)) as left:
        await reply(lm, QUESTION)
        end = await reply(lm, QUESTION)
        assert (end.reason, is_over(left), left.reason) == ("deadline", True, "deadline")
        assert (await reply(lm, QUESTION)).reason == "deadline"
    assert len(inner.requests) == 2


def test_no_limits_change_nothing():
    with sharing(Limits()) as left:
        assert reply_sync(limited(ScriptedLM("Yes.")), QUESTION).reason == "stop"
        assert not is_over(left)


def test_a_block_is_left_when_it_fails():
    inner = ScriptedLM("Yes.", repeat=True)

    def fail() -> None:
        with sharing(Limits(steps=1)):
            reply_sync(limited(inner), QUESTION)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert reply_sync(limited(inner), QUESTION).reason == "stop"
