"""Asking an `LM` many questions, and what its answers are worth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kataribe.base.events import Finished
from kataribe.base.lm import LM, Request, Sampling, reply
from kataribe.base.messages import text_of
from kataribe.prove.evals.intervals import Interval, interval, paired_difference
from kataribe.prove.evals.questions import Question
from kataribe.prove.evals.scores import SCORES

AT_ONCE = 4
"""Questions in the air: the engine computes them together."""


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        text: The words.
        ended: The model ended its turn by itself, and was not cut off.
    """

    text: str
    ended: bool


@dataclass(frozen=True)
class Result:
    """What a model's answers are worth.

    Attributes:
        name: The model.
        answers: In the order of the questions.
        scores: By name of the score, one number for each answer.
    """

    name: str
    answers: tuple[Answer, ...]
    scores: dict[str, tuple[float, ...]]

    def mean(self, score: str) -> Interval:
        """The mean of a score, and how sure it is."""
        return interval(self.scores[score])

    @property
    def ended(self) -> float:
        """Share of turns that the model ended by itself."""
        return sum(answer.ended for answer in self.answers) / len(self.answers)

    def above(self, base: Result, score: str) -> Interval:
        """How far this is above `base` on the same questions."""
        return paired_difference(self.scores[score], base.scores[score])


async def answer_all(
    lm: LM,
    questions: Sequence[Question],
    *,
    max_tokens: int,
    told: Callable[[int], None] = lambda _: None,
) -> Result:
    """Asks every question for the likeliest answer, a few at a time, and scores what comes back.

    Args:
        lm: Whom.
        questions: What.
        max_tokens: A longer answer is cut, and did not end by itself.
        told: Hears how many are answered.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    done = 0

    async def one(question: Question) -> Answer:
        nonlocal done
        sampling = Sampling(temperature=0.0, max_tokens=max_tokens)
        async with gate:
            finished = await reply(lm, Request(question.prompt, sampling, seed=0))
        done += 1
        told(done)
        return _answer(finished)

    answers = tuple(await asyncio.gather(*map(one, questions)))
    scores = {
        name: tuple(
            score(answer.text, question.wanted)
            for answer, question in zip(answers, questions, strict=True)
        )
        for name, score in SCORES.items()
    }
    return Result(lm.name, answers, scores)


def _answer(finished: Finished) -> Answer:
    return Answer(text_of(finished.message), finished.reason == "stop")
