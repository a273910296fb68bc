"""Asking with what a model may have no place for: it is left out instead of being refused.

A technique, a judge or a summary sets some fields of a request by itself because they help: a
temperature, a seed, stop strings. Not every model takes them (a host's API has no place for them,
or a reasoning model draws by itself), and the work can be done without. What a person asks for is
another matter: that is refused by name, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection

from kataribe.base.abilities import is_asked, without
from kataribe.base.errors import InputError
from kataribe.base.events import Event, Progress, Step
from kataribe.base.lm import LM, Capabilities, Request, close_stream

LEFT_OUT = "left out"
"""Name of the step that says what a model was not asked for."""

_WORDS = {
    "stop": r"\b(stop|stop_sequences|stopSequences)\b",
    "seed": r"\bseed\b",
    "temperature": r"\btemperature\b",
    "thinking": r"(?i:thinking|reasoning|\beffort\b)",
}
"""What hosts call them, in an error's `param` or, where that is empty, in its words."""


class Eased:
    """An `LM` that is asked without those of `fields` that it does not take.

    What it is known to lack is not sent. Where it refuses one of them, by name and before its first
    word, it is asked once more without that, and from then on.

    Attributes:
        left_out: What was left out up to now.
    """

    def __init__(self, lm: LM, fields: Collection[str], *, told: Collection[str] = ()) -> None:
        """`fields`: of `LEAVABLE` and `thinking`, what may go; `told`: what steps tell of that."""
        self._lm = lm
        self._fields = tuple(fields)
        self._told = frozenset(told)
        self.left_out: set[str] = set()

    @property
    def name(self) -> str:
        """The name of who answers."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What that can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers as the model does that is asked with what it takes."""
        lacks = self._lm.capabilities.lacks | self.left_out
        gone = [each for each in self._fields if each in lacks and is_asked(request, each)]
        while True:
            for each in gone:
                request = without(request, each)
                self.left_out.add(each)
                if each in self._told:
                    yield Step(LEFT_OUT, left_out_words(self.name, each))
            begun, gone = False, []
            events = self._lm.stream(request)
            try:
                async for event in events:
                    begun = begun or not isinstance(event, Progress | Step)
                    yield event
            except InputError as error:
                gone = [each for each in self._fields if is_asked(request, each)]
                gone = [each for each in gone if _refuses(error, each)]
                if begun or not gone:
                    raise
            finally:
                await close_stream(events)
            if not gone:
                return


def left_out_words(name: str, field: str) -> str:
    """What was done, in a line."""
    return f"{name} takes no {field}, so it was asked without."


def _refuses(error: InputError, field: str) -> bool:
    return re.search(_WORDS[field], error.param or error.message) is not None
