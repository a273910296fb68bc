"""The techniques that change the prompt of one call: zero-shot, few-shot, chain of thought."""

from __future__ import annotations

import asyncio
import itertools
from typing import ClassVar

import numpy as np
import pytest
from technique_events import Metered, asked, end, events_of, question, steps, words

from kataribe.base.encoders import Embedding
from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.lm import JsonFormat, Request, ToolSpec
from kataribe.base.messages import ReasoningPart, text_message, text_of
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.use.prompts.chain_of_thought import ChainOfThought, ChainOfThoughtOptions
from kataribe.use.prompts.example_choice import diverse, nearest, ordered
from kataribe.use.prompts.few_shot import Example, FewShot, FewShotOptions
from kataribe.use.prompts.zero_shot import ZeroShot, ZeroShotOptions

EXAMPLES = tuple(Example(text, text.upper()) for text in ("red", "green", "blue", "pink"))


class Colours:
    """An embedder with a known vector for each word; it counts its calls."""

    name = "colours"
    dimensions = 2
    max_tokens = 16
    kinds = ("query", "passage")
    vectors: ClassVar = {
        "red": (3.0, 0.0), "pink": (0.98, 0.2), "green": (0.0, 1.0), "blue": (-1.0, 0.1),
        "crimson": (1.0, 0.01), "void": (0.0, 0.0),
    }  # fmt: skip

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], str | None]] = []

    async def embed(self, texts, kind=None):
        self.asked.append((tuple(texts), kind))
        await asyncio.sleep(0)
        vectors = np.array([self.vectors[text] for text in texts], np.float32)
        return Embedding(vectors, len(texts))


async def shown(inner: ScriptedLM) -> list[str]:
    """The questions of the examples in the last request, as they stand there."""
    return [text_of(m) for m in inner.requests[-1].prompt if m.role == "user"][:-1]


async def test_zero_shot_passes_everything_on_unchanged():
    inner, bare = (
        ScriptedLM(Reply("Hi.", reasoning="Hm.")),
        ScriptedLM(Reply("Hi.", reasoning="Hm.")),
    )
    request = question(seed=5, n=2, logprobs=1)
    assert await events_of(ZeroShot(inner), request) == [e async for e in bare.stream(request)]
    assert inner.requests == [request]


async def test_zero_shot_with_an_instruction():
    inner = ScriptedLM("ok")
    await events_of(ZeroShot(inner, ZeroShotOptions("Answer in one word.")))
    assert asked(inner) == ["Answer in one word.\n\nWhat is 6 times 7?"]


async def test_few_shot_shows_the_first_ones_as_turns_behind_the_system_text():
    inner = ScriptedLM("ok")
    lm = FewShot(inner, FewShotOptions(EXAMPLES, count=2))
    messages = (
        text_message("system", "Shout."),
        text_message("user", "white"),
        text_message("assistant", "WHITE"),
        text_message("user", "black"),
    )
    events = await events_of(lm, Request(messages))
    told = [(message.role, text_of(message)) for message in inner.requests[0].prompt]
    assert told == [
        ("system", "Shout."),
        ("user", "red"), ("assistant", "RED"), ("user", "green"), ("assistant", "GREEN"),
        ("user", "white"), ("assistant", "WHITE"), ("user", "black"),
    ]  # fmt: skip
    assert steps(events) == ["examples: 2 of 4, fixed, given: 1, 2"]


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (None, ["green", "pink", "red"]),
        ("nearest-last", ["green", "pink", "red"]),
        ("nearest-first", ["red", "pink", "green"]),
        ("given", ["red", "green", "pink"]),
    ],
)
async def test_similar_examples_in_the_order_that_is_asked_for(order, wanted):
    inner, colours = ScriptedLM("ok", repeat=True), Colours()
    options = FewShotOptions(EXAMPLES, count=3, choice="similar", order=order)
    lm = FewShot(inner, options, embedder=colours)
    events = await events_of(lm, question("crimson"))
    assert await shown(inner) == wanted
    assert steps(events, "embedding") == ["4 examples, 4 tokens, once"]
    again = await events_of(lm, question("crimson"))
    assert steps(again, "embedding") == []
    everything = tuple(example.question for example in EXAMPLES)
    assert colours.asked == [(everything, "query"), *[(("crimson",), "query")] * 2]


async def test_examples_are_embedded_once_for_questions_side_by_side():
    colours = Colours()
    options = FewShotOptions(EXAMPLES, choice="similar")
    lm = FewShot(ScriptedLM("ok"), options, embedder=colours)
    await asyncio.gather(*(events_of(lm, question("crimson")) for _ in range(5)))
    assert len([texts for texts, _ in colours.asked if len(texts) == 4]) == 1


async def test_diverse_examples_leave_out_what_says_the_same_again():
    inner = ScriptedLM("ok", repeat=True)
    for choice, wanted in (("similar", ["pink", "red"]), ("diverse", ["green", "red"])):
        options = FewShotOptions(EXAMPLES, count=2, choice=choice)
        await events_of(FewShot(inner, options, embedder=Colours()), question("crimson"))
        assert await shown(inner) == wanted


async def test_a_question_whose_vector_is_nothing_still_has_examples():
    inner = ScriptedLM("ok")
    options = FewShotOptions(EXAMPLES, count=2, choice="similar")
    await events_of(FewShot(inner, options, embedder=Colours()), question("void"))
    assert len(await shown(inner)) == 2


def best_by_trying(similarity, among, count, relevance):
    """Maximal marginal relevance, step by step over all that are left."""
    taken = []
    for _ in range(count):
        gains = {}
        for at in range(len(similarity)):
            if at not in taken:
                nearest_taken = max([among[at][other] for other in taken], default=0.0)
                gains[at] = relevance * similarity[at] - (1 - relevance) * nearest_taken
        taken.append(max(gains, key=gains.__getitem__))
    return taken


def test_diversity_against_trying_everything():
    seed = 11
    draw = np.random.default_rng(seed)
    for size, relevance in itertools.product((1, 5, 12), (0.0, 0.3, 0.7, 1.0)):
        vectors = draw.normal(size=(size, 3)).astype(np.float32)
        similarity, among = vectors @ draw.normal(size=3).astype(np.float32), vectors @ vectors.T
        count = min(4, size)
        found = diverse(similarity, among, count, relevance)
        assert found == best_by_trying(similarity, among, count, relevance), seed
        if relevance == 1.0:
            assert found == nearest(similarity, count)


def test_order_of_equals_is_that_of_the_list():
    same = np.ones(3, np.float32)
    assert nearest(same, 2) == [0, 1]
    assert ordered([2, 0, 1], same, "nearest-first") == [0, 1, 2]
    assert ordered([2, 0], None, "nearest-last") == [0, 2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"examples": ()}, "no examples"),
        ({"examples": (Example("a", " "),)}, "Example 1 of 1 has an empty"),
        ({"examples": EXAMPLES, "count": 0}, "count is 0, but must be at least 1"),
        ({"examples": EXAMPLES, "relevance": 1.5}, "at most 1"),
        ({"examples": EXAMPLES, "order": "nearest-last"}, "needs vectors"),
    ],
)
def test_few_shot_refuses_what_it_cannot_do(options, told):
    with pytest.raises(InputError, match=told):
        FewShotOptions(**options)


def test_choosing_needs_an_embedder():
    with pytest.raises(InputError, match="needs an embedder"):
        FewShot(ScriptedLM(), FewShotOptions(EXAMPLES, choice="similar"))


async def test_chain_of_thought_streams_one_reply_in_its_own_words():
    inner = ScriptedLM("Six sevens.\nAnswer: 42")
    events = await events_of(ChainOfThought(inner))
    assert words(events) == "Six sevens.\nAnswer: 42"
    [text] = asked(inner)
    assert text.startswith("What is 6 times 7?\n\nThink step by step")
    assert steps(events) == []


async def test_chain_of_thought_with_other_words():
    inner = ScriptedLM("ok")
    await events_of(ChainOfThought(inner, ChainOfThoughtOptions("Let us see. End with Answer:")))
    assert asked(inner) == ["What is 6 times 7?\n\nLet us see. End with Answer:"]


async def test_chain_of_thought_thinks_before_a_reply_that_has_a_form():
    scripted = ScriptedLM(["Six sevens are 42.", Reply('{"answer": 42}', reasoning=" Sure.")])
    inner = Metered(scripted)
    form = JsonFormat({"type": "object"})
    events = await events_of(ChainOfThought(inner), question(response_format=form, stop=("!",)))
    first, second = scripted.requests
    assert (first.response_format, first.stop) != (form, ("!",))
    assert (second.response_format, second.stop) == (form, ("!",))
    assert "Six sevens are 42." in asked(scripted)[1]
    assert words(events) == '{"answer": 42}'
    assert end(events).message.parts[0] == ReasoningPart("Six sevens are 42. Sure.")
    assert end(events).usage == inner.usage


async def test_chain_of_thought_cannot_think_around_tools_and_a_form():
    request = question(response_format=JsonFormat(), tools=(ToolSpec("look"),))
    with pytest.raises(UnsupportedError, match="both call tools") as refused:
        await events_of(ChainOfThought(ScriptedLM()), request)
    assert refused.value.param == "response_format"


async def test_results_of_tools_stay_behind_the_question():
    inner = ScriptedLM("It is sunny.")
    messages = (
        text_message("user", "Weather?"),
        text_message("assistant", "I look."),
        text_message("tool", "sunny"),
    )
    await events_of(ChainOfThought(inner), Request(messages))
    said = inner.requests[0].prompt
    assert said[1:] == messages[1:]
    assert text_of(said[0]).startswith("Weather?\n\nThink")
