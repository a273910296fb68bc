"""Amounts: what a call and everything it caused used, in tokens, model calls and money."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kataribe.base.events import Usage

Price: TypeAlias = Callable[[Usage], float | None]
"""US dollars for the tokens of one call; None where nobody knows the price."""

PROMPT, CACHED, COMPLETION, STEPS, DOLLARS, UNPRICED, WRITTEN = range(7)
"""Places in an account's lists of amounts."""

KINDS = 7

SURE = (PROMPT, CACHED, COMPLETION, STEPS, WRITTEN)
"""Amounts that a call reports itself, its inner calls included; the others are only added up."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used.

    Attributes:
        prompt_tokens: Tokens read.
        cached_tokens: So many of them came from a cache.
        completion_tokens: Tokens drawn.
        steps: Calls of models.
        dollars: US dollars, as far as prices are known.
        unpriced: Calls of models whose price nobody knows; with one, `dollars` is a least.
        cache_write_tokens: Of the tokens read, those that were written to a host's cache. Stored
            traces have no place for them; the dollars there know of them.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    steps: int = 0
    dollars: float = 0.0
    unpriced: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.steps + other.steps,
            self.dollars + other.dollars,
            self.unpriced + other.unpriced,
            self.cache_write_tokens + other.cache_write_tokens,
        )


def free(_: Usage) -> float:
    """The price of a model of one's own, and of what makes others answer, which are priced."""
    return 0.0


def spent_of(amounts: Sequence[float]) -> Spent:
    """An account's amounts as a value; what rounding left below nothing is nothing."""
    whole = [max(0, int(amounts[place])) for place in range(KINDS)]
    return Spent(
        whole[PROMPT],
        whole[CACHED],
        whole[COMPLETION],
        whole[STEPS],
        max(0.0, round(amounts[DOLLARS], 12)),
        whole[UNPRICED],
        whole[WRITTEN],
    )
