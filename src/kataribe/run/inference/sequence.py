"""One choice as the scheduler sees it: its tokens, how many are in the cache, and where."""

from __future__ import annotations

from collections.abc import Sequence as AnySequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kataribe.run.inference.blocks import BlockTable


@dataclass(frozen=True, slots=True)
class Plan:
    """How far a sequence may go.

    Attributes:
        end: Tokens of prompt and reply together at most.
        score_from: First prompt position whose logits are wanted (they predict the token after
            it); None to score nothing of the prompt.
        source: Tokens at the beginning that an encoder reads; see `Slice.source`.
    """

    end: int
    score_from: int | None = None
    source: int = 0

    @property
    def scores(self) -> bool:
        """Whether anything of the prompt is scored."""
        return self.score_from is not None


class Sequence:
    """Tokens of prompt and reply, and the state of their keys and values.

    Attributes:
        order: Arrival, then choice; the smaller goes first, and is preempted last.
        prompt_length: Tokens of the prompt.
        plan: How far it may go.
        computed: Tokens, from the front, whose keys and values are in the cache.
        cached: Prompt tokens that came out of the cache when it first began.
        scored: Prompt position from which on logits are still wanted, for scoring.
        table: Its blocks.
        started: It has been given a place at least once.
        is_running: It has a place now.
    """

    __slots__ = (
        "_buffer",
        "_length",
        "cached",
        "computed",
        "is_running",
        "order",
        "plan",
        "prompt_length",
        "scored",
        "started",
        "table",
    )

    def __init__(
        self, order: tuple[int, int], prompt: AnySequence[int] | NDArray[np.int64], plan: Plan
    ) -> None:
        self.order = order
        self.prompt_length = len(prompt)
        self.plan = plan
        self.computed = 0
        self.cached = 0
        self.scored = len(prompt) if plan.score_from is None else plan.score_from
        self.table = BlockTable()
        self.started = False
        self.is_running = False
        self._length = len(prompt)
        # Room for a few replies' worth; it doubles, so that appending stays cheap.
        self._buffer = np.empty(max(64, len(prompt) + 64), dtype=np.int64)
        self._buffer[: self._length] = prompt

    def __len__(self) -> int:
        return self._length

    @property
    def tokens(self) -> NDArray[np.int64]:
        """All tokens, `(length,)`: a view that later tokens do not change."""
        return self._buffer[: self._length]

    @property
    def remaining(self) -> int:
        """Tokens whose keys and values are still to be computed."""
        return self._length - self.computed

    @property
    def reuse_limit(self) -> int:
        """Positions that may come out of the cache.

        The last token is always computed, for its logits, and so is what must be scored.
        """
        return min(self._length - 1, self.scored)

    @property
    def is_reading(self) -> bool:
        """More than its newest token is still to be computed."""
        return self.remaining > 1

    def wants_scores(self, start: int) -> bool:
        """Whether the logits of all prompt tokens from position `start` on are wanted."""
        return self.plan.scores and self.scored <= start < self.prompt_length

    def append(self, token: int) -> None:
        """Adds a drawn token."""
        if self._length == len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)])
        self._buffer[self._length] = token
        self._length += 1

    def copy_for(self, choice: int) -> Sequence:
        """The same tokens as another choice of the same request, without blocks."""
        copy = Sequence((self.order[0], choice), self.tokens, self.plan)
        copy.prompt_length = self.prompt_length
        copy.scored = copy.prompt_length
        copy.cached = self.cached
        copy.started = True
        return copy
