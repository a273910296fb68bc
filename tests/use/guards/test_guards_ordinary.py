"""Ordinary text passes the guards: a small part of what the benchmark measures in full."""

from __future__ import annotations

import random

import pytest

from benchmarks.guards.ordinary import DATA, docstrings, library, measured_on, missing
from benchmarks.guards.repetition import REGULAR, loop
from kataribe.use.guards.repetition import LoopFinder
from kataribe.use.guards.scoring import shipped, worst


def alarms(texts):
    """The texts that are taken for attacks."""
    found = []
    for text, kind in texts:
        said = worst(shipped(), text, kind)
        if said is not None and said.logit >= shipped().threshold:
            found.append(said)
    return found


def loops(texts):
    return [text for text in texts if LoopFinder().push(text) is not None]


def test_what_the_standard_library_says_of_itself():
    texts = random.Random(21).sample(docstrings(library("n", "z")), 300)
    assert len(alarms((text, "document") for text in texts)) <= 6
    assert loops(texts) == []


def test_texts_of_the_data_sets():
    if missing(DATA):
        pytest.skip(f"{DATA} lacks {', '.join(missing(DATA))}; it is for development only.")
    texts = random.Random(22).sample(measured_on(DATA), 300)
    assert len(alarms((text.text, text.kind) for text in texts)) <= 6
    assert loops(text.text for text in texts) == []


@pytest.mark.parametrize("kind", REGULAR)
def test_what_is_regular_by_nature(kind):
    draw = random.Random(23)
    texts = [REGULAR[kind](draw) for _ in range(3)]
    assert loops(texts) == []


def test_made_loops_are_found():
    draw = random.Random(24)
    for _ in range(40):
        text, third = loop(draw, [" ".join(REGULAR["SQL"](draw).split())])
        finder = LoopFinder()
        stop = next(at for at, sign in enumerate(text, 1) if finder.push(sign) is not None)
        assert stop > third - 40, text
