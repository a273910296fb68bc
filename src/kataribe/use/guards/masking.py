"""Puts placeholders where personal data stood, and the data back into the reply where wanted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from kataribe.base.aside import AT_ONCE, aside
from kataribe.base.errors import SettingsError
from kataribe.base.lm import Request
from kataribe.base.messages import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.use.guards.guard import Action, Cleared, InGuard, Sighting, characters, check_action
from kataribe.use.guards.personal import KINDS, Found, Kind, find

Find: TypeAlias = Callable[[str], Sequence[Found]]
"""Personal data in a text, as `personal.find` gives it."""

_PLACEHOLDER = re.compile(r"\[[A-Z_]+_[0-9]+\]")
_NAMES: Mapping[Kind, str] = {
    "email": "an e-mail address",
    "ip": "an IP address",
    "card": "a card number",
    "my_number": "a My Number",
    "phone": "a phone number",
    "address": "a postal address",
}


@dataclass(frozen=True, slots=True)
class Personal:
    """The guard `personal`.

    Placeholders are numbered in the order in which their values come up in the conversation, those
    of system messages after all others. Each request brings the whole conversation, so the same
    value has the same placeholder in every turn and nothing has to be kept anywhere. Tools of an
    assistant's own are given the values, unless they are models.

    Attributes:
        action: `mask`, `refuse` or `note`.
        restore: Placeholders in the reply, and in the arguments of its calls of the caller's tools,
            become what they stand for. At most the length of one placeholder is held back for it.
        kinds: What is looked for.
        system: In system messages, too.
    """

    action: Action = "mask"
    restore: bool = False
    kinds: tuple[Kind, ...] = KINDS
    system: bool = False
    name: str = field(default="personal", init=False)
    about: str = field(
        default="Puts placeholders where e-mail addresses, phone numbers and the like stood.",
        init=False,
    )

    def __post_init__(self) -> None:
        check_action(self.name, "action", self.action, ("mask", "refuse", "note"))
        for kind in self.kinds:
            if kind not in KINDS:
                raise SettingsError(
                    f"The guard personal knows no {kind!r}. kinds are {', '.join(KINDS)}.",
                    param="kinds",
                )

    async def look(self, request: Request) -> Cleared:
        """Looks at all messages but the system's (and at those, if told)."""
        return await self.looked(request, lambda text: find(text, self.kinds))

    async def looked(self, request: Request, find_in: Find) -> Cleared:
        """`cleared`, aside from the event loop where there is much to read."""
        size = characters(request)
        if size <= AT_ONCE:
            return self.cleared(request, find_in)
        return await aside(size, self.cleared, request, find_in)

    async def hidden(self, values: Any) -> tuple[Any, Mapping[str, str]]:
        """See `Following`."""
        if self.action == "note":
            return values, {}
        given = json.dumps(values, ensure_ascii=False, default=str)
        masker = _Masker(self, given, lambda text: find(text, self.kinds))
        changed = await aside(
            len(given), in_texts, values, lambda text: masker.masked(text, "a call")
        )
        return changed, {key: value for value, key in masker.placeholders.items()}

    def follow(self) -> InGuard:
        """See `Following`."""
        return _Followed(self)

    def cleared(self, request: Request, find_in: Find) -> Cleared:
        """The request with placeholders where `find_in` finds something."""
        masker = _Masker(self, _given(request), find_in)
        if isinstance(request.prompt, str):
            masked = masker.masked(request.prompt, "the prompt")
            request = replace(request, prompt=masked) if self.action == "mask" else request
        else:
            messages = [part for part in request.prompt if isinstance(part, Message)]
            # What the conversation says keeps its numbers, whatever stands in the system text now.
            order = sorted(range(len(messages)), key=lambda at: messages[at].role == "system")
            made = {at: masker.message(messages[at], at) for at in order}
            changed = tuple(made[at] for at in range(len(messages)))
            request = replace(request, prompt=changed) if self.action == "mask" else request
        back = {key: value for value, key in masker.placeholders.items()}
        restore = back if self.restore and self.action == "mask" else {}
        values = back if self.action == "mask" else {}
        return Cleared(request, tuple(masker.sightings), restore, values=values)


class _Followed:
    """The guard for the requests of one reply, each of which brings the one before again."""

    def __init__(self, guard: Personal) -> None:
        self._guard = guard
        self._found: dict[str, Sequence[Found]] = {}
        self._told: set[tuple[str, str]] = set()

    @property
    def name(self) -> str:
        return self._guard.name

    @property
    def about(self) -> str:
        return self._guard.about

    async def look(self, request: Request) -> Cleared:
        cleared = await self._guard.looked(request, self._find)
        if self._guard.action == "refuse":  # what is refused stays so
            return cleared
        new = tuple(s for s in cleared.sightings if (s.what, s.excerpt) not in self._told)
        self._told |= {(seen.what, seen.excerpt) for seen in new}
        return replace(cleared, sightings=new)

    def _find(self, text: str) -> Sequence[Found]:
        found = self._found.get(text)
        if found is None:
            found = self._found[text] = find(text, self._guard.kinds)
        return found


class _Masker:
    """One request's placeholders."""

    def __init__(self, guard: Personal, given: str, find_in: Find) -> None:
        self.placeholders: dict[str, str] = {}
        self.sightings: list[Sighting] = []
        self._guard = guard
        self._given = frozenset(_PLACEHOLDER.findall(given))
        self._find = find_in
        self._counts: dict[Kind, int] = {}

    def message(self, message: Message, at: int) -> Message:
        """A message with placeholders in its parts."""
        if message.role == "system" and not self._guard.system:
            return message
        place = f"message {at + 1}, {message.role}"
        return replace(message, parts=tuple(self._part(part, place) for part in message.parts))

    def _part(self, part: Part, place: str) -> Part:
        match part:
            case TextPart(text) | ReasoningPart(text):
                return replace(part, text=self.masked(text, place))
            case ToolResultPart():
                return replace(part, content=self.masked(part.content, place))
            case ToolCallPart():
                return replace(part, arguments=self.masked(part.arguments, place))
            case _:
                return part

    def masked(self, text: str, place: str) -> str:
        """The text with placeholders; each value that is new is a sighting."""
        out, at = [], 0
        for found in self._find(text):
            value = text[found.start : found.end]
            if value not in self.placeholders:
                self.placeholders[value] = self._name(found.kind)
                self.sightings.append(
                    Sighting(
                        self._guard.name,
                        _NAMES[found.kind],
                        f"{place}, characters {found.start} to {found.end}",
                        self.placeholders[value],
                        self._guard.action,
                    )
                )
            out += [text[at : found.start], self.placeholders[value]]
            at = found.end
        return "".join((*out, text[at:]))

    def _name(self, kind: Kind) -> str:
        """The next placeholder of a kind that no user, tool or operator has written."""
        while True:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"[{kind.upper()}_{self._counts[kind]}]"
            if name not in self._given:
                return name


def in_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Plain values with each text in them changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {in_texts(key, change): in_texts(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [in_texts(each, change) for each in value]
    return value


def put_back(value: Any, values: Mapping[str, str]) -> Any:
    """Plain values with what placeholders in their texts stand for."""

    def restored(text: str) -> str:
        for placeholder, real in values.items():
            text = text.replace(placeholder, real)
        return text

    return in_texts(value, restored)


def _given(request: Request) -> str:
    """What others than the model wrote; its own words may hold placeholders of earlier turns."""
    if isinstance(request.prompt, str):
        return request.prompt
    messages = (part for part in request.prompt if isinstance(part, Message))
    parts = (part for each in messages if each.role != "assistant" for part in each.parts)
    return "\n".join(
        part.content if isinstance(part, ToolResultPart) else part.text
        for part in parts
        if isinstance(part, TextPart | ToolResultPart)
    )
