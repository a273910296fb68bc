"""Where a conversation is cut, and how it looks when its older part has become a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kataribe.base.messages import (
    AudioPart,
    ImagePart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_of,
)
from kataribe.use.agents.memory import with_system
from kataribe.use.prompts.react_format import STOPS

BEGIN = "Summary of the conversation before what follows:"


@dataclass(frozen=True, slots=True)
class Cut:
    """Messages before `at` are summed up, but for the system's and the one at `task`."""

    at: int
    task: int | None


def shortened(messages: Sequence[Message], cut: Cut, summary: str) -> tuple[Message, ...]:
    """The messages with a summary of what is cut at the end of the system text."""
    system = tuple(messages[:1]) if messages[0].role == "system" else ()
    task = () if cut.task is None else (messages[cut.task],)
    return (*with_system(system, f"{BEGIN}\n{summary}"), *task, *messages[cut.at :])


def task_in(messages: Sequence[Message], at: int) -> int | None:
    """The user's newest message, where a summary up to `at` would swallow it."""
    asked = max((n for n, message in enumerate(messages) if is_question(message)), default=-1)
    return asked if 0 <= asked < at else None


def is_question(message: Message) -> bool:
    """Whether the user said it; a tool's words in plain text come in the user's name."""
    return message.role == "user" and not text_of(message).startswith(STOPS)


def line_of(message: Message) -> str:
    """A message as whoever sums up reads it."""
    parts: list[str] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            parts.append(part.text)
        elif isinstance(part, ToolCallPart):
            parts.append(f"[calls {part.name} {part.arguments}]")
        elif isinstance(part, ToolResultPart):
            parts.append(f"[{'error' if part.is_error else 'result'}: {part.content}]")
            parts += ["[a picture]"] * len(part.images)
        elif isinstance(part, ImagePart | AudioPart):
            parts.append("[a picture]" if isinstance(part, ImagePart) else "[a recording]")
    return f"{message.role}: {' '.join(parts)}"
