"""How much a model shall think, in the words of OpenAI's requests."""

from __future__ import annotations

from kataribe.base.lm import Thinking
from kataribe.serve.shapes.strict import Effort


def thinking_of(effort: Effort | None) -> Thinking | None:
    """The wish: little effort is an answer at once, where a model knows only that and thinking."""
    if effort is None:
        return None
    return Thinking(effort not in ("none", "minimal"), effort)
