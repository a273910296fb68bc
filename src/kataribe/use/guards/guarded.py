"""An `LM` with guards around it, which look at what comes in and at what goes out."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from kataribe.base.abilities import messages_of
from kataribe.base.errors import KataribeError, SettingsError, UnsupportedError
from kataribe.base.events import Event, Finished, Step, TextDelta, Usage
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import Message, TextPart
from kataribe.use.guards.attempt import Attempt
from kataribe.use.guards.guard import Cleared, Guard, InGuard, OutGuard, Sighting


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
    said them (four bytes to a token).

    Args:
        lm: What answers.
        guards: In the order in which they look; no name twice.
        policy: What is switched off, and what happens.
        name: The name it is asked for by; None for that of `lm`.

    Raises `SettingsError` for two guards of one name, and for an unknown name to switch off.
    """

    def __init__(
        self,
        lm: LM,
        guards: Sequence[Guard],
        policy: Policy | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self._lm = lm
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
        if request.score_only or not (self._out or cleared.restore or cleared.usage != Usage(0, 0)):
            async with aclosing(_closable(self._lm.stream(cleared.request))) as events:
                async for event in events:
                    yield event
            return
        attempts = [self._attempt(cleared, index) for index in range(request.n)]
        attempts[0].told.usage = cleared.usage
        async with aclosing(self._tried(cleared.request, attempts)) as events:
            async for event in events:
                yield event
        for attempt in attempts:
            async with aclosing(self._again(cleared, attempt)) as events:
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

    def _attempt(self, cleared: Cleared, index: int) -> Attempt:
        retries = 0 if _is_late(cleared.request) else self._policy.retries
        return Attempt(self._out, cleared.request, cleared.restore, index=index, retries=retries)

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

    async def _again(self, cleared: Cleared, attempt: Attempt) -> AsyncGenerator[Event, None]:
        """Asks one choice again until it is done or the retries are spent."""
        left = self._policy.retries
        while attempt.end == "retry":
            left -= 1
            request = _asked_again(cleared.request, attempt)
            late = _is_late(request)
            attempt = Attempt(
                self._out,
                request,
                cleared.restore,
                index=attempt.index,
                retries=0 if late else left,
                told=attempt.told,
            )
            async with aclosing(self._tried(request, [attempt])) as events:
                async for event in events:
                    yield event


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
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


def _check_names(names: Sequence[str], off: Collection[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"There are two guards named {name}; give one.", param="guards")
    for name in off:
        if name not in names:
            near = get_close_matches(name, names, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            known = ", ".join(names) or "none"
            raise SettingsError(
                f"There is no guard {name!r} to switch off; there is {known}.{meant}", param="off"
            )
