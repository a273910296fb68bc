"""What a conversation is told, what it tells, and whom it asks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from kataribe.base.lm import LM
from kataribe.store.conversations import Conversation
from kataribe.store.messages import Message
from kataribe.store.queue import Item

When: TypeAlias = Literal["queue", "now", "steer"]


class Models(Protocol):
    """Whoever holds the models."""

    def lease(self, name: str) -> AbstractAsyncContextManager[LM]:
        """The model for as long as the context lasts."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a person says.

    Attributes:
        id: Chosen by whoever sends it; the same one acts once.
        text: The words.
        attachments: Ids of files beside them.
        models: Who answers; several answer side by side. Empty: the conversation's model.
        sampling: By the names of `Sampling`, and `seed`; None: as the conversation has it.
        parent: The message that it follows; None: the newest of the branch that is shown.
        root: It follows none: a branch of its own at the top.
        when: `queue`: after what runs and waits. `now`: what runs is stopped, and this is answered
            next. `steer`: what runs is stopped, and all that waits is answered with this as one.
    """

    id: str
    text: str
    attachments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    sampling: Mapping[str, Any] | None = None
    parent: str | None = None
    root: bool = False
    when: When = "queue"


@dataclass(frozen=True, slots=True)
class Retry:
    """Another reply to the question that `message` is, or answers.

    `beginning` are words that the reply goes on from.
    """

    id: str
    message: str
    model: str | None = None
    sampling: Mapping[str, Any] | None = None
    beginning: str = ""


@dataclass(frozen=True, slots=True)
class Became:
    """What became of something sent: a message with the replies to it, or a place in the queue."""

    id: str
    state: Literal["sent", "queued"]
    replies: tuple[str, ...]
    version: int


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
    """Further words of a reply; `at` counts UTF-16 units of that field before them."""

    id: str
    kind: Literal["text", "reasoning"]
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class WaitsNow:
    """What a reply waits for now; None: for nothing more."""

    id: str
    waits: Waits | None


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


@dataclass(frozen=True, slots=True)
class Ended:
    """How a reply ended: the columns of its message that are known only then."""

    state: Literal["done", "stopped", "failed", "interrupted"]
    fields: Mapping[str, Any] = field(default_factory=dict)
