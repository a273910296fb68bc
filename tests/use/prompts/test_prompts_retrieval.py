"""Retrieval: what is searched, shown and cited."""

from __future__ import annotations

import asyncio
import time

import pytest
from technique_events import asked, end, events_of, question, steps, words

from kataribe.base.errors import InputError, UnavailableError
from kataribe.base.events import Citation, Finished, Usage
from kataribe.base.lm import Context
from kataribe.base.messages import text_message
from kataribe.run.providers import ScriptedLM
from kataribe.use.prompts.retrieval import Passage, Retrieval, RetrievalOptions, cited, numbered

PASSAGES = [
    Passage("Tokyo has 14 million people.", "atlas, page 3"),
    Passage("Osaka has 2.7 million.", "atlas, page 4"),
    Passage("Kyoto was the capital.", "history"),
]


def finding(*passages: Passage, queries: list[tuple[str, int]] | None = None):
    async def search(query: str, most: int) -> list[Passage]:
        if queries is not None:
            queries.append((query, most))
        await asyncio.sleep(0)
        return list(passages)

    return search


async def test_passages_come_before_the_question_and_marks_become_citations():
    queries: list[tuple[str, int]] = []
    inner = ScriptedLM("Tokyo is big [1]. Osaka is smaller. [2] That is all [7].")
    lm = Retrieval(inner, finding(*PASSAGES, queries=queries), RetrievalOptions(most=2))
    events = await events_of(lm, question("How big is Tokyo?"))
    assert queries == [("How big is Tokyo?", 2)]
    [prompt] = asked(inner)
    assert "[1] (atlas, page 3)\nTokyo has 14 million people.\n\n[2] (atlas, page 4)" in prompt
    assert "Kyoto" not in prompt
    assert prompt.endswith("Question: How big is Tokyo?")
    found = [event for event in events if isinstance(event, Citation)]
    text = words(events)
    assert [(each.source, text[each.start : each.end]) for each in found] == [
        ("atlas, page 3", "Tokyo is big"),
        ("atlas, page 4", "Osaka is smaller."),
    ]
    assert found[0].quote == "Tokyo has 14 million people."
    assert steps(events) == [
        "search: How big is Tokyo?",
        "found: 2 passages: atlas, page 3, atlas, page 4",
        "citations: the reply names passages that are not there: 7",
    ]


async def test_each_choice_has_its_own_citations_and_one_search():
    queries: list[tuple[str, int]] = []
    inner = ScriptedLM([["One [1].", "Two [2]."]])
    lm = Retrieval(inner, finding(*PASSAGES, queries=queries))
    events = await events_of(lm, question(n=2))
    found = [(e.index, e.source) for e in events if isinstance(e, Citation)]
    assert found == [(0, "atlas, page 3"), (1, "atlas, page 4")]
    assert len(queries) == 1


async def test_nothing_found_is_said_to_the_model():
    inner = ScriptedLM("Nothing was found.")
    events = await events_of(Retrieval(inner, finding()))
    assert "found nothing" in asked(inner)[0]
    assert steps(events, "found") == ["nothing"]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("東京は大きい[1]。大阪は小さい［2］。", [(1, "東京は大きい"), (2, "大阪は小さい")]),
        ("東京は大きい。【1】大阪も。", [(1, "東京は大きい。")]),
        ("Both [1, 2].", [(1, "Both"), (2, "Both")]),
        ("Both [1][2][1].", [(1, "Both"), (2, "Both")]),
        ("First line\nSecond [3]", [(3, "Second")]),
        ("[1] begins", [(1, "")]),
        ("3.14 is pi [1]", [(1, "3.14 is pi")]),
        ("No marks [x] [1999]", []),
        ("", []),
    ],
)
def test_what_a_mark_stands_for(text, spans):
    finished = Finished(text_message("assistant", text), Usage(1, 1), "stop", 0)
    found = [event for event in cited(finished, PASSAGES) if isinstance(event, Citation)]
    sources = [each.source for each in PASSAGES]
    assert [(sources.index(e.source) + 1, text[e.start : e.end]) for e in found] == spans


def test_a_source_stays_on_its_line():
    assert numbered([Passage(" text ", "a\nb")]) == "[1] (a b)\ntext"


async def test_an_error_of_the_search_passes():
    async def search(_query: str, _most: int) -> list[Passage]:
        raise UnavailableError("The index is being built.")

    with pytest.raises(UnavailableError):
        await events_of(Retrieval(ScriptedLM(), search))


async def test_a_search_that_hangs_ends_at_the_deadline():
    async def search(_query: str, _most: int) -> list[Passage]:
        await asyncio.sleep(60)
        return []

    context = Context(deadline=time.monotonic() + 0.05)
    events = await events_of(Retrieval(ScriptedLM(), search), question(context=context, n=2))
    assert [end(events, at).reason for at in range(2)] == ["deadline", "deadline"]


async def test_a_time_limit_of_the_search_itself_is_not_the_requests():
    async def search(_query: str, _most: int) -> list[Passage]:
        raise TimeoutError("the search engine's own")

    with pytest.raises(TimeoutError, match="own"):
        await events_of(Retrieval(ScriptedLM(), search))


def test_at_least_one_passage():
    with pytest.raises(InputError, match="most is 0"):
        RetrievalOptions(most=0)
