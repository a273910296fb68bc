"""Automatic prompt engineering: a model writes the instruction.

APE, Zhou et al. 2023, "Large language models are human-level prompt engineers".

From some of the user's examples a model guesses the instruction behind them, several times; each
guess is tried on the examples to choose by, and scored. What wins was chosen for winning there, so
how good it is, is measured on examples that neither guessing nor choosing has seen (held out).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from kataribe.base.errors import InputError
from kataribe.base.events import Finished, FinishReason, Usage
from kataribe.base.lm import LM, Request, Sampling, reply
from kataribe.base.messages import text_message, text_of
from kataribe.use.prompts.answers import same_answer
from kataribe.use.prompts.calls import added, derived_seed, one_line
from kataribe.use.prompts.few_shot import Example
from kataribe.use.prompts.ranges import within
from kataribe.use.prompts.running import AT_ONCE, together
from kataribe.use.prompts.wordings import wording_for
from kataribe.use.prompts.zero_shot import ZeroShot, ZeroShotOptions

LEAST_EXAMPLES = 4
LONGEST = 2000
"""Characters of an instruction; a longer guess is the model going on with something else."""

Told: TypeAlias = Callable[[str, str], None]
"""Hears what is done now, in a word and a line."""


class Bounds(Protocol):
    """A mean and an interval; `prove.evals.intervals.Interval` is one."""

    @property
    def mean(self) -> float:
        """What was measured."""
        ...

    @property
    def low(self) -> float:
        """Lower bound."""
        ...

    @property
    def high(self) -> float:
        """Upper bound."""
        ...


@dataclass(frozen=True, slots=True)
class Judging:
    """How answers are judged, and how sure that is. Statistics are the evaluations' business.

    Attributes:
        share: The interval of a share of right answers (1) among all (`intervals.share`).
        difference: The same for changed - base, question by question
            (`intervals.paired_share_difference`).
        is_right: (reply, wanted answer) -> whether it is right.
    """

    share: Callable[[Sequence[float]], Bounds]
    difference: Callable[[Sequence[float], Sequence[float]], Bounds]
    is_right: Callable[[str, str], bool] = same_answer


@dataclass(frozen=True, slots=True)
class AutomaticOptions:
    """How hard to search.

    It takes `candidates` calls to guess, (candidates + 1) x examples to choose among, and two for
    each example that is held out.

    Attributes:
        candidates: Instructions that are guessed.
        shown: Examples that each guess is made from.
        held_out: Share of the examples that measure the winner.
        temperature: Of guessing.
        max_tokens: Of each answer and guess; None for all that the context leaves.
        seed: Of splitting and drawing.
        at_once: Most calls at a time.
    """

    candidates: int = 8
    shown: int = 4
    held_out: float = 0.5
    temperature: float = 0.9
    max_tokens: int | None = None
    seed: int = 0
    at_once: int = AT_ONCE

    def __post_init__(self) -> None:
        within("candidates", self.candidates, 1, 200)
        within("shown", self.shown, 1, 50)
        within("held_out", self.held_out, 0.1, 0.9)
        within("temperature", self.temperature, 0, 2)
        within("at_once", self.at_once, 1, 64)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instruction and the share of the examples to choose by that it got right."""

    instruction: str
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the search found; where a limit has ended it, what it had found until then.

    Attributes:
        instruction: The winner; empty where no guess did better than no instruction.
        candidates: All that were tried, best first; the bare question is the one without words.
        score: Share of held-out examples that it got right; None where that was not measured.
        base: The same for the bare question.
        gain: score - base, on the same examples.
        held_out: The examples that measured it.
        usage: What all calls used.
        untried: Guesses that were not tried on all examples to choose by.
        reason: `stop`, or the limit that ended the search: `budget` or `deadline`.
        detail: What that limit says.
    """

    instruction: str
    candidates: tuple[Candidate, ...]
    score: Bounds | None
    base: Bounds | None
    gain: Bounds | None
    held_out: tuple[Example, ...]
    usage: Usage
    untried: tuple[str, ...] = ()
    reason: FinishReason = "stop"
    detail: str = ""

    def over(self, lm: LM) -> ZeroShot:
        """The model that is asked with the instruction: an `LM`."""
        return ZeroShot(lm, ZeroShotOptions(self.instruction))


async def find_instruction(
    lm: LM,
    examples: Sequence[Example],
    judging: Judging,
    options: AutomaticOptions | None = None,
    *,
    proposer: LM | None = None,
    told: Told = lambda *_: None,
) -> Found:
    """Searches an instruction for `lm` on the user's examples.

    Args:
        lm: Who will be asked with the instruction.
        examples: Questions with right answers; at least `LEAST_EXAMPLES`.
        judging: Right or wrong, and how sure that is.
        options: How hard to search.
        proposer: Who guesses instructions; `lm` itself where none is given.
        told: Hears each guess and each score as they come.

    Where a reply ends with `budget` or `deadline`, the search ends with what it has found. Raises
    `InputError` for too few examples; errors of the models pass, after `told` has heard what was
    found until then.
    """
    options = options or AutomaticOptions()
    known, held_out = split(examples, options)
    search = _Search(lm, proposer or lm, judging, options, told)
    ended: Finished | None = None
    try:
        await search.run(known, held_out)
    except _SpentError as error:
        ended = error.end
    found, base = search.measured.get(search.winner), search.measured.get("")
    tried = {each.instruction for each in search.tried}
    return Found(
        search.winner,
        tuple(search.ranked),
        None if found is None else judging.share(found),
        None if base is None else judging.share(base),
        None if found is None or base is None else judging.difference(found, base),
        tuple(held_out),
        search.usage,
        tuple(each for each in search.guesses if each not in tried),
        "stop" if ended is None else ended.reason,
        "" if ended is None else ended.detail,
    )


def split(
    examples: Sequence[Example], options: AutomaticOptions
) -> tuple[list[Example], list[Example]]:
    """Examples to guess and choose by, and those that are held out; always the same ones.

    Equal questions are on one side, or the held-out ones would not be unseen.
    """
    by_question: dict[str, list[Example]] = {}
    for example in examples:
        by_question.setdefault(one_line(example.question).casefold(), []).append(example)
    if len(by_question) < LEAST_EXAMPLES:
        raise InputError(
            f"There are {len(by_question)} different examples, but at least {LEAST_EXAMPLES} are "
            "needed: some to choose by, others to measure. Give more.",
            param="examples",
        )
    groups = list(by_question.values())
    random.Random(options.seed).shuffle(groups)
    apart = min(max(2, round(len(groups) * options.held_out)), len(groups) - 2)
    known, held_out = groups[apart:], groups[:apart]
    return [each for group in known for each in group], [each for g in held_out for each in g]


class _SpentError(Exception):
    """A limit has ended a call, and with it the search."""

    def __init__(self, end: Finished) -> None:
        super().__init__(end.detail)
        self.end = end


class _Search:
    """The calls of one search, what they used, and what they have found until now.

    Attributes:
        guessed: By the number of the call.
        tried: Each with its score, in the order of trying.
        measured: 1 or 0 for each held-out example, by the instruction.
    """

    def __init__(
        self, lm: LM, proposer: LM, judging: Judging, options: AutomaticOptions, told: Told
    ) -> None:
        self.lm = lm
        self.proposer = proposer
        self.judging = judging
        self.options = options
        self.told = told
        self.usage = Usage(0, 0)
        self.guessed: dict[int, str] = {}
        self.tried: list[Candidate] = []
        self.measured: dict[str, list[float]] = {}
        self._gate = asyncio.Semaphore(options.at_once)

    @property
    def guesses(self) -> list[str]:
        """Different instructions, in the order of the calls."""
        ordered = (self.guessed[number] for number in sorted(self.guessed))
        return [each for each in dict.fromkeys(ordered) if each]

    @property
    def ranked(self) -> list[Candidate]:
        """By score; of equal ones the shorter, so that words must earn their place."""
        return sorted(self.tried, key=lambda each: (-each.score, len(each.instruction)))

    @property
    def winner(self) -> str:
        """The best that was tried; empty for none."""
        return self.ranked[0].instruction if self.tried else ""

    async def run(self, known: Sequence[Example], held_out: Sequence[Example]) -> None:
        """Guesses, tries and measures. Raises `_SpentError` at a limit; the attributes stay."""
        await self.guess(known)
        for instruction in ("", *self.guesses):
            right = await self.right(instruction, known, instruction or "the bare question")
            self.tried.append(Candidate(instruction, sum(right) / len(right)))
        self.measured[""] = await self.right("", held_out, "held out, bare question")
        if self.winner:
            self.measured[self.winner] = await self.right(self.winner, held_out, "held out, winner")

    async def guess(self, known: Sequence[Example]) -> None:
        """Instructions, each guessed from examples that are drawn for it."""
        wording = wording_for(" ".join(example.question for example in known))

        async def one(number: int) -> None:
            draw = random.Random(derived_seed(self.options.seed, "shown", number))
            shown = draw.sample(list(known), min(self.options.shown, len(known)))
            text = "\n\n".join(
                wording.guess_example.render({"question": each.question, "answer": each.answer})
                for each in shown
            )
            asked = wording.guess.render({"examples": text})
            said = await self._ask(self.proposer, asked, self.options.temperature, "guess", number)
            self.told("guess", one_line(said))
            self.guessed[number] = cleaned(said)

        await together(one(number) for number in range(self.options.candidates))

    async def right(self, instruction: str, examples: Sequence[Example], name: str) -> list[float]:
        """1 or 0 for each example."""
        asked = ZeroShot(self.lm, ZeroShotOptions(instruction))

        async def one(number: int, example: Example) -> float:
            said = await self._ask(asked, example.question, 0.0, "answer", number)
            return float(self.judging.is_right(said, example.answer))

        right = await together(one(number, each) for number, each in enumerate(examples))
        self.told("score", f"{sum(right):g} of {len(right)}: {one_line(name)}")
        return right

    async def _ask(self, lm: LM, text: str, temperature: float, *path: str | int) -> str:
        request = Request(
            (text_message("user", text),),
            Sampling(temperature=temperature, max_tokens=self.options.max_tokens),
            seed=derived_seed(self.options.seed, *path),
        )
        async with self._gate:
            end = await reply(lm, request)
        self.usage = added(self.usage, end.usage)
        if end.reason in ("budget", "deadline"):
            raise _SpentError(end)
        return text_of(end.message)


def cleaned(guess: str) -> str:
    """An instruction as it is used: without quotes and a title; empty for one that is too long."""
    text = guess.strip().strip("\"'`“”「」").strip()
    for title in ("Instruction:", "The instruction was:", "指示:", "指示:"):
        text = text.removeprefix(title).strip()
    return text if len(text) <= LONGEST else ""
