"""Every technique around a scripted model, with what it needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from technique_events import Multiply

from kataribe.base.lm import LM
from kataribe.use.prompts.few_shot import Example
from kataribe.use.prompts.registry import TECHNIQUES, Parts, technique
from kataribe.use.prompts.retrieval import Passage
from kataribe.use.prompts.technique import Technique

SMALL = {
    "few-shot": {"examples": [Example("1 + 1?", "2"), Example("2 + 2?", "4")]},
    "self-consistency": {"paths": 3},
    "tree-of-thoughts": {"depth": 2, "branches": 2},
}


@pytest.fixture(params=TECHNIQUES)
def name(request) -> str:
    return request.param


@pytest.fixture
def build() -> Callable[[str, LM], Technique]:
    async def search(_query: str, _most: int) -> list[Passage]:
        return [Passage("6 x 7 = 42", "table"), Passage("6 x 8 = 48", "table")]

    def make(name: str, lm: LM, **options) -> Technique:
        parts = Parts(search=search, tools=[Multiply()])
        return technique(name, lm, {**SMALL.get(name, {}), **options}, parts)

    return make
