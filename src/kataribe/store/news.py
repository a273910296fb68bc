"""News of conversations: what changed in the rows, and what running replies say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from kataribe.store.conversations import Conversation
from kataribe.store.messages import Message
from kataribe.store.queue import Item


@dataclass(frozen=True, slots=True)
class Waits:
    """What a reply waits for; `eta` in seconds, about, where anybody can say."""

    stage: Literal["queued", "loading", "reading"]
    done: int
    total: int | None
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A conversation as it is now: everything that runs in it, with its words so far."""

    conversation: Conversation
    queue: tuple[Item, ...]
    live: tuple[Message, ...]
    waits: Mapping[str, Waits]


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """A message is new, or has changed."""

    message: Message


@dataclass(frozen=True, slots=True)
class Delta:
    """Further words of a reply.

    `at` counts UTF-16 units of that field before them, `tokens` all that the model has written by
    then; 0 where it does not say.
    """

    id: str
    kind: Literal["text", "reasoning"]
    at: int
    text: str
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class WaitsNow:
    """What a reply waits for now; None: for nothing more."""

    id: str
    waits: Waits | None


@dataclass(frozen=True, slots=True)
class StepTold:
    """A step of a reply, in its place among all; the same place told again is told anew."""

    id: str
    at: int
    step: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConsentTold:
    """What a reply asks consent for, or how it was answered; `at`: the round's place."""

    id: str
    at: int
    round: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """What waits in a conversation, in order."""

    queue: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class HeadMoved:
    """Another branch is shown."""

    head: str | None
    version: int


@dataclass(frozen=True, slots=True)
class Removed:
    """Messages were deleted."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """Deleted messages are back."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation as the list shows it."""

    conversation: Conversation


@dataclass(frozen=True, slots=True)
class Gone:
    """A conversation was deleted."""

    id: str


@dataclass(frozen=True, slots=True)
class Other:
    """News of something that is no conversation, such as a job: a name and its value."""

    name: str
    value: Any


News: TypeAlias = (
    Joined
    | MessageChanged
    | Delta
    | WaitsNow
    | StepTold
    | ConsentTold
    | QueueChanged
    | HeadMoved
    | Removed
    | Restored
    | Listed
    | Gone
    | Other
)


@dataclass(frozen=True, slots=True)
class Told:
    """News of a conversation; those of none are for every page of the person."""

    conversation: str | None
    news: News
