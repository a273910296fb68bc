"""Finds orders to the model in what users say, in documents and in tool results."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from kataribe.base.aside import AT_ONCE, aside
from kataribe.base.errors import KataribeError
from kataribe.base.events import Usage
from kataribe.base.lm import Request
from kataribe.base.messages import Message, Part, TextPart, ToolResultPart
from kataribe.use.guards.guard import (
    Action,
    Cleared,
    ClearedText,
    Sighting,
    check_action,
    check_range,
    excerpt,
)
from kataribe.use.guards.judge import Judge
from kataribe.use.guards.scoring import Finding, Kind, shipped, worst

REMOVED = "[removed by a guard]"
"""Stands where an order stood."""
_REMEMBERED = 512
_TURNS = 8
"""Orders that are taken out of one text; with more of them all of it goes."""
_BOUNDARY = re.compile(r"[\n。!?！？]|[.!?](?=\s)")


@dataclass(frozen=True, slots=True)
class Injection:
    """The guard `injection`.

    Attributes:
        user: What happens to an attack in the user's last turn: `refuse`, `mask` or `note`.
        documents: The same in what a tool says; `mask` takes the order out and goes on.
        earlier: The same in earlier turns of the user, where a refused attack may still stand.
        system: The system message is read as a document, too (retrieved text may stand in it).
        sensitivity: Added to every score: logits, -10 to 10; more finds more and errs more.
        judge: A model that decides where the score leaves doubt.
    """

    user: Action = "refuse"
    documents: Action = "mask"
    earlier: Action = "mask"
    system: bool = False
    sensitivity: float = 0.0
    judge: Judge | None = None
    name: str = field(default="injection", init=False)
    about: str = field(
        default="Finds orders to the model in what users say, in documents and in tool results.",
        init=False,
    )

    def __post_init__(self) -> None:
        for option in ("user", "documents", "earlier"):
            action = getattr(self, option)
            check_action(self.name, option, action, ("refuse", "mask", "note"))
        check_range(self.name, "sensitivity", self.sensitivity, -10.0, 10.0)

    @property
    def memory(self) -> Memory:
        """What was found in the last texts: one for all, as guards are made anew for each reply."""
        return _memory()

    async def look(self, request: Request) -> Cleared:
        """Looks at every text that somebody else than the operator wrote."""
        if isinstance(request.prompt, str):
            only = await self._text(request.prompt, "user", self.user, "the prompt")
            return Cleared(replace(request, prompt=only.text), only.sightings, usage=only.usage)
        messages = [part for part in request.prompt if isinstance(part, Message)]
        last = max((at for at, each in enumerate(messages) if each.role == "assistant"), default=-1)
        sightings: list[Sighting] = []
        usage = Usage(0, 0)
        changed: list[Message] = []
        for at, message in enumerate(messages):
            parts: list[Part] = []
            async for part, looked in self._parts(message, at, newest=at > last):
                parts.append(part)
                if looked is not None:
                    sightings += looked.sightings
                    usage += looked.usage
            changed.append(replace(message, parts=tuple(parts)))
        if any(seen.action == "mask" for seen in sightings):
            request = replace(request, prompt=tuple(changed))
        return Cleared(request, tuple(sightings), usage=usage)

    async def text(self, text: str, kind: Kind = "document") -> tuple[str, tuple[Sighting, ...]]:
        """A text without the orders in it, and what was seen: for retrieved text, for example."""
        action = self.documents if kind == "document" else self.user
        looked = await self._text(text, kind, action, "the text")
        return looked.text, looked.sightings

    async def document(self, text: str, place: str) -> ClearedText:
        """See `DocumentGuard`."""
        return await self._text(text, "document", self.documents, place)

    async def _parts(
        self, message: Message, at: int, *, newest: bool
    ) -> AsyncIterator[tuple[Part, ClearedText | None]]:
        """Each part of a message, as it goes on, with what was seen in it."""
        for part in message.parts:
            place = f"message {at + 1}, {message.role}"
            if isinstance(part, ToolResultPart):
                looked = await self._text(part.content, "document", self.documents, place)
                yield replace(part, content=looked.text), looked
            elif isinstance(part, TextPart) and message.role == "user":
                action = self.user if newest else self.earlier
                looked = await self._text(part.text, "user", action, place)
                yield replace(part, text=looked.text), looked
            elif isinstance(part, TextPart) and (
                message.role == "tool" or (message.role == "system" and self.system)
            ):
                looked = await self._text(part.text, "document", self.documents, place)
                yield replace(part, text=looked.text), looked
            else:
                yield part, None

    async def _text(self, text: str, kind: Kind, action: Action, place: str) -> ClearedText:
        """Masks until nothing is found any more; else the first finding is enough."""
        looked = ClearedText(text)
        for turn in range(_TURNS + 1):
            found = await self.memory.worst(looked.text, kind)
            guilty, usage, by = await self._judged(looked.text, found)
            looked = replace(looked, usage=looked.usage + usage)
            if found is None or not guilty:
                return looked
            seen = Sighting(
                self.name,
                f"an order to the model ({', '.join((*found.how[:3], by))})",
                f"{place}, characters {found.start} to {found.end}",
                excerpt(found.said),
                action,
            )
            looked = replace(looked, sightings=(*looked.sightings, seen))
            if action != "mask":
                return looked
            start, end = _sentence(looked.text, found)
            if turn == _TURNS - 1:
                start, end = 0, len(looked.text)
            looked = replace(looked, text=looked.text[:start] + REMOVED + looked.text[end:])
            if looked.text == REMOVED:
                return looked
        return looked

    async def _judged(self, text: str, found: Finding | None) -> tuple[bool, Usage, str]:
        """Whether it is an attack, what finding out took, and who says so."""
        if found is None:
            return False, Usage(0, 0), ""
        over = found.logit + self.sensitivity - shipped().threshold
        by = f"score {over:+.1f} beyond the threshold"
        if self.judge is None or abs(over) > self.judge.doubt:
            return over >= 0, Usage(0, 0), by
        try:
            guilty, usage = await self.judge.is_attack(text, found)
        except KataribeError as error:
            return over >= 0, Usage(0, 0), f"{by}; the judge failed: {error.message}"
        if guilty is None:
            return over >= 0, usage, f"{by}; the judge was not clear"
        return guilty, usage, f"{by}; the judge says so"


class Memory:
    """The findings of the last texts, by their digests: a conversation sends its turns again."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, Kind], Finding | None] = OrderedDict()

    async def worst(self, text: str, kind: Kind) -> Finding | None:
        """The worst window of a text; long texts are read in another thread."""
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        key = (digest, kind)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        if len(text) <= AT_ONCE and shipped.cache_info().currsize:
            found = _worst(text, kind)
        else:  # the first text also waits for the weights
            found = await aside(len(text), _worst, text, kind)
        self._known[key] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found


def _worst(text: str, kind: Kind) -> Finding | None:
    return worst(shipped(), text, kind)


@functools.cache
def _memory() -> Memory:
    return Memory()


def _sentence(text: str, found: Finding) -> tuple[int, int]:
    """The sentences or lines that a finding lies in."""
    said = text[found.start : found.end]
    begin = found.start + len(said) - len(said.lstrip())
    # A full stop is one by the white space behind it, so the search goes on to there.
    ends = (each.end() for each in _BOUNDARY.finditer(text, 0, begin + 1))
    before = [end for end in ends if end <= begin]
    after = _BOUNDARY.search(text, max(found.end - 1, found.start))
    start = before[-1] if before else 0
    start += len(text[start:begin]) - len(text[start:begin].lstrip())
    return start, (after.end() if after else len(text))
