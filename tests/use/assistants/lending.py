"""Scripted models that are lent by name, and what came of asking an assistant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kataribe.base.errors import NotFoundError
from kataribe.base.events import Event, Finished, Step
from kataribe.base.lm import LM, Request
from kataribe.base.messages import text_message
from kataribe.run.providers import ScriptedLM
from kataribe.use.assistants.compose import Around, composed
from kataribe.use.assistants.recipe import recipe_of


class Shelf:
    """Lends models by name, and counts those that are out."""

    def __init__(self, **models: LM) -> None:
        self.models = models
        self.out = 0

    @asynccontextmanager
    async def lend(self, name: str) -> AsyncIterator[LM]:
        if name not in self.models:
            raise NotFoundError(f"There is no model {name!r}.")
        self.out += 1
        try:
            yield self.models[name]
        finally:
            self.out -= 1


def around(shelf: Shelf, folder: Path, **more: Any) -> Around:
    return Around(shelf.lend, "plain", folder, **more)


def question(text: str, **fields: Any) -> Request:
    return Request((text_message("user", text),), **fields)


async def told(recipe: dict[str, Any], around_: Around, request: Request) -> list[Event]:
    """All events of an assistant called `helper`."""
    async with composed("helper", recipe_of(recipe, "helper.yaml"), around_) as lm:
        assert lm.name == "helper"
        return [event async for event in lm.stream(request)]


def end(events: list[Event]) -> Finished:
    """The one closing event, which is the last."""
    (found,) = [event for event in events if isinstance(event, Finished)]
    assert events[-1] is found
    return found


def steps(events: list[Event], name: str) -> list[str]:
    """What the steps of a name say."""
    return [event.detail for event in events if isinstance(event, Step) and event.name == name]


def scripted(script: Any = "Hello.", name: str = "plain", **more: Any) -> ScriptedLM:
    return ScriptedLM(script, name=name, **more)
