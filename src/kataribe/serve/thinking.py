"""How much a model shall think and say, in the words of OpenAI's requests."""

from __future__ import annotations

from typing import Literal

from kataribe.base.lm import Thinking
from kataribe.serve.shapes.strict import Effort, Verbosity


def thinking_of(effort: Effort | None) -> Thinking | None:
    """The wish: little effort is an answer at once, where a model knows only that and thinking."""
    if effort is None:
        return None
    return Thinking(effort not in ("none", "minimal"), effort)


def verbosity_of(said: Verbosity | None) -> Literal["low", "high"] | None:
    """Less or more than usual; `medium` is what every model says unasked."""
    return None if said == "medium" else said
