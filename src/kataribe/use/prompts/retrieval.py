"""Retrieval: passages about the question first, an answer from them with citations.

Lewis et al. 2020, "Retrieval-augmented generation for knowledge-intensive NLP tasks".

Where passages come from is not this file's business: any async function from a query to passages
with sources will do (files, a knowledge base, a search engine, a table of facts). The model is
asked to put the number of a passage behind what rests on it; each such mark becomes a `Citation`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kataribe.base.events import Citation, Event, Finished, Step
from kataribe.base.lm import LM
from kataribe.base.messages import text_of
from kataribe.use.prompts.calls import Work, one_line
from kataribe.use.prompts.ranges import within
from kataribe.use.prompts.technique import EVERYTHING, Technique

_MARKS = re.compile(r"(?:\s?[\[［【]\s*\d{1,3}(?:\s*[,、，]\s*\d{1,3})*\s*[\]］】])+")
_DIGITS = re.compile(r"\d{1,3}")
_SENTENCE = re.compile(r"[。！？\n]|[.!?](?=\s)|[\]］】]")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text and where it is from (an address, a file and page, a title)."""

    text: str
    source: str


Search: TypeAlias = Callable[[str, int], Awaitable[Sequence[Passage]]]
"""The passages nearest to a query, best first, at most so many; raises from `KataribeError`'s tree.

What searches and is searched stands behind this, for techniques and tools alike."""


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """What is shown of what was found.

    Attributes:
        most: Passages, the best ones first.
    """

    most: int = 5

    def __post_init__(self) -> None:
        within("most", self.most, 1, 100)


class Retrieval(Technique):
    """Searches with the question, shows the passages, asks once; carries all of a request."""

    title = "retrieval"
    carries = EVERYTHING
    asks_once = True

    def __init__(self, lm: LM, search: Search, options: RetrievalOptions | None = None) -> None:
        super().__init__(lm)
        self.options = options or RetrievalOptions()
        self._search = search

    async def answer(self, work: Work) -> None:
        """Search, passages, reply; citations come before its end."""
        await work.step("search", work.question)
        most = self.options.most
        passages = tuple((await work.in_time(self._search(work.question, most)))[:most])
        await work.step("found", _told(passages))
        if not passages:
            text = work.wording.no_passages.render({"question": work.question})
            await work.relay(work.reply(text))
            return
        text = work.wording.passages.render(
            {"passages": numbered(passages), "question": work.question}
        )
        await work.relay(work.reply(text), last=lambda end: cited(end, passages))


def numbered(passages: Sequence[Passage]) -> str:
    """The passages as a prompt shows them, each with its number and source."""
    return "\n\n".join(
        f"[{number}] ({one_line(each.source)})\n{each.text.strip()}"
        for number, each in enumerate(passages, 1)
    )


def cited(end: Finished, passages: Sequence[Passage]) -> list[Event]:
    """The citations in a reply; a step tells of numbers for which there is no passage.

    A citation covers the words from the end of the sentence (or the mark) before, up to its mark.
    """
    text = text_of(end.message)
    events: list[Event] = []
    unknown: list[str] = []
    for marks in _MARKS.finditer(text):
        start = _begin(text, marks.start())
        for number in dict.fromkeys(int(digits) for digits in _DIGITS.findall(marks[0])):
            if 1 <= number <= len(passages):
                passage = passages[number - 1]
                events.append(
                    Citation(passage.source, start, marks.start(), passage.text, end.index)
                )
            else:
                unknown.append(str(number))
    if unknown:
        detail = f"the reply names passages that are not there: {', '.join(unknown)}"
        events.append(Step("citations", detail, end.index))
    return events


def _begin(text: str, end: int) -> int:
    """Where the statement before `end` begins; a sentence's own end right before it is its own."""
    body = text[:end].rstrip(" .!?。！？")
    breaks = [found.end() for found in _SENTENCE.finditer(body)]
    start = breaks[-1] if breaks else 0
    return start + len(text[start:end]) - len(text[start:end].lstrip())


def _told(passages: Sequence[Passage]) -> str:
    if not passages:
        return "nothing"
    sources = ", ".join(dict.fromkeys(one_line(each.source) for each in passages))
    return f"{len(passages)} passage{'s' * (len(passages) > 1)}: {sources}"
