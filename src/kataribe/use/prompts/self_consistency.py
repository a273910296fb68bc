"""Self-consistency: several ways of thinking, and a vote on where they lead.

Wang et al. 2023, "Self-consistency improves chain of thought reasoning in language models".

A chain of thought is drawn several times with some temperature. Wrong chains go wrong in different
ways, right ones end in the same answer; so the answer that most chains come to wins, and the share
of the votes says how sure it is. The step `vote` has both as JSON in its content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kataribe.base.errors import InputError
from kataribe.base.lm import LM, Request
from kataribe.use.prompts.answers import Answer, Wanted, final_answer
from kataribe.use.prompts.calls import Said, Work
from kataribe.use.prompts.chain_of_thought import ChainOfThought
from kataribe.use.prompts.ranges import within
from kataribe.use.prompts.running import AT_ONCE, together
from kataribe.use.prompts.technique import Carries, Technique


@dataclass(frozen=True, slots=True)
class SelfConsistencyOptions:
    """How to vote.

    Attributes:
        paths: Chains that are drawn; the paper gains most up to 10, and a little up to 40.
        temperature: Of each path, where the request says 0 or nothing: at 0 all would be the same.
        answers: What is voted on: `number`, `choice` (a letter), `json`, `text` or `auto`.
        think: Each path is a chain of thought; else the inner model is asked as it is.
        at_once: Most paths at a time.
    """

    paths: int = 5
    temperature: float = 0.7
    answers: Wanted = "auto"
    think: bool = True
    at_once: int = AT_ONCE

    def __post_init__(self) -> None:
        within("paths", self.paths, 2, 100)
        within("temperature", self.temperature, 0, 2)
        within("at_once", self.at_once, 1, 64)
        if self.temperature == 0:
            raise InputError(
                "temperature is 0, so that all paths would be the same. Give more than 0, such "
                "as 0.7.",
                param="temperature",
            )


@dataclass(frozen=True, slots=True)
class Vote:
    """How the paths voted.

    Attributes:
        winner: Place of the first path with the winning answer; None where no path has one.
        counts: Votes by answer, most first.
        confidence: Share of all paths that came to the winning answer.
        is_tie: Another answer has as many votes; the one that came in an earlier path won.
    """

    winner: int | None
    counts: Mapping[str, int]
    confidence: float
    is_tie: bool

    def to_json(self, paths: int) -> str:
        """A line of JSON, for programs; `paths` is how many voted."""
        told = {
            "answer": next(iter(self.counts), None),
            "votes": self.counts,
            "without_answer": paths - sum(self.counts.values()),
            "paths": paths,
            "confidence": self.confidence,
            "tie": self.is_tie,
        }
        return json.dumps(told, ensure_ascii=False)


def vote(answers: Sequence[Answer | None]) -> Vote:
    """Counts the answers of the paths, in the order of the paths; None is a path without one."""
    counts: dict[str, int] = {}
    first: dict[str, int] = {}
    for place, answer in enumerate(answers):
        if answer is not None:
            counts[answer.normal] = counts.get(answer.normal, 0) + 1
            first.setdefault(answer.normal, place)
    if not counts:
        return Vote(None, {}, 0.0, is_tie=False)
    order = sorted(counts, key=lambda normal: (-counts[normal], first[normal]))
    most = counts[order[0]]
    return Vote(
        first[order[0]],
        {normal: counts[normal] for normal in order},
        most / len(answers),
        is_tie=len(order) > 1 and counts[order[1]] == most,
    )


class SelfConsistency(Technique):
    """Draws paths and replies with the first that came to the answer with most votes."""

    title = "self-consistency"
    carries = Carries(response_format=True, stop=True)

    def __init__(self, lm: LM, options: SelfConsistencyOptions | None = None) -> None:
        self.options = options or SelfConsistencyOptions()
        super().__init__(lm, at_once=self.options.at_once)
        self._path: LM = ChainOfThought(lm) if self.options.think else lm

    async def answer(self, work: Work) -> None:
        """All paths, then the vote."""
        found: dict[int, tuple[Said, Answer | None]] = {}

        async def walk(place: int) -> None:
            said = await work.ask(self._request(work, place), lm=self._path)
            found[place] = said, final_answer(said.text, self.options.answers)
            await self._tell(work, place, found)

        await together(walk(place) for place in range(self.options.paths))
        places = sorted(found)
        result = vote([found[place][1] for place in places])
        many = len(places)
        await work.step("vote", told(result, many), content=result.to_json(many))
        await work.give(found[result.winner or 0][0])

    def _request(self, work: Work, place: int) -> Request:
        sampling = work.request.sampling
        if not sampling.temperature:
            sampling = replace(sampling, temperature=self.options.temperature)
        return replace(work.request, sampling=sampling, seed=work.seed("path", place))

    async def _tell(
        self, work: Work, place: int, found: Mapping[int, tuple[Said, Answer | None]]
    ) -> None:
        said, answer = found[place]
        comes_to = "no answer" if answer is None else answer.normal
        places = sorted(found)
        so_far = vote([found[each][1] for each in places])
        leading = found[places[so_far.winner]][0].text if so_far.winner is not None else said.text
        paths = self.options.paths
        work.keep(f"{len(places)} of {paths} paths ended. {told(so_far, len(places))}", leading)
        await work.step("path", f"{place + 1} of {paths}: {comes_to}. {said.text}")


def told(result: Vote, paths: int) -> str:
    """A vote in a line."""
    if result.winner is None:
        return f"none of {paths} paths came to an answer; the first one is the reply"
    votes = ", ".join(f"{normal}: {count}" for normal, count in result.counts.items())
    none = paths - sum(result.counts.values())
    without = f", without an answer: {none}" if none else ""
    tie = "; a tie, which the earlier path wins" if result.is_tie else ""
    return f"{votes}{without}; confidence {result.confidence:.0%}{tie}"
