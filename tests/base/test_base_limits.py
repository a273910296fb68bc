"""Limits from words and values, and how they narrow a context."""

from __future__ import annotations

import time

import pytest

from kataribe.base.errors import InputError
from kataribe.base.limits import NONE, Limits, limits_in, parse_limits
from kataribe.base.lm import Context


def test_words_become_limits():
    said = parse_limits("steps=5, tokens=20000,seconds=1.5 , dollars=0.05", "X")
    assert said == Limits(5, 20_000, 1.5, 0.05)
    assert parse_limits("seconds=30", "X") == Limits(seconds=30)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Write limits as"),
        ("steps", "Write limits as"),
        ("steps=1, steps=2", "at most once"),
        ("hops=3", "no limit; there are steps"),
        ("steps=1.5", "a whole number"),
        ("tokens=many", "a whole number"),
        ("seconds=nan", "a number"),
        ("dollars=inf", "a number"),
        ("steps=1_000", "a whole number"),
        ("steps=0", "leaves nothing"),
        ("dollars=-1", "leaves nothing"),
    ],
)
def test_bad_words_are_refused_with_what_to_write(text, words):
    with pytest.raises(InputError, match=words) as caught:
        parse_limits(text, "X-Kataribe-Limits")
    assert caught.value.param == "X-Kataribe-Limits"


@pytest.mark.parametrize("values", [{"steps": True}, {"tokens": "5"}, {"seconds": [1]}, {1: 2}])
def test_bad_values_are_refused(values):
    with pytest.raises(InputError):
        limits_in(values, "limits")


def test_of_two_limits_the_narrower_holds():
    now = time.monotonic()
    context = Context(deadline=now + 10, budget=0.5, steps=3)
    narrowed = Limits(steps=5, tokens=100, seconds=1000.0, dollars=0.1).within(context)
    assert (narrowed.steps, narrowed.tokens, narrowed.budget) == (3, 100, 0.1)
    assert narrowed.deadline == context.deadline
    assert NONE.within(context) is context
    late = Limits(seconds=1.0).within(context).deadline
    assert late is not None
    assert late < now + 10
