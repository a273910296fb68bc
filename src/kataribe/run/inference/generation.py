"""A request on its way through the engine: its choices and what each has said so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from kataribe.base.events import FinishReason, TokenLogprob
from kataribe.run.inference.constraint import ConstraintState
from kataribe.run.inference.endings import Homeward
from kataribe.run.inference.mailbox import Mailbox
from kataribe.run.inference.reply import ReplyText, TextDecoder
from kataribe.run.inference.requests import Ended, GenerationRequest
from kataribe.run.inference.sampler import Row, TokenSampler
from kataribe.run.inference.sequence import Plan, Sequence

_arrivals = count()

_HURRIED = "The limit of tokens was near; the reply was ended so that no call is left half said."


class Choice:
    """One reply: its tokens and blocks, how the next token is drawn, and its text.

    Attributes:
        may_stop: The last token touched nothing that must be whole, so a stop string in it ends
            the reply.
    """

    __slots__ = (
        "_end",
        "_homeward",
        "constraint",
        "generation",
        "index",
        "is_open",
        "may_stop",
        "sampler",
        "sequence",
        "text",
    )

    def __init__(self, generation: Generation, index: int, sequence: Sequence) -> None:
        request = generation.request
        self.generation = generation
        self.index = index
        self.sequence = sequence
        self.is_open = True
        self.may_stop = True
        self.sampler = TokenSampler(
            request.sampling,
            sequence.tokens[request.source : sequence.prompt_length],
            seed=generation.seed,
            index=index,
            end_ids=generation.end_ids,
        )
        self.constraint: ConstraintState | None = None
        self._homeward: Homeward | None = None
        self._end: int | None = None
        if request.constraint is not None:
            self.constraint = request.constraint.start()
            self._homeward = request.constraint.homeward(self.constraint)
        self.text = ReplyText(generation.new_decoder(), request.stop)

    @property
    def drawn(self) -> int:
        """Tokens drawn."""
        return len(self.sequence) - self.sequence.prompt_length

    def draw(self, row: Row) -> int:
        """The next token from logits `(vocab,)`; it is appended to the sequence."""
        allowed = None if self.constraint is None else self.constraint.mask()[: row.size]
        token = self.sampler.pick(row, allowed)
        if self._homeward is not None:
            token = self._homeward.taken(token, self.sequence.plan.end - len(self.sequence))
        self.sampler.count(token)
        self.sequence.append(token)
        was_inside = self._is_inside
        if token in self.generation.end_ids and not was_inside:
            self._end = token
        elif self.constraint is not None:
            self.constraint.advance(token)
        self.may_stop = not (was_inside or self._is_inside)
        return token

    @property
    def has_ended(self) -> bool:
        """The last token was one that ends the reply; it has no text."""
        return self._end is not None

    @property
    def _is_inside(self) -> bool:
        """The reply is in the middle of what must be whole, so that no stop can end it here."""
        return (
            self._homeward is not None
            and self.constraint is not None
            and not self.constraint.is_accepting
        )

    def ending(self) -> tuple[FinishReason, str | int | None, str] | None:
        """Why the reply ends with its last token, and the line that says more; None if not."""
        if self._homeward is not None and self._homeward.has_changed:
            is_over = self.has_ended or self._is_complete or self._is_full
            return ("length", None, _HURRIED) if is_over else None
        if self._end is not None:
            return "stop", self._end, ""
        if self.text.stop is not None:
            return "stop", self.text.stop, ""
        if self._is_complete:
            return "stop", None, ""
        return ("length", None, "") if self._is_full else None

    @property
    def _is_complete(self) -> bool:
        return self.constraint is not None and self.constraint.is_finished

    @property
    def _is_full(self) -> bool:
        return len(self.sequence) >= self.sequence.plan.end

    def ended(self, reason: FinishReason, stop: str | int | None, detail: str) -> Ended:
        """The closing event."""
        sequence = self.sequence
        return Ended(
            index=self.index,
            reason=reason,
            text=self.text.text,
            ids=tuple(sequence.tokens[sequence.prompt_length :].tolist()),
            prompt_tokens=sequence.prompt_length,
            cached_tokens=sequence.cached,
            stop=stop,
            seed=self.generation.seed,
            detail=detail,
        )


@dataclass(eq=False)
class Generation:
    """One request.

    Attributes:
        request: What was asked.
        mailbox: Where its events go.
        seed: The request's, or a drawn one.
        end: Tokens of prompt and reply together at most.
        end_ids: Tokens that end a reply.
        new_decoder: Makes the decoder of a choice.
        choices: The first one from the beginning, the others once the prompt has been read.
        scores: Log-probabilities of the prompt so far.
        is_open: It has neither ended nor failed nor been given up.
        is_started: It has been given a place.
        reported: The last place in the queue that was reported.
    """

    request: GenerationRequest
    mailbox: Mailbox
    seed: int
    end: int
    end_ids: frozenset[int]
    new_decoder: Callable[[], TextDecoder]
    choices: list[Choice] = field(default_factory=list)
    scores: list[TokenLogprob] = field(default_factory=list)
    is_open: bool = True
    is_started: bool = False
    reported: int = 0

    def __post_init__(self) -> None:
        request = self.request
        reads = request.scores_prompt or request.rows
        score_from = max(request.score_from - 1, 0) if reads else None
        prompt = np.array(request.ids, dtype=np.int64)
        sequence = Sequence(
            (next(_arrivals), 0), prompt, Plan(self.end, score_from, request.source)
        )
        self.choices.append(Choice(self, 0, sequence))

    def fork(self) -> list[Choice]:
        """Makes the other choices; the prompt must have been read and nothing drawn."""
        first = self.choices[0].sequence
        others = [Choice(self, i, first.copy_for(i)) for i in range(1, self.request.n)]
        self.choices += others
        return others
