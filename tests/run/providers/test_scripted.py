"""The scripted model keeps the protocol and does what its script says."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from kataribe.base.errors import (
    ContextLengthError,
    InputError,
    KataribeError,
    ProviderError,
    UnsupportedError,
)
from kataribe.base.events import (
    Citation,
    Finished,
    Progress,
    ReasoningDelta,
    Step,
    TextDelta,
    ToolCallDelta,
)
from kataribe.base.lm import LM, Capabilities, Request, Sampling, ToolSpec, replies, reply
from kataribe.base.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    text_message,
    text_of,
)
from kataribe.run.providers import Call, Reply, ScriptedLM, ScriptedTokenizer

HI = Request((text_message("user", "hi"),))


async def events(lm: LM, request: Request = HI) -> list:
    return [event async for event in lm.stream(request)]


async def said(lm: LM, **fields) -> str:
    return text_of((await reply(lm, dataclasses.replace(HI, **fields))).message)


async def test_text_for_every_request():
    lm = ScriptedLM("Good day.")
    assert isinstance(lm, LM)
    assert [await said(lm), await said(lm)] == ["Good day.", "Good day."]
    assert lm.requests == [HI, HI]


async def test_list_is_one_line_per_request():
    lm = ScriptedLM(["one", Reply("two"), ProviderError("three")])
    assert [await said(lm), await said(lm)] == ["one", "two"]
    with pytest.raises(ProviderError):
        await said(lm)
    with pytest.raises(KataribeError, match="repeat=True"):
        await said(lm)
    again = ScriptedLM(["one", "two"], repeat=True)
    assert [await said(again) for _ in range(4)] == ["one", "two", "one", "two"]


async def test_function_of_the_request():
    lm = ScriptedLM(lambda request: f"seed {request.seed}")
    assert await said(lm, seed=7) == "seed 7"


async def test_choices():
    found = await replies(ScriptedLM([("a", "b")]), dataclasses.replace(HI, n=3))
    assert [text_of(one.message) for one in found] == ["a", "b", "a"]
    assert [one.index for one in found] == [0, 1, 2]


async def test_everything_a_reply_can_hold_in_order():
    cited = Citation("a.pdf", 0, 3)
    waiting = Progress("queued", 1, 2)
    lm = ScriptedLM(
        Reply(
            "two words",
            reasoning="hm",
            calls=(Call("f", {"x": "日"}), Call("g", "[1", "mine")),
            progress=(waiting,),
            steps=(Step("plan", "now"),),
            citations=(cited,),
            cached_tokens=1,
        )
    )
    found = await events(lm)
    assert found[:5] == [
        waiting,
        Step("plan", "now"),
        ReasoningDelta("hm"),
        TextDelta("two", tokens=3),
        TextDelta(" words", tokens=9),
    ]
    assert found[5] == cited
    deltas = [event for event in found if isinstance(event, ToolCallDelta)]
    assert [(one.call, one.id, one.name) for one in deltas if one.id] == [
        (0, "call_0", "f"),
        (1, "mine", "g"),
    ]
    assert json.loads("".join(one.arguments for one in deltas if one.call == 0)) == {"x": "日"}
    last = found[-1]
    assert isinstance(last, Finished)
    assert last.reason == "tool_calls"
    assert last.message == Message(
        "assistant",
        (
            ReasoningPart("hm"),
            TextPart("two words"),
            ToolCallPart("call_0", "f", '{"x": "日"}'),
            ToolCallPart("mine", "g", "[1"),
        ),
    )
    assert last.usage.prompt_tokens == 3
    assert last.usage.cached_tokens == 1
    assert last.usage.completion_tokens == len('hmtwo words{"x": "日"}[1'.encode())


async def test_deltas_join_to_the_message_whatever_the_pieces():
    for pieces in (None, ("日", "本 ", "x"), ("日本 x",)):
        found = await events(ScriptedLM(Reply("日本 x", pieces=pieces)))
        assert "".join(e.text for e in found if isinstance(e, TextDelta)) == "日本 x"
    with pytest.raises(InputError, match="join"):
        Reply("ab", pieces=("a",))


async def test_limits_end_the_text():
    lm = ScriptedLM("one two three")
    assert await said(lm, stop=("three", " two")) == "one"
    for stops, met in ((("three", " two"), " two"), (("four",), None)):
        ended = await reply(lm, dataclasses.replace(HI, stop=stops))
        assert (ended.reason, ended.stop) == ("stop", met)
    cut = await reply(lm, dataclasses.replace(HI, sampling=Sampling(max_tokens=5)))
    assert (text_of(cut.message), cut.reason, cut.usage.completion_tokens) == ("one t", "length", 5)
    inside = await reply(
        ScriptedLM("あい"), dataclasses.replace(HI, sampling=Sampling(max_tokens=4), logprobs=0)
    )
    assert (text_of(inside.message), inside.reason, len(inside.logprobs)) == ("あ", "length", 4)


async def test_logprobs_cover_every_token():
    found = await events(ScriptedLM("é x"), dataclasses.replace(HI, logprobs=2))
    tokens = [token for e in found if isinstance(e, TextDelta) for token in e.logprobs]
    assert b"".join(token.raw for token in tokens) == "é x".encode()
    assert tuple(tokens) == found[-1].logprobs
    assert all(len(token.top) == 2 and token.top[0].logprob == token.logprob for token in tokens)


async def test_echo_and_score_only():
    request = Request("ab", echo=True, logprobs=0)
    both = await reply(ScriptedLM("c"), request)
    assert text_of(both.message) == "abc"
    assert [token.logprob for token in both.logprobs] == [None, -0.25, -0.25]
    alone = await reply(ScriptedLM("c"), dataclasses.replace(request, score_only=True))
    assert (text_of(alone.message), alone.usage.completion_tokens) == ("ab", 0)
    by_ids = await reply(ScriptedLM("c"), dataclasses.replace(request, prompt=(97, 98)))
    assert by_ids == both


async def test_at_most_one_call_when_asked():
    lm = ScriptedLM(Reply(calls=(Call("f"), Call("g"))))
    request = dataclasses.replace(HI, tools=(ToolSpec("f"),), parallel_tool_calls=False)
    parts = (await reply(lm, request)).message.parts
    assert [part.name for part in parts] == ["f"]


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_error_before_and_in_the_middle(after):
    lm = ScriptedLM(Reply("a b c", error=ProviderError("gone"), fail_after=after))
    stream = lm.stream(HI)
    for _ in range(after):
        await anext(stream)
    with pytest.raises(ProviderError):
        await anext(stream)
    assert (lm.running, lm.abandoned) == (0, 0)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (dataclasses.replace(HI, tools=(ToolSpec("f"),)), "tools"),
        (dataclasses.replace(HI, logprobs=1), "logprobs"),
        (Request("bare"), "prompt"),
        (Request((Message("user", (ImagePart("image/png", b"x"),)),)), "messages[0].content"),
    ],
)
async def test_it_refuses_what_it_cannot_do(request_, param):
    lm = ScriptedLM(capabilities=Capabilities(context_length=99))
    with pytest.raises(UnsupportedError) as error:
        await reply(lm, request_)
    assert error.value.param == param


async def test_context_and_vocabulary_have_ends():
    lm = ScriptedLM(capabilities=Capabilities(context_length=10, raw_prompt=True))
    with pytest.raises(ContextLengthError) as error:
        await reply(lm, Request("x" * 8, sampling=Sampling(max_tokens=3)))
    assert (error.value.prompt_tokens, error.value.limit) == (8, 10)
    with pytest.raises(InputError, match="999"):
        await reply(lm, Request((999,)))


async def test_leaving_a_stream_is_seen():
    lm = ScriptedLM(Reply("word " * 100))
    stream = lm.stream(HI)
    await anext(stream)
    assert lm.running == 1
    await stream.aclose()
    assert (lm.running, lm.abandoned) == (0, 1)


async def test_streams_run_side_by_side():
    lm = ScriptedLM(Reply("a b c d"))
    first, second = lm.stream(HI), lm.stream(HI)
    await asyncio.gather(anext(first), anext(second))
    assert lm.running == 2
    await asyncio.gather(first.aclose(), second.aclose())
    assert lm.abandoned == 2


@pytest.mark.parametrize("text", ["", "plain", "日本 🎌", "\0\x7f"])
def test_tokenizer_and_back(text):
    tokenizer = ScriptedTokenizer()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()
    assert tokenizer.encode(text, add_bos=True) == [tokenizer.bos_id, *ids]
