"""Notices replies that are empty, and replies that end in the middle."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kataribe.base.events import FinishReason
from kataribe.base.lm import Request
from kataribe.use.guards.guard import (
    ALL,
    NOTHING,
    Action,
    Sighting,
    Verdict,
    check_action,
    excerpt,
)

_VISIBLE = re.compile(r"[^\s\u200b-\u200f\u2060\ufeff]")
_ENDED = re.compile(r"[.!?…。！？.:;)\]}」』）】\"'”’`*_|>~〜ー♪\d%$-]\s*\Z|\W\s*\Z")
_SENTENCE = re.compile(r"[.!?](?:\s|\Z)|[。！？]")
_LONG = 80
"""Characters from which on a reply without an end is told; short ones are headings and names."""


@dataclass(frozen=True, slots=True)
class Empty:
    """The guard `empty`.

    Attributes:
        action: `retry` asks again, `note` only tells.
    """

    action: Action = "retry"
    name: str = field(default="empty", init=False)
    about: str = field(default="Asks again when a reply says nothing at all.", init=False)
    holds: str = field(default="white space before the first word", init=False)
    reads_reasoning: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_action(self.name, "action", self.action, ("retry", "note"))

    def watch(self, request: Request) -> EmptyWatch:
        """A watch on one choice."""
        return EmptyWatch(self, may_be=request.sampling.max_tokens == 1)


class EmptyWatch:
    """Waits for the first visible character."""

    def __init__(self, guard: Empty, *, may_be: bool) -> None:
        self._guard = guard
        self._visible = may_be
        self._read = 0

    def push(self, text: str, tokens: int) -> Verdict:  # noqa: ARG002
        """Takes the next characters."""
        self._read += len(text)
        self._visible = self._visible or _VISIBLE.search(text) is not None
        return NOTHING if self._visible else Verdict(hold=self._read)

    def finish(self, reason: FinishReason, *, calls: bool) -> Verdict:
        """Takes the end: calls are an answer, and whoever went away wants none."""
        if self._visible or calls or reason not in ("stop", "length"):
            return Verdict()
        what = "there are no words in the reply"
        if reason == "length":
            what += "; its tokens were used up before the first"
        return Verdict(
            sighting=Sighting(self._guard.name, what, "the whole reply", "", self._guard.action)
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """The guard `cut`.

    Told are replies that `max_tokens` or the context ended, and those that the model ended itself
    inside a code block or a sentence.

    Attributes:
        action: `note` tells, `retry` asks again where the model itself ended too early.
    """

    action: Action = "note"
    name: str = field(default="cut", init=False)
    about: str = field(default="Tells when a reply ends in the middle.", init=False)
    reads_reasoning: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_action(self.name, "action", self.action, ("retry", "note"))

    @property
    def holds(self) -> str:
        """What it holds back."""
        return "the whole reply" if self.action == "retry" else "nothing"

    def watch(self, request: Request) -> CutWatch:  # noqa: ARG002
        """A watch on one choice."""
        return CutWatch(self)


class CutWatch:
    """Reads one choice to its end."""

    def __init__(self, guard: Cut) -> None:
        self._guard = guard
        self._text: list[str] = []

    def push(self, text: str, tokens: int) -> Verdict:  # noqa: ARG002
        """Takes the next characters."""
        self._text.append(text)
        return Verdict(hold=ALL if self._guard.action == "retry" else 0)

    def finish(self, reason: FinishReason, *, calls: bool) -> Verdict:
        """Takes the end."""
        said = "".join(self._text)
        if calls or reason not in ("stop", "length") or not said.strip():
            return Verdict()
        what = how_cut(said) if reason == "stop" else "the limit of tokens ended the reply"
        if what is None:
            return Verdict()
        action: Action = "note" if reason == "length" else self._guard.action
        place = f"after character {len(said)} of the reply"
        return Verdict(
            sighting=Sighting(self._guard.name, what, place, excerpt(said[-40:]), action)
        )


def how_cut(text: str) -> str | None:
    """How a reply that the model ended looks cut, or None where it does not."""
    if len(re.findall(r"^\s*```", text, re.MULTILINE)) % 2:
        return "a block of code is not closed"
    tail = text.rstrip().rpartition("\n")[2].strip()
    if len(text) < _LONG or len(_SENTENCE.findall(text)) < 2 or _ENDED.search(tail):
        return None
    if re.match(r"[#|>*+-]|\d+[.)]", tail) or len(tail) < 20:  # headings, rows, items, names
        return None
    return "the last sentence has no end"
