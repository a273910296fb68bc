"""Replies in Kataribe's own terms to the shapes of `/v1/messages`: whole, and event by event.

Plain dictionaries and no models: a busy server writes thousands of events in a second. The tests
hold each to `shapes/anthropic_replies`.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from pydantic_core import from_json

from kataribe.base.errors import ProviderError
from kataribe.base.events import Citation, Finished, Progress, Step, Usage
from kataribe.serve.errors import Failure
from kataribe.serve.exchange import Told
from kataribe.serve.parts import Change, Cited, Closed, Extended, Opened, Part, Parts, Signed
from kataribe.serve.shapes.anthropic_replies import StopReason
from kataribe.serve.sse import STILL_HERE, named
from kataribe.serve.telling import detail_of, reason_of

REASONS: dict[str, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
"""OpenAI's four words in Anthropic's; `finish_detail` keeps the exact one."""


class Reply:
    """One message while it is made.

    Attributes:
        parts: The reply's parts.
        read: Tokens of the prompt, as far as the model has told before its words.
    """

    def __init__(self, model: str) -> None:
        self.parts = Parts()
        self.read = 0
        self._head = {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": model,
        }

    def begun(self) -> dict[str, Any]:
        """The message before anything is said."""
        unended = {"stop_reason": None, "stop_sequence": None, "stop_details": None}
        return {
            **self._head,
            "content": [],
            **unended,
            "usage": _usage(Usage(self.read, 0), 0),
        }

    def whole(self) -> dict[str, Any]:
        """The whole message; the reply has ended."""
        content = [self._block(part) for part in self.parts.parts]
        return {**self._head, "content": content, **self.end(), "usage": self.usage()}

    def end(self) -> dict[str, Any]:
        """Why the reply ended."""
        ended = self._ended()
        reason = REASONS[reason_of(ended)]
        if reason == "end_turn" and ended.stop is not None:
            reason = "stop_sequence"
        refusal = {"type": "refusal", "category": None, "explanation": ended.detail or None}
        told: dict[str, Any] = {
            "stop_reason": reason,
            "stop_sequence": ended.stop if reason == "stop_sequence" else None,
            "stop_details": refusal if reason == "refusal" else None,
        }
        detail = detail_of(ended)
        if detail is not None:
            told["finish_detail"] = detail.model_dump()
        return told

    def usage(self) -> dict[str, Any]:
        """What the reply used."""
        return _usage(self._ended().usage, self.parts.thought)

    def _ended(self) -> Finished:
        ended = self.parts.finished
        assert ended is not None
        return ended

    def _block(self, part: Part) -> dict[str, Any]:
        block = empty_block(part)
        match part.kind:
            case "text":
                block["text"] = part.text
                if part.citations:
                    block["citations"] = [_citation(one) for one in part.citations]
            case "reasoning":
                if not part.is_bare:
                    block |= {"thinking": part.text, "signature": part.seal}
            case "call":
                is_last = part is self.parts.parts[-1]
                block["input"] = input_of(part, cut=is_last and self._is_cut())
        return block

    def _is_cut(self) -> bool:
        return reason_of(self._ended()) in ("length", "content_filter")


class MessageStream:
    """Tells a message event by event (a `Teller`)."""

    def __init__(self, reply: Reply, request_id: str) -> None:
        self._reply = reply
        self._request_id = request_id
        self._begun = False

    def tell(self, told: Told | None) -> bytes:
        """The events for one of the model's."""
        if told is None:
            end, usage = self._reply.end(), self._reply.usage()
            last = named({"type": "message_delta", "delta": end, "usage": usage})
            return last + named({"type": "message_stop"})
        if isinstance(told.event, Progress | Step):
            self._note(told.event)
            return b""
        words = self._begin()
        for change in self._reply.parts.take(told.event):
            words += _change(change)
        return words

    def failed(self, why: Failure) -> bytes:
        """The error, as the last event."""
        return named(why.anthropic_body(self._request_id))

    def quiet(self) -> bytes:
        """A ping; before the message's start, which is promised to come first, a comment."""
        return named({"type": "ping"}) if self._begun else STILL_HERE

    def _note(self, event: Progress | Step) -> None:
        if isinstance(event, Progress) and event.stage == "reading":
            self._reply.read = event.total or 0

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        start = named({"type": "message_start", "message": self._reply.begun()})
        return start + named({"type": "ping"})


def _change(change: Change) -> bytes:
    part = change.part
    delta: dict[str, Any]
    match change:
        case Opened():
            return named(
                {
                    "type": "content_block_start",
                    "index": part.place,
                    "content_block": empty_block(part),
                }
            )
        case Closed():
            return named({"type": "content_block_stop", "index": part.place})
        case Cited(_, citation):
            delta = {"type": "citations_delta", "citation": _citation(citation)}
        case Signed():
            delta = {"type": "signature_delta", "signature": part.seal}
        case Extended(_, piece):
            if not piece:  # log-probabilities, which this call does not tell
                return b""
            delta = _DELTAS[part.kind](piece)
    return named({"type": "content_block_delta", "index": part.place, "delta": delta})


_DELTAS = {
    "text": lambda piece: {"type": "text_delta", "text": piece},
    "reasoning": lambda piece: {"type": "thinking_delta", "thinking": piece},
    "call": lambda piece: {"type": "input_json_delta", "partial_json": piece},
}


def empty_block(part: Part) -> dict[str, Any]:
    """The block that a part is told as, before anything is in it."""
    match part.kind:
        case "text":
            return {"type": "text", "text": ""}
        case "reasoning":
            if part.is_bare:
                return {"type": "redacted_thinking", "data": part.seal}
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "call":
            return {"type": "tool_use", "id": part.call_id, "name": part.name, "input": {}}


def input_of(part: Part, *, cut: bool) -> dict[str, Any]:
    """A call's arguments as an object; of one that was `cut`, those that came.

    Raises `ProviderError` for a model that wrote something else.
    """
    written = part.text.strip() or "{}"
    try:
        found = from_json(written, allow_partial=True) if cut else json.loads(written)
    except ValueError as error:
        raise _no_object(part, str(error)) from None
    if not isinstance(found, dict):
        raise _no_object(part, f"it is {type(found).__name__}")
    return found


def _no_object(part: Part, why: str) -> ProviderError:
    return ProviderError(
        f"The model called {part.name!r} with arguments that are no JSON object ({why}). Ask "
        "again, or use a model whose calls are held to the tool's schema.",
        code="invalid_tool_call",
    )


def _citation(citation: Citation) -> dict[str, Any]:
    return {
        "type": "web_search_result_location",
        "url": citation.source,
        "title": citation.quote or citation.source,
        "cited_text": citation.quote,
        "encrypted_index": "",
    }


def _usage(usage: Usage, thought: int) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": thought},
    }
