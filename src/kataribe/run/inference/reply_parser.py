"""From the text that a model writes to what it means: words, thoughts and tool calls.

`ReplyParser` reads the reply piece by piece and passes on at once whatever can no longer turn out
to be something else; only text that may be the beginning of a marker is held back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kataribe.base.events import ReasoningDelta, TextDelta, ToolCallDelta
from kataribe.base.lm import ToolSpec
from kataribe.base.messages import Part, ReasoningPart, TextPart, ToolCallPart
from kataribe.run.inference.argument_reader import (
    BLANKS,
    ArgumentReader,
    argument_reader,
    first_of,
    partial,
)
from kataribe.run.inference.argument_schemas import arguments_of
from kataribe.run.inference.bare_calls import (
    BareCall,
    Block,
    closing_end,
    first_call,
    in_quotes,
    next_call,
)
from kataribe.run.inference.dialects import (
    ID_LENGTH,
    ID_LETTERS,
    THINK,
    UNTHINK,
    ToolDialect,
)
from kataribe.run.inference.equivalents import in_other_words

Delta = TextDelta | ReasoningDelta | ToolCallDelta


@dataclass(slots=True)
class ReplyParser:
    """Reads one choice.

    Attributes:
        index: The choice.
        dialect: How calls are written; None when the reply cannot have any.
        tools: What may be called; whatever names nothing of it is text.
        thinks: The model marks its thoughts with `<think>`.
        thinking: The prompt already opened a thought.
        bare: Which of the tools the reply may begin to call without the dialect's marks
            (`bare_calls`), in dialects that allow it; None for all of them.
    """

    index: int
    dialect: ToolDialect | None = None
    tools: tuple[ToolSpec, ...] = ()
    thinks: bool = False
    thinking: bool = False
    bare: tuple[ToolSpec, ...] | None = None
    calls: list[ToolCallPart] = field(default_factory=list)
    _held: str = ""
    _state: str = "text"
    _text: list[str] = field(default_factory=list)
    _thoughts: list[str] = field(default_factory=list)
    _reader: ArgumentReader | None = None
    _skip_blanks: bool = False
    _is_plain: bool = False
    _marker: str = ""
    _due: str = ""
    _block: Block | None = None
    _bare: dict[str, ToolSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dialect is not None and self.dialect.reads_bare:
            named = self.tools if self.bare is None else self.bare
            self._bare = {in_quotes(tool.name): tool for tool in named}
        if self.thinking:
            self._enter("thought")

    def push(self, text: str) -> list[Delta]:
        """The meaning of the next piece of text, as far as it is certain."""
        self._held += text
        return self._drain(last=False)

    def finish(self) -> list[Delta]:
        """What was held back, now that no more text comes."""
        return self._drain(last=True)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Everything read so far: thoughts, then words, then calls."""
        parts: list[Part] = []
        if thoughts := "".join(self._thoughts).strip(BLANKS):
            parts.append(ReasoningPart(thoughts))
        text = "".join(self._text)
        if text or not self.calls:
            parts.append(TextPart(text))
        return (*parts, *self.calls)

    def _drain(self, *, last: bool) -> list[Delta]:
        deltas: list[Delta] = []
        while True:
            if self._skip_blanks:
                self._held = self._held.lstrip(BLANKS)
                self._skip_blanks = not self._held
            before = (self._state, len(self._held))
            match self._state:
                case "text":
                    self._read_text(deltas, last=last)
                case "thought":
                    self._read_thought(deltas, last=last)
                case "head":
                    self._read_head(deltas, last=last)
                case "arguments":
                    self._read_arguments(deltas, last=last)
                case "after" if self._block is not None:
                    self._read_after_bare(deltas, self._block, last=last)
                case _:
                    self._read_after_call(last=last)
            if not self._held or (self._state, len(self._held)) == before:
                return deltas

    def _read_text(self, deltas: list[Delta], *, last: bool) -> None:
        if self._bare and not self._text and not self.calls:
            call, may_come = first_call(self._held, tuple(self._bare))
            if call is not None:
                self._begin_bare(deltas, call)
                return
            if may_come and not last:
                return
        unsaid = not any(said.strip(BLANKS) for said in self._text)
        begun = self._held.lstrip(BLANKS)
        may_think = begun.startswith(THINK) or THINK.startswith(begun)
        markers = [THINK] if self.thinks and unsaid and may_think else []
        markers += self._starts()
        at, marker = _first(self._held, markers)
        before = self._held[:at].rstrip(BLANKS)
        if marker == THINK:
            self._enter("thought", self._held[at + len(THINK) :])
            return
        if marker and self.dialect is not None and (self.dialect.trigger or not before):
            self._say(deltas, before)
            end = at + len(self.dialect.trigger)
            self._enter_head(self._held[len(before) : end], self.dialect.lead, self._held[end:])
            return
        keep = 0 if last else partial(self._held, markers)
        if markers and not last:  # blanks before a call belong to it, not to the text
            sure = self._held[: len(self._held) - keep].rstrip(BLANKS)
            keep = len(self._held) - len(sure)
        self._say(deltas, self._held[: len(self._held) - keep])
        self._held = self._held[len(self._held) - keep :]

    def _read_thought(self, deltas: list[Delta], *, last: bool) -> None:
        at, marker = _first(self._held, [UNTHINK])
        end = at if marker else len(self._held) - (0 if last else partial(self._held, [UNTHINK]))
        thought, self._held = self._held[:end], self._held[end:]
        if thought:
            self._thoughts.append(thought)
            deltas.append(ReasoningDelta(thought, self.index))
        if marker:
            self._enter("text", self._held[len(UNTHINK) :])

    def _read_head(self, deltas: list[Delta], *, last: bool) -> None:
        assert self.dialect is not None
        text = self._held.lstrip(BLANKS)
        best: tuple[int, ToolSpec, str] | None = None
        for tool in self.tools:
            before, own_id, behind = self.dialect.head_of(tool.name)
            found = _head_in(text, (self._due.strip(BLANKS) + before, own_id, behind))
            if found is None and not last:
                return  # it may still become this call
            if found and (best is None or found[0] > best[0]):
                best = (found[0], tool, found[1])
        if best is None:
            self._is_plain = True
            self._say(deltas, self._marker)
            self._state = "text"
            return
        end, tool, told_id = best
        self._block = None
        self._begin(deltas, tool, told_id, text[end:])

    def _begin_bare(self, deltas: list[Delta], call: BareCall) -> None:
        self._block = call.block
        self._begin(deltas, self._bare[call.name], "", self._held[call.end :])

    def _begin(self, deltas: list[Delta], tool: ToolSpec, told_id: str, held: str) -> None:
        """Goes on with the arguments of a call."""
        assert self.dialect is not None
        call = ToolCallPart(told_id or self.dialect.new_id(), tool.name, "")
        self.calls.append(call)
        self._reader = argument_reader(self.dialect.notation, in_other_words(arguments_of(tool)))
        self._enter("arguments", held)
        deltas.append(ToolCallDelta(len(self.calls) - 1, "", call.id, call.name, self.index))

    def _read_arguments(self, deltas: list[Delta], *, last: bool) -> None:
        assert self._reader is not None
        piece, rest = self._reader.push(self._held)
        if rest is None and last:
            piece += self._reader.finish()
        if piece:
            call = self.calls[-1]
            self.calls[-1] = ToolCallPart(call.id, call.name, call.arguments + piece)
            deltas.append(ToolCallDelta(len(self.calls) - 1, piece, index=self.index))
        self._held = rest or ""
        if rest is not None:
            self._state = "after"

    def _read_after_call(self, *, last: bool) -> None:
        """Skips what stands after a call: its tail and the dialect's fixed text."""
        assert self.dialect is not None
        told = self.dialect
        rest = self._held.lstrip(BLANKS)
        between, closing = (
            (told.tail + text).lstrip(BLANKS) for text in (told.between, told.closing)
        )
        found, may_grow = first_of(rest, (between, closing))
        if may_grow and not last:
            return
        if found == between:
            self._enter_head(told.between.removeprefix(told.closing), "", rest[len(found) :])
        elif found is not None:
            self._enter("text", rest[len(found) :])
        else:
            self._enter("text", "" if closing.startswith(rest) else rest.removeprefix(told.tail))

    def _read_after_bare(self, deltas: list[Delta], block: Block, *, last: bool) -> None:
        """Skips what stands after a call without marks, up to the next call or the words."""
        call, may_come = next_call(self._held, block, tuple(self._bare))
        if call is not None:
            self._begin_bare(deltas, call)
            return
        end, may_grow = closing_end(self._held, block)
        if last or not (may_come or may_grow):
            self._enter("text", "" if may_grow else self._held[end:])

    def _starts(self) -> list[str]:
        """Texts that may begin calls here."""
        if self.dialect is None:
            return []
        if self.dialect.trigger:
            return [self.dialect.trigger]
        if self._is_plain or self._text or self.calls:
            return []
        return self.dialect.starts([tool.name for tool in self.tools])

    def _enter_head(self, marker: str, due: str, held: str) -> None:
        """Goes on with the head of a call; `marker` is what becomes text if none comes."""
        self._enter("head", held)
        self._marker, self._due = marker, due

    def _enter(self, state: str, held: str = "") -> None:
        """Goes on with `held` in another state; blanks at its beginning mean nothing.

        Only a head keeps them, because it may turn out to be text.
        """
        self._state, self._held, self._skip_blanks = state, held, state not in ("head", "arguments")

    def _say(self, deltas: list[Delta], text: str) -> None:
        if text:
            self._text.append(text)
            deltas.append(TextDelta(text, self.index))


def _first(text: str, markers: list[str]) -> tuple[int, str]:
    """Where the earliest marker stands, and which; ("", -1) for none."""
    found = [(text.find(marker), marker) for marker in markers if marker in text]
    return min(found, default=(-1, ""))


def _head_in(text: str, head: tuple[str, str, str]) -> tuple[int, str] | tuple[()] | None:
    """Where a head ends in `text` and the id in it; () for no head, None where it may still be."""
    end, told_id = 0, ""
    for piece, is_id in zip(head, (False, True, False), strict=True):
        size = ID_LENGTH if is_id and piece else len(piece)
        part = text[end : end + size]
        if not (set(part) <= set(ID_LETTERS) if is_id else piece.startswith(part)):
            return ()
        if len(part) < size:
            return None
        told_id = part if is_id else told_id
        end += size
    return end, told_id
