"""Anthropic's messages: a request to their body, and their events to Kataribe's.

The shapes are those of https://platform.claude.com/docs/en/api/messages. A thought comes with a
signature, without which it may not go back; it travels as the seal of its part.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kataribe.base.errors import InputError
from kataribe.base.events import Event, FinishReason, Usage
from kataribe.base.lm import JsonFormat, Request, Thinking, ToolSpec
from kataribe.base.messages import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.run.providers.gathering import Gathering, make_seal, open_seal
from kataribe.run.providers.sse import ServerEvent
from kataribe.run.providers.wires import (
    Asked,
    Letter,
    Wire,
    arguments_object,
    broke_off,
    fields,
    is_enforceable,
    offered_tools,
    parsed,
    refuse_part,
    schema_of,
    split_system,
)

VERSION = "2026-10-21"
VERSION_WITH_SAMPLING = "2023-06-01"
"""The API's version before, which has temperature, top_k and top_p; they are all that is sent
differently. The newest models refuse them there, and say so."""

MOST_TOKENS = 32_000
"""Of a reply when the request names no limit: the API wants one, and all models since Claude 4
take this much. A reply that is cut by it says so."""

_MOST_OF_OLDER = (("claude-3-7", 64_000), ("claude-3-5", 8_192), ("claude-3", 4_096))

CARRIES = fields(
    "temperature top_k top_p max_tokens stop tools tool_choice parallel_tool_calls json_schema "
    "images continue_last template.enable_thinking"
)

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")

_REASONS: Mapping[str, tuple[FinishReason, str]] = {
    "end_turn": ("stop", ""),
    "stop_sequence": ("stop", ""),
    "max_tokens": ("length", ""),
    "model_context_window_exceeded": ("length", "The model's context is full."),
    "tool_use": ("tool_calls", ""),
    "refusal": ("content_filter", "The host's filter closed the reply."),
}


def write(asked: Asked) -> Letter:
    """The body for a request, of which `check_carried` has looked at every field."""
    request, sampling = asked.request, asked.request.sampling
    messages = [part for part in request.prompt if isinstance(part, Message)]
    first, rest = split_system(messages)
    system = [
        block
        for place, message in enumerate(first)
        for part in message.parts
        for block in _blocks(asked, place, message, part)
    ]
    wanted = {
        "system": system or None,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k or None,  # 0 is for all tokens, which is what its absence means
        "top_p": sampling.top_p,
        "stop_sequences": list(request.stop) or None,
    }
    body: dict[str, Any] = {
        "model": asked.model,
        "max_tokens": sampling.max_tokens or most_tokens(asked.model),
        "messages": _turns(asked, rest),
        "stream": True,
        **{field: value for field, value in wanted.items() if value is not None},
        **_thinking(request),
    }
    output = _output(request)
    if output:
        body["output_config"] = output
    if request.tools:
        body["tools"] = [_tool(tool) for tool in offered_tools(request)]
        body["tool_choice"] = _choice(request)
    sampled = any(field in body for field in ("temperature", "top_k", "top_p"))
    version = VERSION_WITH_SAMPLING if sampled else VERSION
    return Letter("/messages", body, {"anthropic-version": version})


def most_tokens(model: str) -> int:
    """The limit of a reply where the request has none."""
    return next((most for head, most in _MOST_OF_OLDER if model.startswith(head)), MOST_TOKENS)


def headers(key: str | None) -> Mapping[str, str]:
    """The key as a bearer token, as Anthropic's own client sends it."""
    return {"authorization": f"Bearer {key}"} if key else {}


def _thinking(request: Request) -> dict[str, Any]:
    wish = request.thinking or Thinking()
    wanted = request.template.get("enable_thinking", wish.wanted)
    if wanted is None:
        return {}
    if not wanted:
        return {"thinking": {"type": "disabled"}}
    if wish.tokens is not None:
        budget = {"type": "enabled", "budget_tokens": wish.tokens}
        return {"thinking": {**budget, "display": "summarized"}}
    return {"thinking": {"type": "adaptive", "display": "summarized"}}


def _output(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(request.response_format, JsonFormat):
        schema = dict(request.response_format.schema or {})
        found["format"] = {"type": "json_schema", "schema": schema}
    wish = request.thinking
    if wish is not None and wish.effort not in ("", "none", "minimal"):  # no words of this host's
        found["effort"] = wish.effort
    return found


def _tool(tool: ToolSpec) -> dict[str, Any]:
    schema = schema_of(tool)
    found: dict[str, Any] = {"name": tool.name, "input_schema": schema}
    if tool.description:
        found["description"] = tool.description
    if tool.strict and is_enforceable(schema):
        found["strict"] = True
    return found


def _choice(request: Request) -> dict[str, Any]:
    choice = request.tool_choice
    if choice.mode == "none":
        return {"type": "none"}
    one = {} if request.parallel_tool_calls else {"disable_parallel_tool_use": True}
    if choice.mode == "function":
        return {"type": "tool", "name": choice.names[0], **one}
    return {"type": "any" if choice.mode == "required" else "auto", **one}


def _turns(asked: Asked, messages: Sequence[tuple[int, Message]]) -> list[dict[str, Any]]:
    """The turns; the results of tools and what the user says beside them are one turn."""
    turns: list[dict[str, Any]] = []
    for place, message in messages:
        role = "user" if message.role == "tool" else message.role
        blocks = [block for part in message.parts for block in _blocks(asked, place, message, part)]
        if not blocks:
            raise InputError(
                f"messages[{place}] has nothing that {asked.name} can be sent: no words, picture "
                "or call of a tool. Leave the message out.",
                param=f"messages[{place}].content",
            )
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(asked: Asked, place: int, message: Message, part: Part) -> list[dict[str, Any]]:
    match message.role, part:
        case "user" | "assistant" | "system", TextPart(text):
            return [_text(text)] if text.strip() else []  # the host refuses white space alone
        case "user", ImagePart():
            return [_image(asked, place, part)]
        case "assistant", ReasoningPart(text, seal):
            return _thought(text, open_seal(seal, asked.name))
        case "assistant", ToolCallPart(id, name, arguments):
            call = {"type": "tool_use", "id": id, "name": name}
            return [{**call, "input": arguments_object(arguments)}]
        case "tool", ToolResultPart(call_id, content, is_error, images):
            result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id}
            if images:
                shown = [_image(asked, place, image) for image in images]
                result["content"] = [*([_text(content)] if content.strip() else []), *shown]
            elif content:
                result["content"] = content
            return [{**result, "is_error": True} if is_error else result]
        case _:
            what = f"a {type(part).__name__} of the {message.role}"
            raise refuse_part(asked, place, what, "Leave it out.")


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(asked: Asked, place: int, part: ImagePart) -> dict[str, Any]:
    if part.data is None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    if part.media_type not in _IMAGES:
        what = f"a picture of {part.media_type}"
        raise refuse_part(asked, place, what, "Send JPEG, PNG, GIF or WebP.")
    data = base64.b64encode(part.data).decode("ascii")
    source = {"type": "base64", "media_type": part.media_type, "data": data}
    return {"type": "image", "source": source}


def _thought(text: str, sealed: Any) -> list[dict[str, Any]]:
    # A seal may have been through a client's hands.
    if not isinstance(sealed, dict):
        return []
    if isinstance(sealed.get("redacted"), str):
        return [{"type": "redacted_thinking", "data": sealed["redacted"]}]
    if isinstance(sealed.get("signature"), str):
        return [{"type": "thinking", "thinking": text, "signature": sealed["signature"]}]
    return []


class AnthropicReader:
    """Events of one message to Kataribe's; its blocks become parts in their order."""

    def __init__(self, asked: Asked) -> None:
        self.done = False
        self._name = asked.name
        self._gathered = Gathering(0)
        self._counts: dict[str, int] = {}
        self._closing: tuple[FinishReason, str] | None = None
        self._signatures: dict[int, str] = {}
        self._readers: Mapping[str, Callable[[dict[str, Any]], list[Event]]] = {
            "message_start": self._start,
            "content_block_start": self._block,
            "content_block_delta": self._delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message,
            "message_stop": self._stop,
        }

    def read(self, event: ServerEvent) -> Sequence[Event]:
        """What an event says; pings and kinds that are yet unknown say nothing."""
        found = parsed(event, self._name)
        read = self._readers.get(found["type"])
        return read(found) if read is not None else ()

    def _start(self, event: dict[str, Any]) -> list[Event]:
        self._count(event["message"].get("usage") or {})
        return []

    def _count(self, usage: Mapping[str, Any]) -> None:
        # Later counts are the sums so far, and name only what they know.
        for field, count in usage.items():
            if isinstance(count, int) and field.endswith("tokens"):
                self._counts[field] = count

    def _block(self, event: dict[str, Any]) -> list[Event]:
        block, key = event["content_block"], event["index"]
        match block["type"]:
            case "text":
                return self._gathered.say(block.get("text") or "")
            case "thinking":
                self._signatures[key] = block.get("signature") or ""
                return self._gathered.think(block.get("thinking") or "")
            case "redacted_thinking":
                return self._gathered.mark(make_seal(self._name, {"redacted": block["data"]}))
            case "tool_use":
                said = self._gathered.call(key, block["id"], block["name"])
                if block.get("input"):
                    whole = json.dumps(block["input"], ensure_ascii=False)
                    said += self._gathered.arguments(key, whole)
                return said
            case _:
                return []

    def _delta(self, event: dict[str, Any]) -> list[Event]:
        delta, key = event["delta"], event["index"]
        match delta["type"]:
            case "text_delta":
                return self._gathered.say(delta["text"])
            case "thinking_delta":
                return self._gathered.think(delta["thinking"])
            case "signature_delta":
                self._signatures[key] = self._signatures.get(key, "") + delta["signature"]
                return []
            case "input_json_delta":
                return self._gathered.arguments(key, delta["partial_json"])
            case _:
                return []

    def _block_stop(self, event: dict[str, Any]) -> list[Event]:
        key = event["index"]
        signature = self._signatures.pop(key, "")
        if signature:
            return self._gathered.seal(make_seal(self._name, {"signature": signature}))
        if self._gathered.has_call(key) and not self._gathered.arguments_of(key):
            return self._gathered.arguments(key, "{}")  # a tool without arguments sends no pieces
        return []

    def _message(self, event: dict[str, Any]) -> list[Event]:
        self._count(event.get("usage") or {})
        delta = event["delta"]
        word = delta.get("stop_reason")
        if word:
            strange: tuple[FinishReason, str] = ("stop", f"The host's word is {word!r:.40}.")
            reason, detail = _REASONS.get(word, strange)
            why = (delta.get("stop_details") or {}).get("explanation")
            self._closing = (reason, str(why) if why else detail)
        return []

    def _stop(self, event: dict[str, Any]) -> list[Event]:
        del event  # it says nothing more than its name
        self.done = True
        return []

    def end(self) -> Sequence[Event]:
        """The closing event."""
        if self._closing is None or not self.done:
            raise broke_off(self._name)
        return [self._gathered.finished(self._usage(), *self._closing)]

    def cut(self, reason: FinishReason, detail: str) -> Sequence[Event]:
        """The closing event as things stand."""
        return [self._gathered.finished(self._usage(), reason, detail)]

    def _usage(self) -> Usage:
        """The counts; Anthropic's input tokens are those that no cache has to do with."""
        fresh, written, read, said = (
            self._counts.get(field, 0)
            for field in (
                "input_tokens",
                "cache_creation_input_tokens",
                "cache_read_input_tokens",
                "output_tokens",
            )
        )
        return Usage(fresh + written + read, said, read, written)


def wire() -> Wire:
    """The wire, as `hosted` knows it."""
    return Wire(CARRIES, write, AnthropicReader, headers)
