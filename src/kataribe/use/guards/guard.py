"""What a guard is: it looks at what comes in or goes out, and says what it saw and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from kataribe.base.abilities import messages_of
from kataribe.base.errors import SettingsError
from kataribe.base.events import FinishReason, Usage
from kataribe.base.lm import Request
from kataribe.base.messages import Message

Action: TypeAlias = Literal["refuse", "mask", "stop", "repair", "retry", "note"]

SAID: Mapping[Action, str] = {
    "refuse": "refused",
    "mask": "masked",
    "stop": "stopped",
    "repair": "repaired",
    "retry": "asked again",
    "note": "noted",
}
"""What happened, in the words that a reader of steps sees."""

ALL = 1 << 60
"""As `Verdict.hold`: nothing of the reply goes out yet, its tool calls neither."""

EXCERPT = 80
"""Characters of an excerpt at most."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a guard saw, and what happened.

    Attributes:
        guard: Its name.
        what: What it saw, in a line.
        place: Where: the message and its characters, or the characters of the reply.
        excerpt: A little of it; empty or masked where showing it would do what the guard forbids.
        action: What happened because of it.
    """

    guard: str
    what: str
    place: str
    excerpt: str
    action: Action

    @property
    def line(self) -> str:
        """All of it in one line, as a step or a closing event tells it."""
        shown = f": “{self.excerpt}”" if self.excerpt else ""
        return f"{self.guard} {SAID[self.action]}: {self.what} ({self.place}){shown}"


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a guard made of a request before any model sees it.

    Attributes:
        request: The request as it goes on; the same one where nothing had to change.
        sightings: What was seen. One that is refused ends the request.
        restore: Placeholders in the request, and what takes their place in the reply again.
        usage: Tokens that looking took (a judge's).
        values: All placeholders with what they stand for, put back in the reply or not: tools that
            run on the model's calls are given these.
    """

    request: Request
    sightings: tuple[Sighting, ...] = ()
    restore: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClearedText:
    """A text as it goes on, what was seen in it, and what a judge used."""

    text: str
    sightings: tuple[Sighting, ...] = ()
    usage: Usage = field(default_factory=lambda: Usage(0, 0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a watch says after each piece of a reply, and at its end.

    Attributes:
        hold: How many of the last characters must not go out yet; `ALL` for the whole reply.
        sighting: What was seen just now. `stop` ends the choice, `retry` asks again, `repair`
            puts `text` in the reply's place, `note` only tells.
        reason: Why the choice ends, for `stop`.
        text: The whole reply as it should be, for `repair`.
        hint: What is said to the model before it is asked again, for `retry`.
        otherwise: What happens instead of `retry` when it may not be asked again.
    """

    hold: int = 0
    sighting: Sighting | None = None
    reason: FinishReason = "content_filter"
    text: str | None = None
    hint: tuple[Message, ...] = ()
    otherwise: Literal["stop", "note"] = "note"


NOTHING = Verdict()
"""What most watches say of most pieces: made once, as every token has one from each of them."""


class Watch(Protocol):
    """One guard's eyes on one choice of one reply."""

    def push(self, text: str, tokens: int) -> Verdict:
        """Takes the next characters. `tokens` were drawn up to here; 0: the model does not say."""
        ...

    def finish(self, reason: FinishReason, *, calls: bool) -> Verdict:
        """Takes the end. `calls`: the reply calls tools."""
        ...


@runtime_checkable
class InGuard(Protocol):
    """Looks at what comes in."""

    @property
    def name(self) -> str:
        """The name it is switched by."""
        ...

    @property
    def about(self) -> str:
        """What it does, in a sentence."""
        ...

    async def look(self, request: Request) -> Cleared:
        """Looks at a request; raises from `KataribeError`'s tree."""
        ...


@runtime_checkable
class DocumentGuard(Protocol):
    """Looks also at texts that come in on the way to a reply: what a tool says, a passage."""

    async def document(self, text: str, place: str) -> ClearedText:
        """Looks at one of them; a sighting that is refused ends the reply."""
        ...


@runtime_checkable
class Following(InGuard, Protocol):
    """Looks at whatever a model is sent, so it stands at the model where several calls are made."""

    def follow(self) -> InGuard:
        """The same for all requests that one reply causes: nothing is read or told of twice."""
        ...

    async def hidden(self, values: Any) -> tuple[Any, Mapping[str, str]]:
        """Arguments of a tool that is a model, as it may see them, and what placeholders hide."""
        ...


@runtime_checkable
class OutGuard(Protocol):
    """Looks at what goes out."""

    @property
    def name(self) -> str:
        """The name it is switched by."""
        ...

    @property
    def about(self) -> str:
        """What it does, in a sentence."""
        ...

    @property
    def holds(self) -> str:
        """How much of a reply it holds back, and how long, in words."""
        ...

    @property
    def reads_reasoning(self) -> bool:
        """It watches what a model thinks before it answers, too."""
        ...

    def watch(self, request: Request) -> Watch:
        """A watch on one choice of the reply to `request`."""
        ...


Guard: TypeAlias = InGuard | OutGuard


def characters(request: Request) -> int:
    """How much there is to read in a request."""
    if isinstance(request.prompt, str):
        return len(request.prompt)
    parts = (part for message in messages_of(request) for part in message.parts)
    return sum(
        len(
            getattr(part, "text", "")
            or getattr(part, "content", "")
            or getattr(part, "arguments", "")
        )
        for part in parts
    )


def excerpt(text: str) -> str:
    """A little of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1]}…"


def check_action(guard: str, option: str, action: str, allowed: tuple[str, ...]) -> None:
    """Raises `SettingsError` unless the action is one that this guard can take."""
    if action not in allowed:
        raise SettingsError(
            f"The guard {guard} cannot {action!r}. {option} must be one of {', '.join(allowed)}.",
            param=option,
        )


def check_range(guard: str, option: str, value: float, low: float, high: float) -> None:
    """Raises `SettingsError` unless a number lies between its limits (NaN lies nowhere)."""
    if not low <= value <= high:
        raise SettingsError(
            f"The guard {guard} has {option} {value:g}, but it must be from {low:g} to {high:g}.",
            param=option,
        )
