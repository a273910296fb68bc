"""A reply as a row of parts: thoughts, words and calls, each opened, extended and closed.

Streams of `/v1/responses` and `/v1/messages` tell a reply in this way, where a stream of
`/v1/chat/completions` only tells what is new. Whole answers are made of the same parts.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kataribe.base.errors import KataribeError
from kataribe.base.events import (
    Citation,
    Event,
    Finished,
    Progress,
    ReasoningDelta,
    Sealed,
    Step,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from kataribe.base.messages import Part as MessagePart
from kataribe.base.messages import ReasoningPart, TextPart, ToolCallPart

Kind: TypeAlias = Literal["reasoning", "text", "call"]


@dataclass(slots=True)
class Part:
    """A part of a reply while it grows.

    Attributes:
        place: Its number in the reply, from 0.
        kind: What it holds.
        before: Characters of the reply's words before this part.
        call: A call's number among the calls, from 0.
        call_id: A call's id.
        name: The called tool's name.
        pieces: Its text (of a call, the JSON text of its arguments) as it came.
        logprobs: Log-probabilities of the words' tokens.
        citations: Sources of the words.
        seal: What the host gave along with a thought; it may be all that there is of one.
    """

    place: int
    kind: Kind
    before: int = 0
    call: int = 0
    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    seal: str = ""

    @property
    def text(self) -> str:
        """All of it until now."""
        return "".join(self.pieces)

    @property
    def is_bare(self) -> bool:
        """It is a seal without a thought."""
        return bool(self.seal) and not self.pieces


@dataclass(frozen=True, slots=True)
class Opened:
    """A part begins."""

    part: Part


@dataclass(frozen=True, slots=True)
class Extended:
    """A part has one more piece."""

    part: Part
    piece: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Cited:
    """A part of words has one more source."""

    part: Part
    citation: Citation


@dataclass(frozen=True, slots=True)
class Signed:
    """A thought has got its seal."""

    part: Part


@dataclass(frozen=True, slots=True)
class Closed:
    """A part is whole."""

    part: Part


Change: TypeAlias = Opened | Extended | Cited | Signed | Closed


class Parts:
    """The parts of one choice, one of them open at a time.

    Some hosts write several calls at once, a piece of each in turn. What comes while the
    arguments of a call are no whole JSON yet waits until they are, or until the reply's end. With
    `always_words` a reply of nothing has a part of no words, too.

    Attributes:
        parts: All until now.
        open: The one that grows.
        finished: The event that ended the choice.
        thought: Tokens of its thoughts; 0 where the model does not say.
    """

    def __init__(self, *, always_words: bool = False) -> None:
        self._always_words = always_words
        self.parts: list[Part] = []
        self.finished: Finished | None = None
        self.thought = 0
        self.open: Part | None = None
        self._said = 0
        self._drawn = 0
        self._waiting: list[Event] = []

    @property
    def usage(self) -> Usage:
        """What the reply used; nothing before its end."""
        return Usage(0, 0) if self.finished is None else self.finished.usage

    def take(self, event: Event) -> Iterator[Change]:
        """What an event changes."""
        if isinstance(event, Finished):
            while self._waiting:  # each round takes at least the first
                yield from self._close()
                yield from self._take_waiting()
        elif self._has_to_wait(event):
            self._waiting.append(event)
            return
        yield from self._take(event)
        if self._waiting and self._is_whole():
            yield from self._take_waiting()

    def _take_waiting(self) -> Iterator[Change]:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            yield from self.take(event)

    def _has_to_wait(self, event: Event) -> bool:
        if self.open is None or self.open.kind != "call" or isinstance(event, Progress | Step):
            return False
        if isinstance(event, ToolCallDelta) and event.call == self.open.call:
            return False
        return not self._is_whole()

    def _is_whole(self) -> bool:
        """Whether the open part is a call with whole arguments."""
        part = self.open
        if part is None or part.kind != "call":
            return True
        last = next((piece for piece in reversed(part.pieces) if piece.strip()), "")
        if not last.rstrip().endswith("}"):  # most pieces do not, and the whole may be long
            return False
        try:
            json.loads(part.text)
        except ValueError:
            return False
        return True

    def _take(self, event: Event) -> Iterator[Change]:
        match event:
            case TextDelta(text, _, logprobs, tokens):
                self._count(tokens, thinks=False)
                if text or (self.open is not None and self.open.kind == "text"):
                    yield from self._extend("text", text, logprobs)
                    self._said += len(text)
            case ReasoningDelta(text, _, tokens):
                self._count(tokens, thinks=True)
                if text:
                    yield from self._extend("reasoning", text)
            case Sealed():
                yield from self._seal(event)
            case ToolCallDelta():
                yield from self._call(event)
            case Citation():
                part = yield from self._into("text")
                part.citations.append(event)
                yield Cited(part, event)
            case Finished():
                if not self.parts:
                    yield from self._whole(event.message.parts)
                if not self.parts and self._always_words:
                    yield from self._into("text")
                self.finished = event
                yield from self._close()
            case _:
                pass

    def read(self, event: Event) -> None:
        """Takes an event whose changes nobody has to hear of."""
        for _ in self.take(event):
            pass

    def _count(self, tokens: int, *, thinks: bool) -> None:
        if tokens > self._drawn:
            self.thought += (tokens - self._drawn) if thinks else 0
            self._drawn = tokens

    def _extend(
        self, kind: Kind, piece: str, logprobs: tuple[TokenLogprob, ...] = ()
    ) -> Iterator[Change]:
        part = yield from self._into(kind)
        part.pieces.append(piece)
        part.logprobs.extend(logprobs)
        yield Extended(part, piece, logprobs)

    def _into(self, kind: Kind) -> Generator[Change, None, Part]:
        """The open part, when it is of that kind, or a new one."""
        if self.open is None or self.open.kind != kind:
            yield from self._begin(Part(len(self.parts), kind, before=self._said))
        assert self.open is not None
        return self.open

    def _begin(self, part: Part) -> Iterator[Change]:
        yield from self._close()
        self.open = part
        self.parts.append(part)
        yield Opened(part)

    def _close(self) -> Iterator[Change]:
        part, self.open = self.open, None
        if part is not None:
            yield Closed(part)

    def _seal(self, event: Sealed) -> Iterator[Change]:
        """Ends the thought before it, or is a part by itself."""
        part = self.open
        if event.alone or part is None or part.kind != "reasoning" or not part.pieces:
            yield from self._begin(Part(len(self.parts), "reasoning", self._said, seal=event.seal))
        else:
            part.seal = event.seal
            yield Signed(part)
        yield from self._close()

    def _call(self, event: ToolCallDelta) -> Iterator[Change]:
        if event.id is not None:
            yield from self._begin(
                Part(
                    len(self.parts),
                    "call",
                    call=event.call,
                    call_id=event.id,
                    name=event.name or "",
                )
            )
        part = self.open
        if part is None or part.kind != "call" or part.call != event.call:
            if not event.arguments.strip():  # white space behind a call that is whole
                return
            raise KataribeError(
                f"The model went on with its tool call {event.call} after it had begun something "
                "else; its stream broke the protocol."
            )
        if event.arguments:
            part.pieces.append(event.arguments)
            yield Extended(part, event.arguments)

    def _whole(self, parts: tuple[MessagePart, ...]) -> Iterator[Change]:
        """The parts of a reply that came without a single piece."""
        calls = 0
        for part in parts:
            match part:
                case TextPart(text):
                    yield from self.take(TextDelta(text))
                case ReasoningPart(text, seal):
                    yield from self.take(ReasoningDelta(text))
                    if seal:
                        yield from self.take(Sealed(seal, alone=not text))
                case ToolCallPart(call_id, name, arguments):
                    yield from self.take(ToolCallDelta(calls, arguments, call_id, name))
                    calls += 1
                case _:
                    pass
