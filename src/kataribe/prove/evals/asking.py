"""Asking an `LM` many questions, and what its answers are worth."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kataribe.base.abilities import without
from kataribe.base.easing import Eased
from kataribe.base.errors import BusyError, InputError, ProviderError
from kataribe.base.lm import LM, Request, Sampling, reply
from kataribe.base.messages import text_of
from kataribe.prove.evals.intervals import (
    Interval,
    interval,
    paired_difference,
    paired_share_difference,
    share,
)
from kataribe.prove.evals.questions import Question
from kataribe.prove.evals.scores import SCORES, SHARES
from kataribe.use.prompts.running import together

SAMPLING = {"temperature": 0, "seed": 0}
"""How every question is asked; what of it a model does not take is left out, and told."""
AT_ONCE = 4
"""Questions in the air: the engine computes them together."""
MOST_TRIES = 8
"""How often a question is put to a model that is busy, or whose server is in trouble."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a server in trouble is asked again, doubled each time: 91 s in all, in which it
can be started anew."""


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        text: The words.
        ended: The model ended its turn by itself, and was not cut off.
        failure: Why there is no answer; empty where there is one. It scores 0.
        left_out: What of `SAMPLING` the model was asked without, as it does not take it.
    """

    text: str
    ended: bool
    failure: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a model's answers are worth.

    Attributes:
        name: The model.
        questions: What it was asked.
        answers: In the order of the questions.
        scores: By name of the score, one number for each answer; 0 where it failed.
    """

    name: str
    questions: tuple[Question, ...]
    answers: tuple[Answer, ...]
    scores: Mapping[str, tuple[float, ...]]

    @property
    def items(self) -> tuple[str, ...]:
        """What each question is about."""
        return tuple(question.item for question in self.questions)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of question, in alphabetical order."""
        return tuple(sorted({question.kind for question in self.questions}))

    @property
    def failures(self) -> tuple[str, ...]:
        """Why questions have no answer, one reason for each that has none."""
        return tuple(answer.failure for answer in self.answers if answer.failure)

    @property
    def left_out(self) -> dict[str, int]:
        """How many answers were asked for without a part of `SAMPLING`, by its name."""
        return dict(Counter(name for answer in self.answers for name in answer.left_out))

    @property
    def ended(self) -> Interval:
        """Share of turns that the model ended by itself."""
        return share(self._ended, self.items)

    @property
    def _ended(self) -> list[float]:
        return [float(answer.ended) for answer in self.answers]

    def mean(self, score: str) -> Interval:
        """The mean of a score, and how sure it is."""
        of = share if score in SHARES else interval
        return of(self.scores[score], self.items)

    def above(self, base: Result, score: str) -> Interval:
        """How far this is above `base` on the same questions; `InputError` for other ones."""
        self._refuse_others(base)
        of = paired_share_difference if score in SHARES else paired_difference
        return of(self.scores[score], base.scores[score], self.items)

    def ended_above(self, base: Result) -> Interval:
        """The same for the share of turns that ended by themselves."""
        self._refuse_others(base)
        return paired_share_difference(self._ended, base._ended, self.items)

    def of_kind(self, kind: str) -> Result:
        """The part of the questions that are of a kind."""
        places = [at for at, question in enumerate(self.questions) if question.kind == kind]
        return dataclasses.replace(
            self,
            questions=tuple(self.questions[at] for at in places),
            answers=tuple(self.answers[at] for at in places),
            scores={name: tuple(each[at] for at in places) for name, each in self.scores.items()},
        )

    def _refuse_others(self, base: Result) -> None:
        if self.questions != base.questions:
            raise InputError(
                f"{self.name} and {base.name} were asked different questions; ask both the same."
            )


async def answer_all(
    lm: LM,
    questions: Sequence[Question],
    *,
    max_tokens: int,
    known: Mapping[str, Answer] | None = None,
    told: Callable[[Question, Answer], None] = lambda *_: None,
) -> Result:
    """Asks every question for the likeliest answer, a few at a time, and scores what comes back.

    A model that takes no temperature, or no seed, is asked without (see `Answer.left_out`): it
    draws its answers in its own way.

    A question that cannot be asked (it is longer than the context) counts as failed and the others
    go on. What is wrong with the model and not with a question (it is not there, its server is
    gone, or replies break off each time) ends it all: it says nothing of the question, so it must
    not become a score. `told` has heard what was answered until then.

    Args:
        lm: Whom.
        questions: What; `InputError` for none.
        max_tokens: A longer answer is cut, and did not end by itself.
        known: Answers by the key of their question; these are not asked again.
        told: Hears each new answer when it comes.

    Raises:
        KataribeError: No question at all has an answer (with the first one's reason), or the
            model answers no more.
    """
    if not questions:
        raise InputError("There is no question to ask; give at least one.")
    gate = asyncio.Semaphore(AT_ONCE)
    refused: set[str] = set()

    async def one(question: Question) -> Answer:
        found = (known or {}).get(question.key)
        if found is None:
            async with gate:
                found = await _ask(lm, question, max_tokens, refused)
            told(question, found)
        return found

    answers = await together([one(question) for question in questions])
    if all(answer.failure for answer in answers):
        raise InputError(
            f"None of the {len(answers)} questions has an answer of {lm.name}. The first failed "
            f"because: {answers[0].failure}"
        )
    scores = {
        name: tuple(
            0.0 if answer.failure else score(answer.text, question.wanted)
            for answer, question in zip(answers, questions, strict=True)
        )
        for name, score in SCORES.items()
    }
    return Result(lm.name, tuple(questions), tuple(answers), scores)


async def _ask(lm: LM, question: Question, max_tokens: int, refused: set[str]) -> Answer:
    """`refused`: what the model was found not to take; it is not asked for again."""
    sampling = Sampling(temperature=SAMPLING["temperature"], max_tokens=max_tokens)
    pause = FIRST_PAUSE
    for last in (False,) * (MOST_TRIES - 1) + (True,):
        request = Request(question.prompt, sampling, seed=0)
        before = frozenset(refused)
        for name in before:
            request = without(request, name)
        eased = Eased(lm, tuple(SAMPLING))
        try:
            finished = await reply(eased, request)
        except (BusyError, ProviderError) as error:
            if last:
                raise
            await asyncio.sleep(error.retry_after if isinstance(error, BusyError) else pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        except InputError as error:
            return Answer("", ended=False, failure=error.message)
        else:
            refused |= eased.left_out
            left_out = tuple(sorted(before | eased.left_out))
            return Answer(text_of(finished.message), finished.reason == "stop", left_out=left_out)
    raise AssertionError("the last try answers or raises")
