"""Automatic prompt engineering: guessed, chosen, and measured on what was held out."""

from __future__ import annotations

import pytest
from technique_events import Metered, events_of, question, words

from kataribe.base.errors import InputError, ProviderError
from kataribe.base.lm import LM, Request
from kataribe.base.messages import text_of
from kataribe.prove.evals.intervals import paired_share_difference, share
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.use.prompts.automatic import (
    AutomaticOptions,
    Judging,
    cleaned,
    find_instruction,
    split,
)
from kataribe.use.prompts.few_shot import Example

WORDS = [
    "cat",
    "dog",
    "sun",
    "moon",
    "tree",
    "house",
    "river",
    "stone",
    "cloud",
    "bird",
    "fish",
    "road",
    "hill",
    "lake",
    "snow",
    "rain",
    "wind",
    "fire",
    "sand",
    "leaf",
]
EXAMPLES = [Example(word, word.upper()) for word in WORDS]
JUDGING = Judging(share, paired_share_difference, lambda reply, wanted: reply == wanted)


def model(guesses: list[str]) -> ScriptedLM:
    """Guesses in turn; shouts when it is told to, and repeats a word otherwise."""

    def says(request: Request) -> str:
        text = text_of(request.prompt[-1])
        if text.startswith("Somebody was given"):
            return guesses.pop(0)
        told, _, word = text.rpartition("\n\n")
        return word.upper() if "capital" in told else word

    return ScriptedLM(says)


async def test_the_best_guess_wins_and_is_measured_on_held_out_examples():
    inner = model(["Repeat it.", "Instruction: Use capital letters.", "Repeat it.", "x" * 3000])
    metered = Metered(inner)
    heard: list[tuple[str, str]] = []
    found = await find_instruction(
        metered,
        EXAMPLES,
        JUDGING,
        AutomaticOptions(candidates=4, shown=2, at_once=1),
        told=lambda name, line: heard.append((name, line)),
    )
    assert found.instruction == "Use capital letters."
    assert [(each.instruction, each.score) for each in found.candidates] == [
        ("Use capital letters.", 1.0), ("", 0.0), ("Repeat it.", 0.0),
    ]  # fmt: skip
    assert (found.score.mean, found.base.mean, found.gain.mean) == (1.0, 0.0, 1.0)
    assert found.gain.low > 0
    assert len(found.held_out) == 10
    assert found.usage == metered.usage
    assert len([line for name, line in heard if name == "guess"]) == 4
    assert ("score", "10 of 10: held out, winner") in heard
    answering = found.over(inner)
    assert isinstance(answering, LM)
    assert words(await events_of(answering, question("hat"))) == "HAT"


async def test_held_out_examples_are_never_seen_before_the_end():
    inner = model(["Use capital letters."] * 3)
    options = AutomaticOptions(candidates=3, seed=5)
    found = await find_instruction(inner, EXAMPLES, JUDGING, options)
    known, held_out = split(EXAMPLES, options)
    texts = [text_of(request.prompt[-1]) for request in inner.requests]
    until = len(texts) - 2 * len(held_out)
    for example in held_out:
        assert not any(example.question in text.split() for text in texts[:until])
    for example in known:
        assert any(example.question in text.split() for text in texts[:until])
    assert set(found.held_out) == set(held_out)


async def test_no_instruction_is_better_than_one_that_helps_nothing():
    found = await find_instruction(
        model(["Repeat it."] * 8), EXAMPLES, JUDGING, AutomaticOptions(candidates=8)
    )
    assert found.instruction == ""
    assert found.gain.mean == 0


async def test_few_held_out_examples_have_no_bounds():
    found = await find_instruction(
        model(["Use capital letters."]), EXAMPLES[:6], JUDGING, AutomaticOptions(candidates=1)
    )
    assert len(found.held_out) == 3
    assert found.gain.low == float("-inf")


async def test_the_same_seed_searches_in_the_same_way():
    asked = []
    for _ in range(2):
        inner = model(["a", "b", "c"])
        await find_instruction(
            inner, EXAMPLES, JUDGING, AutomaticOptions(candidates=3, seed=9, at_once=1)
        )
        asked.append(inner.requests)
    assert asked[0] == asked[1]
    assert len({request.seed for request in asked[0][:3]}) == 3


async def test_another_model_can_guess():
    guesser, inner = model(["Use capital letters."]), model([])
    options = AutomaticOptions(candidates=1)
    found = await find_instruction(inner, EXAMPLES, JUDGING, options, proposer=guesser)
    assert found.instruction == "Use capital letters."
    assert len(guesser.requests) == 1


async def test_an_error_passes_after_what_was_found_was_told():
    heard: list[str] = []
    lines = [Reply("Use capital letters."), ProviderError("gone")]
    with pytest.raises(ProviderError):
        await find_instruction(
            ScriptedLM(lines),
            EXAMPLES,
            JUDGING,
            AutomaticOptions(candidates=1),
            told=lambda name, _: heard.append(name),
        )
    assert heard == ["guess"]


def test_equal_questions_are_on_one_side():
    examples = [*EXAMPLES[:6], *[Example(" Cat", "CAT")] * 3]
    for seed in range(20):
        known, held_out = split(examples, AutomaticOptions(seed=seed))
        sides = [any("cat" in each.question.lower() for each in side) for side in (known, held_out)]
        assert sorted(sides) == [False, True], seed
        assert len(known) + len(held_out) == len(examples)


@pytest.mark.parametrize("held_out", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("size", [4, 5, 20])
def test_both_sides_have_some(size, held_out):
    known, out = split(EXAMPLES[:size], AutomaticOptions(held_out=held_out))
    assert len(known) >= 2
    assert len(out) >= 2
    assert {*known, *out} == set(EXAMPLES[:size])


def test_too_few_examples():
    with pytest.raises(InputError, match="There are 1 different examples, but at least 4"):
        split([EXAMPLES[0]] * 9, AutomaticOptions())


@pytest.mark.parametrize(
    ("guess", "instruction"),
    [
        (' "Shout." ', "Shout."),
        ("Instruction: Shout.", "Shout."),
        ("指示: 叫んでください。", "叫んでください。"),
        ("「叫んでください。」", "叫んでください。"),
        ("x" * 2001, ""),
        ("", ""),
    ],
)
def test_guesses_are_cleaned(guess, instruction):
    assert cleaned(guess) == instruction


@pytest.mark.parametrize("reason", ["budget", "deadline"])
async def test_a_reply_that_a_limit_ends_ends_the_search_with_what_was_found(reason):
    lines = [Reply("Use capital letters."), Reply("half a w", reason=reason, detail="All is used.")]
    found = await find_instruction(
        ScriptedLM(lines), EXAMPLES, JUDGING, AutomaticOptions(candidates=2, at_once=1)
    )
    assert (found.reason, found.detail) == (reason, "All is used.")
    assert (found.instruction, found.candidates) == ("", ())
    assert found.untried == ("Use capital letters.",)
    assert (found.score, found.base, found.gain) == (None, None, None)
    assert found.usage.completion_tokens > 0
