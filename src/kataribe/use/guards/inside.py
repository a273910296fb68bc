"""Guards inside one reply of something that acts: at its model, and at what its tools say.

Around an agent as a whole a guard sees the question and the answer, and none of what passes between
the model and the tools. So some guards have their place further in:

- What a tool says is looked at once, when it comes, whatever way it takes to the model
  (`DocumentGuard`). Looking at whole requests instead would take the words in which a technique
  puts its question for orders to the model, which they are.
- What hides things from the model stands at the model (`Following`), and the tools that its calls
  run are given the real values.
- What may ask again stands at the model where that calls tools, so that only its last call is made
  again; around the whole it would run tools twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from kataribe.base.events import Event, Finished, Usage
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import Message
from kataribe.use.guards.attempt import total
from kataribe.use.guards.guard import (
    Cleared,
    DocumentGuard,
    Following,
    Guard,
    InGuard,
    OutGuard,
    Sighting,
)
from kataribe.use.guards.guarded import Guarded, Policy, Within
from kataribe.use.guards.schema import Schema

WITHHELD = "[withheld by a guard]"
"""Stands where a tool's words stood that end the reply."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the guards of something that acts stand.

    Attributes:
        around: Around the whole, in their order.
        at_model: At its model.
        at_tools: At what its tools say.
        policy: Of all of them.
    """

    around: tuple[Guard, ...]
    at_model: tuple[Guard, ...]
    at_tools: tuple[DocumentGuard, ...]
    policy: Policy


def placed(guards: Sequence[Guard], policy: Policy, *, calls: bool) -> Places:
    """The places of guards; `calls`: its model calls tools itself.

    Where it acts in plain text, what the model writes in between is no reply yet, so guards on
    what goes out read the whole alone.
    """
    around: list[Guard] = []
    at_model: list[Guard] = []
    for guard in guards:
        if isinstance(guard, Following):
            at_model.append(guard)
        elif calls and isinstance(guard, OutGuard) and getattr(guard, "action", "") == "retry":
            at_model.append(guard)
            if isinstance(guard, Schema):  # words before the last step's can break the whole
                around.append(replace(guard, action=guard.otherwise))
        else:
            around.append(guard)
    at_tools = tuple(guard for guard in guards if isinstance(guard, DocumentGuard))
    return Places(tuple(around), tuple(at_model), at_tools, policy)


class Inside:
    """The model of something that acts, as it is within one reply.

    Args:
        lm: The model.
        places: Of the guards.
        shown: What the reply answers, as guards on what goes out are to know it.
        own: Names of the tools that its calls run.

    Attributes:
        refused: What ends the reply: nothing more may be asked.
        looking: What looking at tools' words has used.
        used: What calls of the model have used, with all tries.
    """

    def __init__(self, lm: LM, places: Places, shown: Request, own: Collection[str]) -> None:
        self.refused: tuple[Sighting, ...] = ()
        self.looking = Usage(0, 0)
        self.used = Usage(0, 0)
        self._lm = lm
        self._at_tools = places.at_tools
        self._known: dict[str, str] = {}
        self._news: list[Sighting] = []
        self._values: dict[str, str] = {}
        guards: list[Guard] = [
            _Eyes(guard.follow(), self) if isinstance(guard, Following) else guard
            for guard in places.at_model
        ]
        within = Within(shown, own, places.policy.retries)
        self._guarded = Guarded(lm, guards, places.policy, within=within)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """One call of the model; none any more once the reply is refused."""
        if self.refused:
            yield Finished(Message("assistant", ()), Usage(0, 0), "content_filter")
            return
        async with aclosing(self._guarded.stream(request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    self.used = total(self.used, event.usage)
                yield event

    async def document(self, text: str, place: str) -> str:
        """What a tool says, as the model may read it; words that came before are not read again."""
        if self.refused:
            return WITHHELD
        if text in self._known:
            return self._known[text]
        clear = text
        for guard in self._at_tools:
            looked = await guard.document(clear, place)
            clear = looked.text
            self.looking = total(self.looking, looked.usage)
            refused = tuple(seen for seen in looked.sightings if seen.action == "refuse")
            self._news += [seen for seen in looked.sightings if seen.action != "refuse"]
            if refused:
                self.refused = refused
                return WITHHELD
        self._known[text] = clear
        return clear

    def restored(self, value: Any) -> Any:
        """Plain values with what placeholders in their texts stand for."""
        if isinstance(value, str):
            for placeholder, real in self._values.items():
                value = value.replace(placeholder, real)
            return value
        if isinstance(value, Mapping):
            return {self.restored(key): self.restored(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.restored(each) for each in value]
        return value

    def news(self) -> Sequence[Sighting]:
        """What was seen at tools since this was asked last."""
        seen, self._news = self._news, []
        return seen

    def saw(self, cleared: Cleared) -> None:
        """Takes in what a guard at the model made of a request."""
        self._values |= cleared.values
        self.refused = self.refused or tuple(s for s in cleared.sightings if s.action == "refuse")


class _Eyes:
    """A guard at the model, of whose findings the whole reply hears."""

    def __init__(self, guard: InGuard, inside: Inside) -> None:
        self._guard = guard
        self._inside = inside

    @property
    def name(self) -> str:
        return self._guard.name

    @property
    def about(self) -> str:
        return self._guard.about

    async def look(self, request: Request) -> Cleared:
        cleared = await self._guard.look(request)
        self._inside.saw(cleared)
        return cleared
