"""What one request may use, with everything that it causes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from kataribe.base.errors import InputError
from kataribe.base.lm import Context

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may use, with everything that it causes; None for no limit.

    Attributes:
        steps: Calls of models.
        tokens: Tokens read and drawn.
        seconds: From the request's beginning.
        dollars: Money.
    """

    steps: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    dollars: float | None = None

    def __post_init__(self) -> None:
        for name in NAMES:
            value = getattr(self, name)
            least = 0 if name == "dollars" else 1 if name in _WHOLE else 1e-3
            if value is not None and not value >= least:  # also refuses NaN
                raise InputError(
                    f"A limit of {value} {name} leaves nothing; give at least {least:g}, or none.",
                    param=name,
                )

    def within(self, context: Context) -> Context:
        """The context with these limits beside its own; of each the narrower one holds."""
        if self == NONE:
            return context
        deadline = None if self.seconds is None else time.monotonic() + self.seconds
        return replace(
            context,
            steps=_least(context.steps, self.steps),
            tokens=_least(context.tokens, self.tokens),
            deadline=_least(context.deadline, deadline),
            budget=_least(context.budget, self.dollars),
        )


_WHOLE = ("steps", "tokens")
NAMES = ("steps", "tokens", "seconds", "dollars")
NONE = Limits()
"""No limit at all."""


def limits_in(values: Mapping[str, Any], where: str) -> Limits:
    """Limits from a mapping such as `{"steps": 5, "seconds": 30}`; None is no limit.

    Raises `InputError`, whose `param` is `where`, for an unknown name and for what is no number.
    """
    for name, value in values.items():
        if name not in NAMES:
            raise InputError(
                f"{where} has {str(name)!r:.80}, which is no limit; there are {', '.join(NAMES)}.",
                param=where,
            )
        fine = isinstance(value, int if name in _WHOLE else int | float)
        if value is None:
            continue
        if not fine or isinstance(value, bool) or not math.isfinite(value):
            kind = "a whole number" if name in _WHOLE else "a number"
            raise InputError(
                f"{where} has {value!r:.80} {name}, but it must be {kind}.", param=where
            )
    try:
        return Limits(**values)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", param=where) from None


def parse_limits(text: str, where: str) -> Limits:
    """Limits as `steps=5, tokens=20000, seconds=30, dollars=0.05`, in any order, each once.

    That is a dictionary of RFC 9651 (structured fields). Raises `InputError` for anything else,
    with `where` as its `param`.
    """
    values: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, word = (each.strip() for each in part.partition("="))
        if not equals or name in values:
            raise InputError(
                f"{where} is {text[:200]!r}. Write limits as steps=5, tokens=20000, seconds=30, "
                "dollars=0.05, each at most once.",
                param=where,
            )
        values[name] = _number(word)
    return limits_in(values, where)


def _number(word: str) -> int | float | str:
    """A number as JSON writes it, or the word itself, which is refused with its name."""
    for kind in (int, float):
        try:
            return kind(word) if word.isascii() and "_" not in word else word
        except ValueError:
            continue
    return word


def _least(one: _Number | None, other: _Number | None) -> _Number | None:
    return min((each for each in (one, other) if each is not None), default=None)
