"""One choice of a reply while it comes: each piece becomes an event and is kept for the whole."""

from __future__ import annotations

import json
import secrets
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kataribe.base.events import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Sealed,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from kataribe.base.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart

OWN_CALL = "kataribe_"
"""Ids of calls to which the host gave none begin so."""


@dataclass(slots=True)
class _Run:
    """Pieces of one part of the message, in order."""

    kind: Literal["text", "thought", "call"]
    pieces: list[str] = field(default_factory=list)
    seal: str = ""
    id: str = ""
    name: str = ""
    place: int = 0

    def part(self) -> Part:
        whole = "".join(self.pieces)
        if self.kind == "text":
            return TextPart(whole)
        if self.kind == "thought":
            return ReasoningPart(whole, self.seal)
        return ToolCallPart(self.id, self.name, whole)


class Gathering:
    """What one choice said so far.

    Its methods give the events to pass on; a piece that is no text raises `TypeError`, which the
    readers' caller turns into the error for a malformed event.

    Attributes:
        length: Characters so far, of words, thoughts and arguments.
        reason: The host's word for why the choice ended; None until it is known.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.length = 0
        self.reason: str | None = None
        self._runs: list[_Run] = []
        self._calls: dict[Hashable, _Run] = {}
        self._logprobs: list[TokenLogprob] = []

    @property
    def calls(self) -> int:
        """How many tools were called so far."""
        return len(self._calls)

    def say(self, text: Any, logprobs: Sequence[TokenLogprob] = ()) -> list[Event]:
        """A piece of the reply's words."""
        self._logprobs.extend(logprobs)
        if not self._keep(self._run("text"), text) and not logprobs:
            return []
        return [TextDelta(text, self.index, tuple(logprobs))]

    def think(self, text: Any) -> list[Event]:
        """A piece of a thought; it belongs to the last thought unless that one was sealed."""
        return [ReasoningDelta(text, self.index)] if self._keep(self._run("thought"), text) else []

    def seal(self, seal: str) -> list[Event]:
        """Seals the thought that was last said; where none stands last, it stands by itself."""
        last = self._runs[-1] if self._runs else None
        if last is None or last.kind != "thought" or last.seal:
            return self.mark(seal)
        last.seal = seal
        return [Sealed(seal, self.index)]

    def mark(self, seal: str) -> list[Event]:
        """A seal by itself: it belongs to the part that comes next, not to a thought before it."""
        self._runs.append(_Run("thought", seal=seal))
        return [Sealed(seal, self.index, alone=True)]

    def call(self, key: Hashable, given: str | None, name: Any) -> list[Event]:
        """The beginning of a tool call; `key` is how further pieces name it, `given` its id.

        A key that has a call already means the new one from now on.
        """
        if not isinstance(name, str) or not name:
            raise TypeError("a tool call has no name")
        if key in self._calls:
            self._calls[key, len(self._calls)] = self._calls.pop(key)
        run = _Run("call", place=len(self._calls), name=name)
        run.id = given or f"{OWN_CALL}{secrets.token_hex(8)}"
        self._runs.append(run)
        self._calls[key] = run
        return [ToolCallDelta(run.place, "", run.id, name, self.index)]

    def arguments(self, key: Hashable, text: Any) -> list[Event]:
        """A piece of a call's arguments."""
        run = self._calls[key]
        return [ToolCallDelta(run.place, text, index=self.index)] if self._keep(run, text) else []

    def has_call(self, key: Hashable) -> bool:
        """Whether that call has begun."""
        return key in self._calls

    def id_of(self, key: Hashable) -> str:
        """The id of a call that has begun."""
        return self._calls[key].id

    def key_of(self, given: str) -> Hashable | None:
        """The key of the call with this id; None where there is none."""
        return next((key for key, run in self._calls.items() if run.id == given), None)

    def arguments_of(self, key: Hashable) -> str:
        """The arguments of a call so far."""
        return "".join(self._calls[key].pieces)

    def complete_calls(self) -> list[Event]:
        """Gives calls that came without arguments, and are whole, an empty object of them."""
        empty = [key for key, run in self._calls.items() if not run.pieces]
        return [event for key in empty for event in self.arguments(key, "{}")]

    def finished(self, usage: Usage, reason: FinishReason, detail: str = "") -> Finished:
        """The end: everything that was said as one message.

        A host's word for an ordinary end does not always say that tools were called.
        """
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        parts = tuple(run.part() for run in self._runs if run.pieces or run.seal or run.id)
        message = Message("assistant", parts)
        return Finished(message, usage, reason, self.index, tuple(self._logprobs), detail)

    def _run(self, kind: Literal["text", "thought"]) -> _Run:
        last = self._runs[-1] if self._runs else None
        if last is not None and last.kind == kind and not last.seal:
            return last
        return _Run(kind)

    def _keep(self, run: _Run, text: Any) -> bool:
        if not isinstance(text, str):
            raise TypeError(f"a piece of a reply is {type(text).__name__}, not text")
        if not text:
            return False
        if not run.pieces and run.kind != "call":
            self._runs.append(run)
        run.pieces.append(text)
        self.length += len(text)
        return True


def shared_usage(total: Usage, choices: Sequence[Gathering]) -> list[Usage]:
    """The usage of each choice where a host tells only the sum of their tokens.

    The prompt is each one's, as it is read once for all; the reply's tokens are divided by the
    characters of each, and add up to the total.
    """
    whole = sum(choice.length for choice in choices)
    given = 0
    shares: list[Usage] = []
    for place, choice in enumerate(choices):
        if place == len(choices) - 1:
            share = total.completion_tokens - given
        else:
            share = total.completion_tokens * choice.length // whole if whole else 0
        given += share
        shares.append(
            Usage(total.prompt_tokens, share, total.cached_tokens, total.cache_write_tokens)
        )
    return shares


def make_seal(by: str, content: Any) -> str:
    """The seal of a thought: who gave it (host and model), and what."""
    return json.dumps({"by": by, "content": content}, ensure_ascii=False, separators=(",", ":"))


def open_seal(seal: str, by: str) -> Any:
    """What `by` gave along; None when somebody else did: only who made a seal can read it."""
    if not seal:
        return None
    try:
        found = json.loads(seal)
    except ValueError:
        return None
    return found["content"] if isinstance(found, dict) and found.get("by") == by else None
