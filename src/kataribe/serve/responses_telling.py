"""Replies in Kataribe's own terms to the shapes of `/v1/responses`: whole, and event by event.

Plain dictionaries and no models: a busy server writes thousands of events in a second. The tests
hold each to `shapes/responses_replies`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from kataribe.base.events import Citation, Progress, Step, TokenLogprob, Usage
from kataribe.serve.errors import Failure
from kataribe.serve.exchange import Told
from kataribe.serve.parts import Change, Cited, Closed, Extended, Opened, Part, Parts, Signed
from kataribe.serve.responses_kept import item_id
from kataribe.serve.shapes.responses import LOGPROBS, ResponsesRequest
from kataribe.serve.sse import STILL_HERE, named
from kataribe.serve.telling import detail_of, reason_of, token_logprobs

_PREFIX = {"text": "msg", "reasoning": "rs", "call": "fc"}
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""OpenAI's words for why a reply is incomplete."""

_FAILED = {429: "rate_limit_exceeded", 400: "invalid_prompt"}
"""OpenAI's codes for statuses; any other is a `server_error`."""


class Answer:
    """One response while it is made.

    Attributes:
        parts: The reply's parts.
    """

    def __init__(self, body: ResponsesRequest, *, kept: bool = False) -> None:
        """With `kept` it says that it can be gone on from."""
        self.parts = Parts(always_words=True)
        self._fields = {**_echoed(body), "store": kept}
        self._logprobs = LOGPROBS in (body.include or ())
        self._whole: dict[str, Any] | None = None

    def item_id(self, part: Part) -> str:
        """The id of the item that a part is told as."""
        return item_id(_PREFIX[part.kind], self._fields["id"], part.place)

    def logprobs(self, tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
        """Log-probabilities, when they were asked for."""
        if not self._logprobs:
            return []
        return [token.model_dump() for token in token_logprobs(tokens)]

    def running(self) -> dict[str, Any]:
        """The response before anything is said."""
        return self._told("in_progress", [])

    def failed(self, why: Failure) -> dict[str, Any]:
        """The response that broke off, with what was said until then."""
        items = [self.item(part) for part in self.parts.parts]
        error = {
            "code": _FAILED.get(why.status, "server_error"),
            "message": why.message,
            "param": why.param,
            "type": why.type,
        }
        return {**self._told("failed", items), "error": error}

    def whole(self) -> dict[str, Any]:
        """The whole response; the reply has ended."""
        if self._whole is None:
            self._whole = self._made()
        return self._whole

    def _made(self) -> dict[str, Any]:
        parts, ended = self.parts.parts, self.parts.finished
        assert ended is not None
        cut = _CUT.get(reason_of(ended))
        items = [self.item(part) for part in parts]
        answer = self._told("completed" if cut is None else "incomplete", items)
        answer["usage"] = _usage(ended.usage, self.parts.thought)
        answer["completed_at"] = int(time.time())
        if cut is not None:
            answer["incomplete_details"] = {"reason": cut}
        detail = detail_of(ended)
        if detail is not None:
            answer["finish_detail"] = detail.model_dump()
        return answer

    def item(self, part: Part) -> dict[str, Any]:
        """The item that a part is told as, when it is closed."""
        head = {"id": self.item_id(part), "status": self._status(part)}
        if part.kind == "call":
            return {
                "type": "function_call",
                **head,
                "call_id": part.call_id,
                "name": part.name,
                "arguments": part.text,
            }
        content = [] if part.is_bare else [self.content(part)]
        if part.kind == "reasoning":
            sealed = {"encrypted_content": part.seal} if part.seal else {}
            return {"type": "reasoning", **head, "summary": [], "content": content, **sealed}
        return {"type": "message", **head, "role": "assistant", "content": content}

    def content(self, part: Part) -> dict[str, Any]:
        """What stands inside the item of thoughts or words."""
        if part.kind == "reasoning":
            return {"type": "reasoning_text", "text": part.text}
        return {
            "type": "output_text",
            "text": part.text,
            "annotations": [annotation(part, citation) for citation in part.citations],
            "logprobs": self.logprobs(part.logprobs),
        }

    def _status(self, part: Part) -> str:
        """Incomplete is what the reply broke off in: what is open, or the last where it was cut."""
        ended = self.parts.finished
        if ended is None:
            return "incomplete" if part is self.parts.open else "completed"
        is_last = part is self.parts.parts[-1]
        return "incomplete" if is_last and reason_of(ended) in _CUT else "completed"

    def _told(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._fields, "status": status, "output": output}


class ResponseStream:
    """Tells a response event by event (a `Teller`)."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._count = 0

    def tell(self, told: Told | None) -> bytes:
        """The events for one of the model's."""
        if told is None:
            answer = self._answer.whole()
            return self._say(f"response.{answer['status']}", response=answer)
        if isinstance(told.event, Progress | Step):
            return b""
        words = self._begin()
        for change in self._answer.parts.take(told.event):
            words += self._change(change)
        return words

    def failed(self, why: Failure) -> bytes:
        """The last event of a response that broke off."""
        return self._begin() + self._say("response.failed", response=self._answer.failed(why))

    def quiet(self) -> bytes:
        """A comment."""
        return STILL_HERE

    def _begin(self) -> bytes:
        if self._count:
            return b""
        running = self._answer.running()
        begun = self._say("response.created", response=running)
        return begun + self._say("response.in_progress", response=running)

    def _say(self, kind: str, **fields: Any) -> bytes:
        event = {"type": kind, "sequence_number": self._count, **fields}
        self._count += 1
        return named(event)

    def _change(self, change: Change) -> bytes:
        part = change.part
        place = {"item_id": self._answer.item_id(part), "output_index": part.place}
        match change:
            case Opened():
                return self._opened(part, place)
            case Extended(_, piece, logprobs):
                return self._extended(part, place, piece, logprobs)
            case Cited(_, citation):
                return self._say(
                    "response.output_text.annotation.added",
                    **place,
                    content_index=0,
                    annotation_index=len(part.citations) - 1,
                    annotation=annotation(part, citation),
                )
            case Signed():
                return b""  # the item has it when it is done
            case Closed():
                return self._closed(part, place)

    def _opened(self, part: Part, place: dict[str, Any]) -> bytes:
        item = {**self._answer.item(part), "status": "in_progress"}
        inside = self._answer.content(part)
        if part.kind != "call":
            item["content"] = []
        added = self._say("response.output_item.added", output_index=part.place, item=item)
        if part.kind == "call" or part.is_bare:
            return added
        return added + self._say(
            "response.content_part.added", **place, content_index=0, part=inside
        )

    def _extended(
        self, part: Part, place: dict[str, Any], piece: str, logprobs: tuple[TokenLogprob, ...]
    ) -> bytes:
        if part.kind == "call":
            return self._say("response.function_call_arguments.delta", **place, delta=piece)
        place = {**place, "content_index": 0, "delta": piece}
        if part.kind == "reasoning":
            return self._say("response.reasoning_text.delta", **place)
        told = self._answer.logprobs(logprobs)
        return self._say("response.output_text.delta", **place, logprobs=told)

    def _closed(self, part: Part, place: dict[str, Any]) -> bytes:
        if part.kind == "call":
            done = self._say("response.function_call_arguments.done", **place, arguments=part.text)
        elif part.is_bare:
            done = b""
        else:
            place = {**place, "content_index": 0}
            inside = self._answer.content(part)
            more = {"logprobs": inside["logprobs"]} if part.kind == "text" else {}
            kind = "output_text" if part.kind == "text" else "reasoning_text"
            done = self._say(f"response.{kind}.done", **place, text=inside["text"], **more)
            done += self._say("response.content_part.done", **place, part=inside)
        item = self._answer.item(part)
        return done + self._say("response.output_item.done", output_index=part.place, item=item)


def annotation(part: Part, citation: Citation) -> dict[str, Any]:
    """A source of a part's words, by their places in that part."""
    return {
        "type": "url_citation",
        "url": citation.source,
        "title": citation.quote or citation.source,
        "start_index": max(0, citation.start - part.before),
        "end_index": max(0, citation.end - part.before),
    }


def _usage(usage: Usage, thought: int) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _echoed(body: ResponsesRequest) -> dict[str, Any]:
    """What stays while the reply is made: the request's fields as they were understood."""
    sent = body.model_dump(by_alias=True, exclude_unset=True)
    form = (sent.get("text") or {}).get("format") or {"type": "text"}
    said = (sent.get("text") or {}).get("verbosity")
    verbosity = {"verbosity": said} if said else {}
    plain = ("instructions", "max_output_tokens", "temperature", "top_p", "service_tier")
    marks = ("safety_identifier", "prompt_cache_key", "user")
    parallel = body.parallel_tool_calls
    return {
        "id": f"resp_{secrets.token_hex(12)}",
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "model": body.model,
        "usage": None,
        "error": None,
        "incomplete_details": None,
        **{field: sent.get(field) for field in (*plain, *marks)},
        "tools": sent.get("tools") or [],
        "tool_choice": sent.get("tool_choice") or "auto",
        "parallel_tool_calls": parallel is not False,
        "text": {"format": form, **verbosity},
        "top_logprobs": body.top_logprobs or 0,
        "background": False,
        "truncation": "disabled",
        "previous_response_id": body.previous_response_id,
        "reasoning": sent.get("reasoning"),
        "metadata": body.metadata or {},
    }
