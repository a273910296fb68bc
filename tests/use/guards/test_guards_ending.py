"""Empty replies are asked for again; replies that end in the middle are told."""

from __future__ import annotations

import pytest

from kataribe.base.errors import SettingsError
from kataribe.base.lm import Request, Sampling
from kataribe.base.messages import text_message, text_of
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from kataribe.use.guards.ending import Cut, Empty, how_cut
from kataribe.use.guards.guarded import Guarded, Policy

PROSE = "The boats go out before dawn. Most of them come back at night. Nobody knows where they"


async def answered(guard, *replies, policy=None, **options):
    inner = ScriptedLM(list(replies))
    request = Request((text_message("user", "Hello"),), **options)
    events = [e async for e in Guarded(inner, [guard], policy).stream(request)]
    return events[-1], inner


@pytest.mark.parametrize("nothing", ["", " \n\n ", "\u200b\ufeff"])
async def test_an_empty_reply_is_asked_for_again(nothing):
    end, inner = await answered(Empty(), nothing, "  Hello.")
    assert text_of(end.message) == "  Hello."
    assert len(inner.requests) == 2
    assert end.detail == ""


async def test_an_empty_reply_is_told_when_no_try_is_left():
    end, inner = await answered(Empty(), "", "", policy=Policy(retries=1))
    assert len(inner.requests) == 2
    assert end.reason == "stop"
    assert "no words" in end.detail


async def test_thoughts_that_used_up_the_tokens_are_told():
    end, _ = await answered(Empty("note"), Reply("", reasoning="hm", reason="length"))
    assert "tokens were used up" in end.detail


async def test_a_call_is_an_answer():
    end, inner = await answered(Empty(), Reply(calls=(Call("f"),)))
    assert (end.reason, end.detail, len(inner.requests)) == ("tool_calls", "", 1)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (PROSE, "the last sentence has no end"),
        (
            "船は夜明け前に出ていきます。帰りは夕方です。" * 4
            + "どこへ行くのかは誰も知らないのですが、それでも町の人々は毎朝",
            "the last sentence has no end",
        ),
        ("Here it is:\n```python\nprint(1)\n", "a block of code is not closed"),
        (PROSE + " go.", None),
        (PROSE + " go:\n\n```python\nprint(1)\n```", None),
        ("Paris", None),
        ("# Title\n\n" + PROSE + " go.\n\n- one thing\n- and another thing of many", None),
        (PROSE + " go.\n\nWith kind regards,\nAnna", None),
        (PROSE + " go.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |", None),
    ],
)
def test_how_replies_look_cut(text, how):
    assert how_cut(text) == how


async def test_the_limit_of_tokens_is_told():
    end, _ = await answered(Cut(), "one two three", sampling=Sampling(max_tokens=5))
    assert end.reason == "length"
    assert "limit of tokens" in end.detail


async def test_a_cut_reply_is_asked_for_again_if_wanted():
    end, inner = await answered(Cut("retry"), PROSE, PROSE + " go.")
    assert text_of(end.message) == PROSE + " go."
    end, inner = await answered(Cut("retry"), "one two", sampling=Sampling(max_tokens=5))
    assert len(inner.requests) == 1  # another try would be cut at the same limit


@pytest.mark.parametrize("kind", [Empty, Cut])
def test_bad_options(kind):
    with pytest.raises(SettingsError, match="cannot 'stop'"):
        kind(action="stop")
