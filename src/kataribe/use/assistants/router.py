"""The router: several models behind one name, each request sent to the one that is good at it."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from kataribe.base.abilities import messages_of
from kataribe.base.errors import InputError
from kataribe.base.events import Event, Step
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import ImagePart, text_of
from kataribe.use.assistants.recipe import Route, Rule
from kataribe.use.guards.language import language_of

Lend: TypeAlias = Callable[[str], AbstractAsyncContextManager[LM]]
"""A model by name, for as long as the block lasts."""

MOST_READ = 20_000
"""Characters of a question that rules read; what a router decides by stands at its beginning."""
ANY = Capabilities(
    context_length=2**31 - 1, tools=True, images=True, audio=True, logprobs=True,
    structured_output=True, verbosity=True,
)  # fmt: skip
"""Of a router: it can whatever the model can that a request goes to; that one refuses the rest."""


class Learned(Protocol):
    """What was learned about which model answers what best."""

    def likeliest(self, text: str) -> tuple[str, float]:
        """The model that answers such a question best, and how likely that is."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a request goes, and why, in words."""

    model: str
    why: str


class Router:
    """Sends each request to one of several models; the choice is a `Step` named `route`."""

    def __init__(
        self,
        name: str,
        route: Route,
        lend: Lend,
        *,
        learned: Learned | None = None,
    ) -> None:
        """Lends nothing yet.

        Args:
            name: What it is asked for by.
            route: Rules and default.
            lend: Gives the models.
            learned: What `route.learned` names.
        """
        self._name = name
        self._route = route
        self._lend = lend
        self._learned = learned
        for place, rule in enumerate(route.rules):
            _pattern(rule.pattern, f"router.rules.{place}.pattern")

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """See `ANY`."""
        return ANY

    def choose(self, request: Request) -> Choice:
        """Where a request goes. The same request always goes the same way."""
        seen = _Seen(request)
        for place, rule in enumerate(self._route.rules, 1):
            reasons = _reasons(rule, seen)
            if reasons is not None:
                return Choice(rule.model, f"rule {place}: {', '.join(reasons)}")
        if self._learned is not None and seen.text.strip():
            model, sure = self._learned.likeliest(seen.text)
            if sure >= self._route.sure:
                return Choice(model, f"learned from examples, {sure:.0%} sure")
            return Choice(self._route.default, f"default; examples are only {sure:.0%} sure")
        return Choice(self._route.default, "default")

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers as the chosen model does."""
        choice = await asyncio.to_thread(self.choose, request)
        yield Step("route", f"{choice.model} ({choice.why})")
        async with (
            self._lend(choice.model) as lm,
            aclosing(lm.stream(request)) as events,  # type: ignore[type-var]
        ):
            async for event in events:
                yield event


class _Seen:
    """What rules ask of a request, each worked out when it is asked for."""

    def __init__(self, request: Request) -> None:
        messages = [message for message in messages_of(request) if message.role == "user"]
        raw = request.prompt if isinstance(request.prompt, str) else ""
        self.whole = text_of(messages[-1]) if messages else raw
        self.text = self.whole[:MOST_READ]
        self.images = any(isinstance(p, ImagePart) for m in messages for p in m.parts)
        self.tools = bool(request.tools)

    @functools.cached_property
    def lower(self) -> str:
        return self.text.casefold()

    @functools.cached_property
    def language(self) -> str:
        return language_of(self.text) or ""


def _reasons(rule: Rule, seen: _Seen) -> list[str] | None:
    """Why a rule holds, one reason for each condition; None where it does not."""
    found: Mapping[str, str | None] = {
        "words": next((f"{w!r} is in it" for w in rule.words if w.casefold() in seen.lower), None),
        "pattern": "the pattern is in it" if _is_in(rule.pattern, seen.text) else None,
        "language": f"it is in {rule.language}" if seen.language == rule.language else None,
        "longer": f"it is longer than {rule.longer} characters"
        if rule.longer is not None and len(seen.whole) > rule.longer else None,
        "images": "it has a picture" if seen.images else "it has no picture",
        "tools": "it brings tools" if seen.tools else "it brings no tools",
    }  # fmt: skip
    reasons = []
    for name, reason in found.items():
        wanted = getattr(rule, name)
        if wanted in (None, "", ()):
            continue
        if reason is None or (isinstance(wanted, bool) and wanted is not getattr(seen, name)):
            return None
        reasons.append(reason)
    return reasons


def _is_in(pattern: str, text: str) -> bool:
    return bool(pattern) and _pattern(pattern, "pattern").search(text) is not None


@functools.lru_cache(maxsize=256)
def _pattern(pattern: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"{where} is {pattern!r:.80}, which is no regular expression: {error}.", param=where
        ) from error
