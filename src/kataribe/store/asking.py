"""What a person asks of a conversation, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

When: TypeAlias = Literal["queue", "now", "steer"]


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
        blind: Of several that answer, the studio names none before the person has voted.
    """

    id: str
    text: str
    attachments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    sampling: Mapping[str, Any] | None = None
    parent: str | None = None
    root: bool = False
    when: When = "queue"
    blind: bool = False


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
class Answered:
    """An answer to one call that needs consent; `why` are words to the model."""

    call: str
    approved: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Became:
    """What became of something sent: a message with its replies, a place in the queue, nothing."""

    id: str
    state: Literal["sent", "queued", "withdrawn"]
    replies: tuple[str, ...]
    version: int
