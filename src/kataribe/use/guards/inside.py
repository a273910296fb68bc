"""Guards inside one reply of something that acts: at its model, and at what its tools say.

Around an agent as a whole a guard sees the question and the answer, and none of what passes between
the model and the tools. So some guards have their place further in:

- What a tool says is looked at once, when it comes, whatever way it takes to the model
  (`DocumentGuard`). Looking at whole requests instead would take the words in which a technique
  puts its question for orders to the model, which they are.
- What hides things from the model stands at the model (`Following`), and the tools that its calls
  run are given the real values, but for those that are models themselves.
- What may ask again stands at the model where that calls tools, so that only its last call is made
  again; around the whole it would run tools twice. A technique's model writes words in between that
  are no reply, so there it stands around the whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from kataribe.base.events import Event, Finished, Usage
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import Message
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
        hiding: At its model.
        asking: What may ask again: where that runs no tool twice.
        at_tools: At what its tools say.
        policy: Of all of them.
    """

    around: tuple[Guard, ...]
    hiding: tuple[Following, ...]
    asking: tuple[OutGuard, ...]
    at_tools: tuple[DocumentGuard, ...]
    policy: Policy

    @property
    def moved(self) -> tuple[Guard, ...]:
        """Those that do not stand around the whole; all of them could."""
        return (*self.hiding, *self.asking)


def placed(guards: Sequence[Guard], policy: Policy) -> Places:
    """The places of guards."""
    around: list[Guard] = []
    hiding: list[Following] = []
    asking: list[OutGuard] = []
    for guard in guards:
        if isinstance(guard, Following):
            hiding.append(guard)
        elif isinstance(guard, OutGuard) and getattr(guard, "action", "") == "retry":
            asking.append(guard)
        else:
            around.append(guard)
    at_tools = tuple(guard for guard in guards if isinstance(guard, DocumentGuard))
    return Places(tuple(around), tuple(hiding), tuple(asking), at_tools, policy)


class Inside:
    """One reply of something that acts, as its guards see it.

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
        self._places = places
        self._known: dict[str, str] = {}
        self._news: list[Sighting] = []
        self._eyes = tuple(_Eyes(guard.follow(), self) for guard in places.hiding)
        self._within = Within(shown, own, places.policy.retries)

    def model(self, *, calls: bool) -> LM:
        """The model for what acts; `calls`: it is given tools and calls them itself.

        Then each of its replies is a step of which it may be asked for another. Where it acts in
        plain text, what it writes in between is no reply yet.
        """
        guards: list[Guard] = [*self._eyes, *(self._places.asking if calls else ())]
        return _Model(Guarded(self._lm, guards, self._places.policy, within=self._within), self)

    def whole(self, lm: LM, *, calls: bool) -> LM:
        """What acts, with the guards that still have to read all of its words."""
        guards = self._places.asking
        if calls:  # words before those of the last step can break the whole
            schemas = (guard for guard in guards if isinstance(guard, Schema))
            guards = tuple(replace(guard, action=guard.otherwise) for guard in schemas)
        if not guards:
            return lm
        shown = self._within.shown
        return Guarded(lm, guards, self._places.policy, shown=lambda _: shown)

    async def document(self, text: str, place: str) -> str:
        """What a tool says, as the model may read it; words that came before are not read again."""
        if self.refused:
            return WITHHELD
        if text in self._known:
            return self._known[text]
        clear = text
        for guard in self._places.at_tools:
            looked = await guard.document(clear, place)
            clear = looked.text
            self.looking += looked.usage
            refused = tuple(seen for seen in looked.sightings if seen.action == "refuse")
            self._news += [seen for seen in looked.sightings if seen.action != "refuse"]
            if refused:
                self.refused = refused
                return WITHHELD
        self._known[text] = clear
        return clear

    def news(self) -> Sequence[Sighting]:
        """What was seen at tools since this was asked last."""
        seen, self._news = self._news, []
        return seen

    def saw(self, cleared: Cleared) -> None:
        """Takes in what a guard at the model made of a request."""
        self.refused = self.refused or tuple(s for s in cleared.sightings if s.action == "refuse")


class _Model:
    """The model, until the reply is refused."""

    def __init__(self, guarded: Guarded, inside: Inside) -> None:
        self._guarded = guarded
        self._inside = inside

    @property
    def name(self) -> str:
        return self._guarded.name

    @property
    def capabilities(self) -> Capabilities:
        return self._guarded.capabilities

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        inside = self._inside
        if inside.refused:
            yield Finished(Message("assistant", ()), Usage(0, 0), "content_filter")
            return
        usages: list[Usage] = []
        try:
            async with aclosing(self._guarded.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        usages.append(event.usage)
                    yield event
        finally:
            inside.used += _together(usages)


def _together(usages: Sequence[Usage]) -> Usage:
    """What the choices of one call have used: they share one reading of the prompt."""
    whole = sum(usages, Usage(0, 0))
    if len(usages) < 2:
        return whole
    prompt, _, cached, written = (
        min(each) for each in zip(*(u.numbers for u in usages), strict=True)
    )
    again = len(usages) - 1
    return whole - Usage(again * prompt, 0, again * cached, again * written)


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
