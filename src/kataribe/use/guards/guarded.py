"""An `LM` with guards around it, which look at what comes in and at what goes out."""

from __future__ import annotations

import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from kataribe.base.abilities import messages_of
from kataribe.base.aside import AT_ONCE, aside
from kataribe.base.errors import KataribeError, SettingsError, UnsupportedError
from kataribe.base.events import Event, Finished, Step, TextDelta, Usage
from kataribe.base.lm import LM, Capabilities, Request, close_stream
from kataribe.base.messages import Message, TextPart
from kataribe.base.nearness import meant
from kataribe.use.guards.attempt import Asked, Attempt
from kataribe.use.guards.guard import Cleared, Guard, InGuard, OutGuard, Sighting, characters

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Policy:
    """How a guarded model behaves when its guards speak.

    Attributes:
        off: Names of guards that are switched off.
        retries: How often one choice may be asked again, whatever the reasons.
        refusal: The words of a reply that a guard refused; none, and only the reason is told.
    """

    off: Collection[str] = ()
    retries: int = 1
    refusal: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= 10:
            raise SettingsError(
                f"retries is {self.retries}, but a reply can be asked again 0 to 10 times.",
                param="retries",
            )


@dataclass(slots=True)
class Within:
    """The reply that calls of a guarded model are steps of, where something around it acts.

    Attributes:
        shown: What the whole reply answers: guards on what goes out judge by it, since a step's own
            request ends with results of tools and notes to the model.
        own: Names of tools that run on the model's calls: their arguments have no placeholders.
        retries: How often the model may still be asked again in this reply.
    """

    shown: Request
    own: Collection[str]
    retries: int


@dataclass(frozen=True, slots=True)
class _Looked:
    """What all guards made of a request."""

    cleared: Cleared
    refused: tuple[Sighting, ...] = field(default=())


class Guarded:
    """An `LM` around an `LM`.

    Each thing that a guard saw is told in a `Step` named `guard`. What goes out is held back only
    as long as a guard needs (each says how long in `holds`). A stop closes the inner stream at
    once; of several choices, when the last one has ended. Tokens of tries that were thrown away
    count in the usage; those of a stream that was closed are estimated where the model had not
    said them (four bytes to a token). What ran tools is never asked again.

    Args:
        lm: What answers.
        guards: In the order in which they look; no name twice.
        policy: What is switched off, and what happens.
        name: The name it is asked for by; None for that of `lm`.
        shown: What guards on what goes out are shown of a request, where `lm` adds a system text
            that they are to know; None for the request itself.
        within: The reply that its calls are steps of; None where each is a reply of its own.

    Raises `SettingsError` for two guards of one name, and for an unknown name to switch off.
    """

    def __init__(
        self,
        lm: LM,
        guards: Sequence[Guard],
        policy: Policy | None = None,
        *,
        name: str | None = None,
        shown: Callable[[Request], Request] | None = None,
        within: Within | None = None,
    ) -> None:
        self._lm = lm
        self._shown = shown
        self._within = within
        self._policy = policy or Policy()
        self._name = name
        _check_names([guard.name for guard in guards], self._policy.off)
        on = [guard for guard in guards if guard.name not in self._policy.off]
        self._in = tuple(guard for guard in on if isinstance(guard, InGuard))
        self._out = tuple(guard for guard in on if isinstance(guard, OutGuard))

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._name or self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do: what the model inside can."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answers as the model inside does, as far as the guards let it.

        Raises what the model raises, and `UnsupportedError` for a prompt of token ids, which no
        guard can read.
        """
        looked = await self._look(request)
        cleared = looked.cleared
        for seen in cleared.sightings:
            yield Step("guard", seen.line)
        if looked.refused:
            for event in self._refusal(request, looked):
                yield event
            return
        if request.score_only or not self._reads_along(cleared):
            async with aclosing(_closable(self._lm.stream(cleared.request))) as events:
                async for event in events:
                    yield event
            return
        asked = self._asked(cleared)
        attempts = await _set_up(
            asked, lambda: [self._attempt(asked, index) for index in range(request.n)]
        )
        attempts[0].told.usage = cleared.usage
        async with aclosing(self._tried(cleared.request, attempts)) as events:
            async for event in events:
                yield event
        for attempt in attempts:
            async with aclosing(self._again(asked, attempt)) as events:
                async for event in events:
                    yield event

    async def _look(self, request: Request) -> _Looked:
        """Every guard looks in turn, at what the one before made of the request."""
        if self._in and not isinstance(request.prompt, str) and not messages_of(request):
            raise UnsupportedError(
                f"The guards of {self.name} read text, and this prompt is token ids. Send text or "
                "messages.",
                param="prompt",
            )
        cleared = Cleared(request)
        for guard in self._in:
            next_ = await guard.look(cleared.request)
            cleared = Cleared(
                next_.request,
                cleared.sightings + next_.sightings,
                {**cleared.restore, **next_.restore},
                cleared.usage + next_.usage,
                {**cleared.values, **next_.values},
            )
            refused = tuple(seen for seen in next_.sightings if seen.action == "refuse")
            if refused:
                return _Looked(cleared, refused)
        return _Looked(cleared)

    def _refusal(self, request: Request, looked: _Looked) -> Iterator[Event]:
        words = self._policy.refusal
        detail = "; ".join(seen.line for seen in looked.refused)
        message = Message("assistant", (TextPart(words),) if words else ())
        for index in range(request.n):
            if words:
                yield TextDelta(words, index)
            usage = Usage(0, 0) if index else looked.cleared.usage
            yield Finished(message, usage, "content_filter", index, detail=detail)

    def _reads_along(self, cleared: Cleared) -> bool:
        """Whether events may have to change on their way out."""
        own = self._within is not None and self._within.own and cleared.values
        return bool(self._out or cleared.restore or own or cleared.usage != Usage(0, 0))

    def _asked(self, cleared: Cleared) -> Asked:
        request, within = cleared.request, self._within
        if within is not None:
            return Asked(request, within.shown, cleared.restore, cleared.values, within.own)
        shown = request if self._shown is None else self._shown(request)
        return Asked(request, shown, cleared.restore)

    def _attempt(self, asked: Asked, index: int) -> Attempt:
        left = self._policy.retries if self._within is None else self._within.retries
        retries = 0 if _is_late(asked.request) else left
        return Attempt(self._out, asked, index=index, retries=retries)

    async def _tried(
        self, request: Request, attempts: Sequence[Attempt]
    ) -> AsyncGenerator[Event, None]:
        """One stream of the model, each event through the try at its choice."""
        async with aclosing(_closable(self._lm.stream(request))) as events:
            closed = 0
            try:
                async for event in events:
                    closed += isinstance(event, Finished)
                    if event.index < len(attempts):
                        for each in attempts[event.index].take(event):
                            yield each
                    # A model that has closed all choices itself may have more to do at its end.
                    ended = all(attempt.end is not None for attempt in attempts)
                    if ended and closed < len(attempts):
                        return
            except KataribeError:
                for attempt in attempts:
                    for each in attempt.broken_off():
                        yield each
                raise

    async def _again(self, asked: Asked, attempt: Attempt) -> AsyncGenerator[Event, None]:
        """Asks one choice again until it is done or the retries are spent."""
        left = self._policy.retries
        while attempt.end == "retry":
            left -= 1
            if self._within is not None:
                self._within.retries -= 1
                left = self._within.retries
            request = _asked_again(asked.request, attempt)
            retries = 0 if _is_late(request) else left
            make = partial(
                Attempt,
                self._out,
                replace(asked, request=request),
                index=attempt.index,
                retries=retries,
                told=attempt.told,
            )
            attempt = await _set_up(asked, make)
            async with aclosing(self._tried(request, [attempt])) as events:
                async for event in events:
                    yield event


async def _set_up(asked: Asked, make: Callable[[], _T]) -> _T:
    """What `make` makes, aside from the event loop where its watches have much to read first."""
    size = characters(asked.shown)
    return make() if size <= AT_ONCE else await aside(size, make)


def _asked_again(request: Request, attempt: Attempt) -> Request:
    """The request for one choice once more, with what the guard has to say about the last try."""
    seed = None if request.seed is None else request.seed + 1_000_003
    prompt = request.prompt
    if messages_of(request) and attempt.hint:
        prompt = (*messages_of(request), *attempt.hint)
        request = replace(request, continue_last=False)
    return replace(request, prompt=prompt, n=1, seed=seed)


def _is_late(request: Request) -> bool:
    """The deadline has passed, so nothing is asked again."""
    deadline = request.context.deadline
    return deadline is not None and time.monotonic() >= deadline


def _closable(events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    """The same events as a generator, so that closing it closes what gives them."""
    # Most are one already, and each layer between costs something for every token.
    return events if isinstance(events, AsyncGenerator) else _passed_on(events)


async def _passed_on(events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    try:
        async for event in events:
            yield event
    finally:
        await close_stream(events)


def _check_names(names: Sequence[str], off: Collection[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"There are two guards named {name}; give one.", param="guards")
    for name in off:
        if name not in names:
            raise SettingsError(
                f"There is no guard {name!r:.80} to switch off. {meant(name, names, also=True)}",
                param="off",
            )
