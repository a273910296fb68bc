"""One try at one choice: the events of a model in, what the guards let through out."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from kataribe.base.abilities import messages_of
from kataribe.base.events import (
    Citation,
    Event,
    Finished,
    FinishReason,
    Progress,
    ReasoningDelta,
    Sealed,
    Step,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import Request
from kataribe.base.messages import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.use.guards.guard import ALL, OutGuard, Verdict
from kataribe.use.guards.strand import Piece, Restorer, Strand

End: TypeAlias = Literal["done", "retry"]


@dataclass(slots=True)
class Told:
    """What was told of a choice before this try: it cannot be taken back, and it cost something."""

    reasoning: str = ""
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    details: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a try answers.

    Attributes:
        request: As the model gets it.
        shown: As guards on what goes out are shown it.
        restore: Placeholders in it, and their values.
        values: The same for calls of the tools in `own`.
        own: Names of tools that run inside on the model's calls, and not at the caller's.
    """

    request: Request
    shown: Request
    restore: Mapping[str, str]
    values: Mapping[str, str] = field(default_factory=dict)
    own: Collection[str] = ()

    def in_call(self, tool: str) -> dict[str, str]:
        """What is put back in the arguments of a tool's call, which are JSON."""
        restore = self.values if tool in self.own else self.restore
        # As the texts have them: where one comes back in the next step, it is to be found again.
        return {key: json.dumps(value, ensure_ascii=False)[1:-1] for key, value in restore.items()}


class Attempt:
    """One try at one choice.

    A try in which a tool ran is not asked again, because it would run twice.

    Args:
        guards: Those that look at what goes out.
        asked: What the model was asked.
        index: The choice that the caller knows.
        retries: How often it may be asked again after this try.

    Attributes:
        end: None while it goes on; then `done`, or `retry` with a `hint`.
        hint: What the model is told before it is asked again.
        told: What the caller has got of this choice so far.
    """

    def __init__(
        self,
        guards: Sequence[OutGuard],
        asked: Asked,
        *,
        index: int,
        retries: int,
        told: Told | None = None,
    ) -> None:
        self.end: End | None = None
        self.hint: tuple[Message, ...] = ()
        self.told = told or Told()
        self.index = index
        self._asked = asked
        self._retries = retries
        self._acted = False
        request, shown, restore = asked.request, asked.shown, asked.restore
        skip = len(request.prompt) if request.echo and isinstance(request.prompt, str) else 0
        self._text = Strand([guard.watch(shown) for guard in guards], restore, skip)
        self._thought = Strand(
            [guard.watch(shown) for guard in guards if guard.reads_reasoning], restore
        )
        self._calls: dict[int, tuple[str, str, list[str], Restorer]] = {}
        self._later: list[ToolCallDelta | Citation | Sealed] = []
        self._tokens = 0
        self._read = 0

    def take(self, event: Event) -> Iterator[Event]:
        """What goes on to the caller of an event; nothing once the try has ended."""
        if self.end is not None:
            return
        match event:
            case TextDelta(text, _, logprobs, tokens):
                self._tokens = max(self._tokens, tokens)
                yield from self._words(self._text, Piece(text, logprobs, tokens))
            case ReasoningDelta(text, _, tokens):
                self._tokens = max(self._tokens, tokens)
                yield from self._words(self._thought, Piece(text, (), tokens))
            case ToolCallDelta() | Citation() | Sealed(alone=True):
                self._later.append(event)
                yield from self._others()
            case Sealed():
                # Its host knows the thought by it only as the model wrote it.
                if self._thought.said == self._thought.heard:
                    yield replace(event, index=self.index)
            case Finished():
                yield from self._finished(event)
            case Progress(stage, _, total):
                if stage == "reading":
                    self._read = max(self._read, total or 0)
                yield replace(event, index=self.index)
            case Step(call=call):
                self._acted = self._acted or bool(call)
                yield replace(event, index=self.index)

    def broken_off(self) -> Iterator[Event]:
        """The words that were held back, before an error of the model is raised."""
        if self.end is None and self._text.hold < ALL:
            yield from self._shown(self._text, self._text.finish())

    def _words(self, strand: Strand, piece: Piece) -> Iterator[Event]:
        seen = strand.push(piece)
        yield from self._shown(strand, strand.release())
        if self._later:
            yield from self._others()
        for verdict in seen:
            yield from self._answered(verdict)
            if self.end is not None:
                return

    def _answered(self, verdict: Verdict, finished: Finished | None = None) -> Iterator[Event]:
        """What follows from what a watch saw; may end the try."""
        seen = verdict.sighting
        if seen is None:
            return
        again = self._retries > 0 and not (self._text.said or self._calls or self._acted)
        if seen.action == "retry" and not again:
            seen = replace(seen, action=verdict.otherwise)
        yield Step("guard", seen.line, self.index)
        if seen.action == "stop":
            self.told.details.append(seen.line)
            if verdict.otherwise == "stop" and finished is not None:
                yield from self._shown(self._text, self._text.finish())
            yield from self._closed(verdict.reason, finished)
        elif seen.action == "retry":
            self.end, self.hint = "retry", verdict.hint
            usage = self._estimated() if finished is None else finished.usage
            self.told.usage += usage
            self.told.reasoning += self._thought.said
        elif seen.action == "repair":
            self.told.details.append(seen.line)
            yield from self._shown(self._text, self._text.replace(verdict.text or ""))
        else:
            self.told.details.append(seen.line)

    def _finished(self, event: Finished) -> Iterator[Event]:
        # A model may close with words that no delta carried.
        for strand, kind in ((self._thought, ReasoningPart), (self._text, TextPart)):
            whole = _joined(event.message, kind)
            heard = strand.heard
            if len(whole) > len(heard) and whole.startswith(heard):
                yield from self._words(strand, Piece(whole[len(heard) :]))
                if self.end is not None:
                    return
        calls = any(isinstance(part, ToolCallPart) for part in event.message.parts)
        verdicts = [
            watch.finish(event.reason, calls=calls)
            for watch in (*self._thought.watches, *self._text.watches)
        ]
        for verdict in sorted(verdicts, key=_weight):
            yield from self._answered(verdict, event)
            if self.end is not None:
                return
        yield from self._shown(self._thought, self._thought.finish())
        yield from self._shown(self._text, self._text.finish())
        yield from self._others(ended=True)
        details = [event.detail, *self.told.details] if event.detail else self.told.details
        self.end = "done"
        yield replace(
            event,
            index=self.index,
            message=self._message(event.message),
            usage=self.told.usage + event.usage,
            detail="; ".join(details),
        )

    def _closed(self, reason: FinishReason, finished: Finished | None) -> Iterator[Event]:
        self.end = "done"
        used = self._estimated() if finished is None else finished.usage
        usage = self.told.usage + used
        detail = "; ".join(self.told.details)
        message = self._message(None)
        yield Finished(message, usage, reason, self.index, detail=detail)

    def _message(self, whole: Message | None) -> Message:
        """The reply as it went out; parts that no guard reads stay as they are."""
        thought, said = self.told.reasoning + self._thought.said, self._text.said
        words: list[Part] = [ReasoningPart(thought)] if thought else []
        words += [TextPart(said)] if said else []
        rest: list[Part] = []
        for call in sorted(self._calls):
            id_, name, pieces, restorer = self._calls[call]
            rest.append(ToolCallPart(id_, name, "".join(pieces) + restorer.finish()))
        if whole is None:
            return Message("assistant", (*words, *rest))
        told = {part.id: part for part in rest if isinstance(part, ToolCallPart)}
        if _joined(whole, ReasoningPart) == thought and _joined(whole, TextPart) == said:
            # As the model has said it, seals of thoughts and the order of its parts, too.
            parts = (self._restored(part, told) for part in whole.parts)
            return Message("assistant", tuple(parts))
        for part in whole.parts:
            if isinstance(part, TextPart | ReasoningPart):
                continue
            if not isinstance(part, ToolCallPart) or part.id not in told:
                rest.append(self._restored(part, told))
        return Message("assistant", (*words, *rest))

    def _restored(self, part: Part, told: Mapping[str, ToolCallPart]) -> Part:
        """A part as it went out; of a call that no delta carried, with its values restored."""
        if not isinstance(part, ToolCallPart):
            return part
        if part.id in told:
            return told[part.id]
        restorer = Restorer(self._asked.in_call(part.name))
        return replace(part, arguments=restorer.push(part.arguments) + restorer.finish())

    def _shown(self, strand: Strand, pieces: Iterator[Piece]) -> Iterator[Event]:
        for piece in pieces:
            if strand is self._text:
                yield TextDelta(piece.text, self.index, piece.logprobs, piece.tokens)
            else:
                yield ReasoningDelta(piece.text, self.index, piece.tokens)

    def _others(self, *, ended: bool = False) -> Iterator[Event]:
        """Calls and citations, unless the whole reply is held back."""
        if self._text.hold >= ALL and not ended:
            return
        for event in self._later:
            if isinstance(event, Citation):
                start, end = self._text.moved(event.start), self._text.moved(event.end)
                yield replace(event, start=start, end=end, index=self.index)
            elif isinstance(event, Sealed):
                yield replace(event, index=self.index)
            else:
                yield self._call(event)
        self._later.clear()

    def _call(self, event: ToolCallDelta) -> ToolCallDelta:
        if event.call not in self._calls:
            restorer = Restorer(self._asked.in_call(event.name or ""))
            self._calls[event.call] = (event.id or "", event.name or "", [], restorer)
        pieces = self._calls[event.call][2]
        pieces.append(self._calls[event.call][3].push(event.arguments))
        return replace(event, arguments=pieces[-1], index=self.index)

    def _estimated(self) -> Usage:
        """What a closed stream used: as far as the model said it, else four bytes to a token."""
        wrote = self._text.heard + self._thought.heard
        return Usage(
            self._read or (_bytes_of(self._asked.request) + 3) // 4,
            self._tokens or (len(wrote.encode()) + 3) // 4,
        )


def _joined(message: Message, kind: type[ReasoningPart | TextPart]) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, kind))


def _weight(verdict: Verdict) -> int:
    """Stops come first, then what is asked again, then what is repaired, then what is told."""
    if verdict.sighting is None:
        return 9
    return ("stop", "retry", "repair", "note").index(verdict.sighting.action)


def _bytes_of(request: Request) -> int:
    if isinstance(request.prompt, str):
        return len(request.prompt.encode())
    sizes = (
        len((part.content if isinstance(part, ToolResultPart) else part.text).encode())
        for message in messages_of(request)
        for part in message.parts
        if isinstance(part, TextPart | ToolResultPart)
    )
    return sum(sizes)
