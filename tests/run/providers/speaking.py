"""The four wires as hosts speak them: what is said, as the events of each, by the SDKs' own types.

Every event is built through the official package's class for it, so a field that is missing or of
another type fails here. `tests/run/providers/test_official_clients.py` has the official clients
read them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from anthropic.types import (
    Message,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawContentBlockStopEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    RawMessageStopEvent,
)
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseIncompleteEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)

SIGNATURE = base64.b64encode(b"only the host can read this").decode()


@dataclass(frozen=True)
class Said:
    """What a host's model says in one choice."""

    pieces: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = ()  # id, name, arguments
    reason: str | None = None  # the wire's own word; None for its ordinary end
    prompt: int = 20
    cached: int = 5
    written: int = 0
    used: int = 9
    logprobs: bool = False


def named(event: str, data: Any) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def unnamed(data: Any) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


# --- chat completions ---------------------------------------------------------------------------


def chat(*choices: Said) -> list[bytes]:
    """The chunks of a chat completion, its choices taking turns."""
    chunks = [list(_chat_choice(said, index)) for index, said in enumerate(choices)]
    turns = max(len(each) for each in chunks)
    ordered = [each[turn] for turn in range(turns) for each in chunks if turn < len(each)]
    first = choices[0]
    used = sum(said.used for said in choices)
    details = {"cached_tokens": first.cached, "cache_write_tokens": first.written}
    usage = {
        "prompt_tokens": first.prompt,
        "completion_tokens": used,
        "total_tokens": first.prompt + used,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    last = _chunk([]) | {"usage": usage}
    return [*map(_chat_event, ordered), _chat_event(last), b"data: [DONE]\n\n"]


def _chat_event(chunk: dict[str, Any]) -> bytes:
    ChatCompletionChunk.model_validate(chunk)
    return unnamed(chunk)


def _chunk(choices: list[Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
    }


def _chat_choice(said: Said, index: int) -> Iterator[dict[str, Any]]:
    def one(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        return _chunk([{"index": index, "delta": delta, "finish_reason": None, **more}])

    yield one({"role": "assistant", "content": ""})
    for thought in said.thoughts:
        yield one({"reasoning_content": thought})
    for piece in said.pieces:
        logprobs = {"content": [token(piece, top=True)], "refusal": None}
        yield one({"content": piece}, **({"logprobs": logprobs} if said.logprobs else {}))
    for place, (given, name, arguments) in enumerate(said.calls):
        begin = {"index": place, "id": given, "type": "function"}
        yield one({"tool_calls": [{**begin, "function": {"name": name, "arguments": ""}}]})
        for half in halves(json.dumps(arguments)):
            yield one({"tool_calls": [{"index": place, "function": {"arguments": half}}]})
    reason = said.reason or ("tool_calls" if said.calls else "stop")
    yield one({}) | {"choices": [{"index": index, "delta": {}, "finish_reason": reason}]}


def token(text: str, *, top: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"token": text, "bytes": list(text.encode()), "logprob": -0.5}
    return {**found, "top_logprobs": [token(text), token("other")]} if top else found


# --- responses ----------------------------------------------------------------------------------


def responses(said: Said) -> list[bytes]:
    """The events of a response."""
    return list(_ResponseEvents(said).events())


class _ResponseEvents:
    def __init__(self, said: Said) -> None:
        self.said = said
        self.number = 0
        self.output: list[dict[str, Any]] = []

    def event(self, kind: type[Any], name: str, **data: Any) -> bytes:
        found = {"type": name, "sequence_number": self.number, **data}
        self.number += 1
        kind.model_validate(found)
        return named(name, found)

    def response(self, status: str, **more: Any) -> dict[str, Any]:
        found = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1.0,
            "model": "m",
            "output": self.output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "status": status,
            **more,
        }
        Response.model_validate(found)
        return found

    def events(self) -> Iterator[bytes]:
        begun = self.response("in_progress")
        yield self.event(ResponseCreatedEvent, "response.created", response=begun)
        if self.said.thoughts:
            yield from self.thinking()
        if self.said.pieces:
            yield from self.speaking()
        for call in self.said.calls:
            yield from self.calling(*call)
        yield self.ending()

    def item(self, item: dict[str, Any], inner: Iterator[bytes], whole: dict[str, Any]):
        place = len(self.output)
        added = "response.output_item.added"
        yield self.event(ResponseOutputItemAddedEvent, added, item=item, output_index=place)
        yield from inner
        done = "response.output_item.done"
        yield self.event(ResponseOutputItemDoneEvent, done, item=whole, output_index=place)
        self.output.append(whole)

    def thinking(self) -> Iterator[bytes]:
        place = len(self.output)

        def inner() -> Iterator[bytes]:
            for number, thought in enumerate(self.said.thoughts):
                yield self.event(
                    ResponseReasoningSummaryTextDeltaEvent,
                    "response.reasoning_summary_text.delta",
                    delta=thought,
                    item_id="rs_1",
                    output_index=place,
                    summary_index=number,
                )

        empty = {"type": "reasoning", "id": "rs_1", "summary": []}
        summary = [{"type": "summary_text", "text": text} for text in self.said.thoughts]
        whole = {**empty, "summary": summary, "encrypted_content": SIGNATURE}
        yield from self.item(empty, inner(), whole)

    def speaking(self) -> Iterator[bytes]:
        place = len(self.output)

        where = {"item_id": "msg_1", "output_index": place, "content_index": 0}

        def inner() -> Iterator[bytes]:
            blank = {"type": "output_text", "text": "", "annotations": []}
            begun = "response.content_part.added"
            yield self.event(ResponseContentPartAddedEvent, begun, part=blank, **where)
            for piece in self.said.pieces:
                yield self.event(
                    ResponseTextDeltaEvent,
                    "response.output_text.delta",
                    delta=piece,
                    logprobs=[token(piece, top=True)] if self.said.logprobs else [],
                    **where,
                )
            done = "response.output_text.done"
            yield self.event(ResponseTextDoneEvent, done, text=words, logprobs=[], **where)
            done = "response.content_part.done"
            yield self.event(ResponseContentPartDoneEvent, done, part=text, **where)

        empty = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
        words = "".join(self.said.pieces)
        text = {"type": "output_text", "text": words, "annotations": []}
        whole = {**empty, "status": "completed", "content": [text]}
        yield from self.item({**empty, "status": "in_progress"}, inner(), whole)

    def calling(self, given: str, name: str, arguments: dict[str, Any]) -> Iterator[bytes]:
        place, text = len(self.output), json.dumps(arguments)

        def inner() -> Iterator[bytes]:
            for half in halves(text):
                yield self.event(
                    ResponseFunctionCallArgumentsDeltaEvent,
                    "response.function_call_arguments.delta",
                    delta=half,
                    item_id="fc_1",
                    output_index=place,
                )

        empty = {"type": "function_call", "id": "fc_1", "call_id": given, "name": name}
        yield from self.item({**empty, "arguments": ""}, inner(), {**empty, "arguments": text})

    def ending(self) -> bytes:
        said = self.said
        usage = {
            "input_tokens": said.prompt,
            "input_tokens_details": {
                "cached_tokens": said.cached,
                "cache_write_tokens": said.written,
            },
            "output_tokens": said.used,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.prompt + said.used,
        }
        if said.reason is None:
            whole = self.response("completed", usage=usage)
            return self.event(ResponseCompletedEvent, "response.completed", response=whole)
        why = {"reason": said.reason}
        cut = self.response("incomplete", usage=usage, incomplete_details=why)
        return self.event(ResponseIncompleteEvent, "response.incomplete", response=cut)


# --- Anthropic's messages -----------------------------------------------------------------------


def anthropic(said: Said) -> list[bytes]:
    """The events of a message."""
    return list(_anthropic_events(said))


def _anthropic_event(kind: type[Any], name: str, **data: Any) -> bytes:
    found = {"type": name, **data}
    kind.model_validate(found)
    return named(name, found)


def _block(index: int, block: dict[str, Any], deltas: list[dict[str, Any]]) -> Iterator[bytes]:
    start, delta, stop = "content_block_start", "content_block_delta", "content_block_stop"
    yield _anthropic_event(RawContentBlockStartEvent, start, index=index, content_block=block)
    for each in deltas:
        yield _anthropic_event(RawContentBlockDeltaEvent, delta, index=index, delta=each)
    yield _anthropic_event(RawContentBlockStopEvent, stop, index=index)


def _anthropic_events(said: Said) -> Iterator[bytes]:
    fresh = said.prompt - said.cached - said.written
    usage = {
        "input_tokens": fresh,
        "cache_read_input_tokens": said.cached,
        "cache_creation_input_tokens": said.written,
        "output_tokens": 1,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    Message.model_validate(message)
    yield _anthropic_event(RawMessageStartEvent, "message_start", message=message)
    yield named("ping", {"type": "ping"})
    index = 0
    if said.thoughts:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": thought} for thought in said.thoughts]
        deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        yield from _block(index, block, deltas)
        index += 1
    if said.pieces:
        deltas = [{"type": "text_delta", "text": piece} for piece in said.pieces]
        yield from _block(index, {"type": "text", "text": ""}, deltas)
        index += 1
    for given, name, arguments in said.calls:
        block = {"type": "tool_use", "id": given, "name": name, "input": {}}
        texts = halves(json.dumps(arguments)) if arguments else ()
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in texts]
        yield from _block(index, block, deltas)
        index += 1
    reason = said.reason or ("tool_use" if said.calls else "end_turn")
    delta = {"stop_reason": reason, "stop_sequence": None}
    counts = {"output_tokens": said.used}
    yield _anthropic_event(RawMessageDeltaEvent, "message_delta", delta=delta, usage=counts)
    yield _anthropic_event(RawMessageStopEvent, "message_stop")


# --- Gemini -------------------------------------------------------------------------------------


def gemini(*choices: Said) -> list[bytes]:
    """The chunks of generated content, its candidates taking turns."""
    turns = [list(_gemini_parts(said)) for said in choices]
    longest = max(len(each) for each in turns)
    chunks = []
    for turn in range(longest):
        for index, (said, each) in enumerate(zip(choices, turns, strict=True)):
            if turn < len(each):
                last = turn == len(each) - 1
                chunks.append(_candidate(said, index, each[turn], last=last))
    first = choices[0]
    used = sum(said.used for said in choices)
    chunks[-1]["usageMetadata"] = {
        "promptTokenCount": first.prompt,
        "cachedContentTokenCount": first.cached,
        "candidatesTokenCount": used - 2,
        "thoughtsTokenCount": 2,
        "totalTokenCount": first.prompt + used,
    }
    return [_gemini_event(chunk) for chunk in chunks]


def _gemini_event(chunk: dict[str, Any]) -> bytes:
    GenerateContentResponse.model_validate(chunk)
    return unnamed(chunk)


def _candidate(said: Said, index: int, part: dict[str, Any], *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}}
    if index:
        candidate["index"] = index
    if said.logprobs and "text" in part:
        rivals = [{"token": part["text"], "logProbability": -0.5, "tokenId": 7},
                  {"token": "other", "logProbability": -0.5, "tokenId": 8}]  # fmt: skip
        candidate["logprobsResult"] = {
            "chosenCandidates": rivals[:1],
            "topCandidates": [{"candidates": rivals}],
        }
    if last:
        candidate["finishReason"] = said.reason or "STOP"
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}


def _gemini_parts(said: Said) -> Iterator[dict[str, Any]]:
    for thought in said.thoughts:
        yield {"text": thought, "thought": True}
    for piece in said.pieces:
        yield {"text": piece}
    for place, (given, name, arguments) in enumerate(said.calls):
        call = {"functionCall": {"id": given, "name": name, "args": arguments}}
        yield {**call, "thoughtSignature": SIGNATURE} if place == 0 else call
    if not (said.thoughts or said.pieces or said.calls):
        yield {"text": ""}


SPEAK = {"chat": chat, "responses": responses, "anthropic": anthropic, "gemini": gemini}
