"""Seals of thoughts in chat messages, which have no place of their own for them.

A host of hosted models may give a seal with a thought, or with what comes after it, and refuse the
conversation when it comes back without. So messages carry `reasoning_details`, as OpenRouter's do
(https://openrouter.ai/docs/use-cases/reasoning-tokens): clients send along what they do not know.
A seal before a call names the call by its id, since calls stand apart from the words here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kataribe.base.events import Event, Finished, ReasoningDelta, Sealed, TextDelta, ToolCallDelta
from kataribe.base.messages import Part, ReasoningPart, TextPart, ToolCallPart
from kataribe.serve.shapes.messages import AssistantMessage, EncryptedDetail


class Details:
    """The entries of one choice, while its events come."""

    def __init__(self) -> None:
        self._count = 0
        self._thought: list[str] = []
        self._held: list[str] = []  # seals by themselves, for what comes next

    def read(self, event: Event) -> list[dict[str, Any]]:
        """The entries that an event makes known; most make none."""
        match event:
            case ReasoningDelta(text):
                self._thought.append(text)
            case Sealed(seal, alone=True):
                self._held.append(seal)
            case Sealed(seal):
                return [self._text(seal)]
            case ToolCallDelta(id=str(call)):
                return self._release(call)
            case TextDelta() | Finished():
                return self._release(None)
            case _:
                pass
        return []

    def _text(self, seal: str) -> dict[str, Any]:
        thought, self._thought = "".join(self._thought), []
        return self._entry(type="reasoning.text", text=thought, signature=seal)

    def _release(self, call: str | None) -> list[dict[str, Any]]:
        self._thought = []
        held, self._held = self._held, []
        of = {} if call is None else {"id": call}
        return [self._entry(type="reasoning.encrypted", data=seal, **of) for seal in held]

    def _entry(self, **fields: Any) -> dict[str, Any]:
        entry = {**fields, "index": self._count}
        self._count += 1
        return entry


def details_of(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The entries of a whole reply; none where nothing in it is sealed."""
    details = Details()
    entries = [entry for part in parts for event in _events(part) for entry in details.read(event)]
    # What stands last belongs to nothing that comes.
    return entries + details.read(TextDelta(""))


def _events(part: Part) -> Iterator[Event]:
    match part:
        case ReasoningPart(text, seal):
            if text:
                yield ReasoningDelta(text)
            if seal:
                yield Sealed(seal, alone=not text)
        case TextPart(text):
            yield TextDelta(text)
        case ToolCallPart(id, name, _):
            yield ToolCallDelta(0, "", id, name)
        case _:
            pass


def thoughts_of(message: AssistantMessage) -> list[ReasoningPart]:
    """What the model thought before its words, in the order in which the message has it.

    `reasoning_content` has the words of sealed thoughts, too; what is left of it has no seal.
    """
    rest, sealed = message.reasoning_content or "", []
    calls = {call.id for call in message.tool_calls or ()}
    for detail in message.reasoning_details or ():
        if isinstance(detail, EncryptedDetail):
            if detail.id not in calls:
                sealed.append(ReasoningPart("", detail.data))
        elif detail.text:
            rest = rest.replace(detail.text, "", 1)
            sealed.append(ReasoningPart(detail.text, detail.signature or ""))
    return [ReasoningPart(rest), *sealed] if rest else sealed


def seals_before(message: AssistantMessage, call: str) -> list[ReasoningPart]:
    """The seals that stand before a call."""
    return [
        ReasoningPart("", detail.data)
        for detail in message.reasoning_details or ()
        if isinstance(detail, EncryptedDetail) and detail.id == call
    ]
