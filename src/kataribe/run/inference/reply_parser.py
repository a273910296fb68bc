"""From the text that a model writes to what it means: words, thoughts and tool calls.

`ReplyParser` reads the reply piece by piece and passes on at once whatever can no longer turn out
to be something else; only text that may be the beginning of a marker is held back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kataribe.base.events import ReasoningDelta, TextDelta, ToolCallDelta
from kataribe.base.messages import Part, ReasoningPart, TextPart, ToolCallPart
from kataribe.run.inference.dialects import ToolDialect

_HEAD = re.compile(
    r'\s*\[?\s*\{\s*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"(?:arguments|parameters)"\s*:\s*'
)
_LONGEST_HEAD = 512
"""Characters of a call before its arguments; longer than this it is text, not a call."""

_BLANKS = " \t\r\n"
"""What may stand around markers. Other spaces, such as U+3000, belong to the text."""

THINK, UNTHINK = "<think>", "</think>"

Delta = TextDelta | ReasoningDelta | ToolCallDelta


@dataclass(slots=True)
class ReplyParser:
    """Reads one choice.

    Attributes:
        index: The choice.
        dialect: How calls are written; None when the reply cannot have any.
        thinks: The model marks its thoughts with `<think>`.
        thinking: The prompt already opened a thought.
    """

    index: int
    dialect: ToolDialect | None = None
    thinks: bool = False
    thinking: bool = False
    calls: list[ToolCallPart] = field(default_factory=list)
    _held: str = ""
    _state: str = "text"
    _text: list[str] = field(default_factory=list)
    _thoughts: list[str] = field(default_factory=list)
    _json: _JsonEnd | None = None
    _skip_blanks: bool = False

    def __post_init__(self) -> None:
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
        if thoughts := "".join(self._thoughts).strip(_BLANKS):
            parts.append(ReasoningPart(thoughts))
        text = "".join(self._text)
        if text or not self.calls:
            parts.append(TextPart(text))
        return (*parts, *self.calls)

    def _drain(self, *, last: bool) -> list[Delta]:
        deltas: list[Delta] = []
        while True:
            if self._skip_blanks:
                self._held = self._held.lstrip(_BLANKS)
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
                    self._read_arguments(deltas)
                case _:
                    self._read_after_call(last=last)
            if not self._held or (self._state, len(self._held)) == before:
                return deltas

    def _read_text(self, deltas: list[Delta], *, last: bool) -> None:
        unsaid = not any(said.strip(_BLANKS) for said in self._text)
        markers = [THINK] if self.thinks and unsaid else []
        if self.dialect is not None and (self.dialect.anywhere or not self._text):
            markers.append(self.dialect.trigger)
        at, marker = _first(self._held, markers)
        if marker and (marker != '{"name": "' or not self._held[:at].strip(_BLANKS)):
            self._say(deltas, self._held[:at].rstrip(_BLANKS) if marker != THINK else "")
            if marker.startswith("{"):
                self._enter("head", self._held[at:])
            else:
                self._enter(
                    "thought" if marker == THINK else "head", self._held[at + len(marker) :]
                )
            return
        keep = 0 if last else _partial(self._held, markers)
        if markers and not last:  # blanks before a call belong to it, not to the text
            sure = self._held[: len(self._held) - keep].rstrip(_BLANKS)
            keep = len(self._held) - len(sure)
        self._say(deltas, self._held[: len(self._held) - keep])
        self._held = self._held[len(self._held) - keep :]

    def _read_thought(self, deltas: list[Delta], *, last: bool) -> None:
        at, marker = _first(self._held, [UNTHINK])
        end = at if marker else len(self._held) - (0 if last else _partial(self._held, [UNTHINK]))
        thought, self._held = self._held[:end], self._held[end:]
        if thought:
            self._thoughts.append(thought)
            deltas.append(ReasoningDelta(thought, self.index))
        if marker:
            self._enter("text", self._held[len(UNTHINK) :])

    def _read_head(self, deltas: list[Delta], *, last: bool) -> None:
        found = _HEAD.match(self._held)
        if found:
            call = ToolCallPart(self._new_id(), _unquote(found[1]), "")
            self.calls.append(call)
            self._json = _JsonEnd()
            self._enter("arguments", self._held[found.end() :])
            number = len(self.calls) - 1
            deltas.append(ToolCallDelta(number, "", call.id, call.name, self.index))
        elif last or len(self._held) > _LONGEST_HEAD:
            trigger = self.dialect.trigger if self.dialect else ""
            self._say(deltas, ("" if trigger.startswith("{") else trigger) + self._held)
            self._held, self._state = "", "text"

    def _read_arguments(self, deltas: list[Delta]) -> None:
        assert self._json is not None
        end = self._json.push(self._held)
        piece = self._held if end is None else self._held[:end]
        if piece:
            call = self.calls[-1]
            self.calls[-1] = ToolCallPart(call.id, call.name, call.arguments + piece)
            deltas.append(ToolCallDelta(len(self.calls) - 1, piece, index=self.index))
        self._held = self._held[len(piece) :]
        if end is not None:
            self._state = "after"

    def _read_after_call(self, *, last: bool) -> None:
        """Skips what stands after a call: its closing brace and the dialect's fixed text."""
        assert self.dialect is not None
        rest = self._held.lstrip(_BLANKS)
        between, closing = ("}" + text for text in (self.dialect.between, self.dialect.closing))
        if rest.startswith(between):
            self._enter("head", rest[len(between) :])
        elif between.startswith(rest) and not last:
            return
        elif rest.startswith(closing):
            self._enter("text", rest[len(closing) :])
        elif last or not closing.startswith(rest):
            self._enter("text", "" if closing.startswith(rest) else rest.removeprefix("}"))

    def _new_id(self) -> str:
        assert self.dialect is not None
        return self.dialect.new_id()

    def _enter(self, state: str, held: str = "") -> None:
        """Goes on with `held` in another state; blanks at its beginning mean nothing.

        Only a head keeps them, because it may turn out to be text.
        """
        self._state, self._held, self._skip_blanks = state, held, state != "head"

    def _say(self, deltas: list[Delta], text: str) -> None:
        if text:
            self._text.append(text)
            deltas.append(TextDelta(text, self.index))


class _JsonEnd:
    """Finds where a JSON value ends in text that comes piece by piece."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._scalar = False

    def push(self, text: str) -> int | None:
        """The length of the part of `text` that belongs to the value, once the value has ended."""
        for at, character in enumerate(text):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._in_string = False
                    if self._depth == 0:
                        return at + 1
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                if self._depth == 0:  # the brace of the call around a bare number or word
                    return at
                self._depth -= 1
                if self._depth == 0:
                    return at + 1
        return None


def _first(text: str, markers: list[str]) -> tuple[int, str]:
    """Where the earliest marker stands, and which; ("", -1) for none."""
    found = [(text.find(marker), marker) for marker in markers if marker in text]
    return min(found, default=(-1, ""))


def _partial(text: str, markers: list[str]) -> int:
    """Length of the longest end of `text` that begins a marker."""
    longest = 0
    for marker in markers:
        for size in range(min(len(marker) - 1, len(text)), longest, -1):
            if text.endswith(marker[:size]):
                longest = size
                break
    return longest


def _unquote(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)
