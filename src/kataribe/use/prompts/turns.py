"""The turn that a technique works on: the last one of the user, and what stands around it."""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.errors import InputError
from kataribe.base.messages import Message, Part, TextPart, text_of


@dataclass(frozen=True, slots=True)
class Turn:
    """The last question of a conversation.

    Attributes:
        before: What was said earlier, system text among it.
        message: The user's last turn.
        after: What follows it: tool calls and their results, or a reply to go on with.
    """

    before: tuple[Message, ...]
    message: Message
    after: tuple[Message, ...]

    @property
    def question(self) -> str:
        """Its words."""
        return text_of(self.message)

    def asking(self, text: str) -> tuple[Message, ...]:
        """The conversation with other words in this turn; its pictures and sounds stay."""
        return (*self.before, _reworded(self.message, text), *self.after)

    def beginning_with(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The conversation with `messages` behind its leading system texts."""
        spoken = next(
            (at for at, message in enumerate(self.before) if message.role != "system"),
            len(self.before),
        )
        opening, rest = self.before[:spoken], self.before[spoken:]
        return (*opening, *messages, *rest, self.message, *self.after)


def last_turn(messages: tuple[Message, ...], name: str) -> Turn:
    """The user's last turn; `InputError` (with the technique's `name`) where there is none."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user":
            return Turn(messages[:at], messages[at], messages[at + 1 :])
    raise InputError(
        f"{name} works on a question, but none of the {len(messages)} messages is the user's. "
        "Add a message of the user.",
        param="messages",
    )


def _reworded(message: Message, text: str) -> Message:
    parts: list[Part] = []
    said = False
    for part in message.parts:
        if not isinstance(part, TextPart):
            parts.append(part)
        elif not said:
            parts.append(TextPart(text))
            said = True
    if not said:
        parts.insert(0, TextPart(text))
    return Message(message.role, tuple(parts))
