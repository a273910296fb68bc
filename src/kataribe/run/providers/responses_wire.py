"""OpenAI's responses: a request to their body, and their events to Kataribe's.

The shapes are those of https://platform.openai.com/docs/api-reference/responses. Nothing is kept at
the host (`store` is false), so a thought travels as the reasoning item that the host sealed, and
goes back as that item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kataribe.base.events import Event, FinishReason, Usage
from kataribe.base.lm import JsonFormat, Request, Thinking, ToolChoice, ToolSpec
from kataribe.base.messages import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.run.providers.chat_reading import token_logprob
from kataribe.run.providers.chat_wire import headers, image_url
from kataribe.run.providers.failures import told_failure
from kataribe.run.providers.gathering import Gathering, make_seal, open_seal
from kataribe.run.providers.sse import ServerEvent
from kataribe.run.providers.wires import (
    Asked,
    Letter,
    Wire,
    broke_off,
    fields,
    is_enforceable,
    parsed,
    refuse_part,
    said_error,
    schema_of,
)

CARRIES = fields(
    "temperature top_p max_tokens logprobs tools tool_choice parallel_tool_calls json_object "
    "json_schema images verbosity template.enable_thinking"
)


def write(asked: Asked) -> Letter:
    """The body for a request, of which `check_carried` has looked at every field."""
    request, sampling = asked.request, asked.request.sampling
    assert not isinstance(request.prompt, str)
    items: list[dict[str, Any]] = []
    for place, message in enumerate(request.prompt):
        if isinstance(message, Message):
            items += _items(asked, place, message)
    wanted = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_output_tokens": sampling.max_tokens,
    }
    body: dict[str, Any] = {
        "model": asked.model,
        "input": items,
        "stream": True,
        "store": False,
        **{field: value for field, value in wanted.items() if value is not None},
        **_text(request),
        **_thinking(request),
    }
    if request.logprobs is not None:
        body |= {"include": ["message.output_text.logprobs"], "top_logprobs": request.logprobs}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice != ToolChoice():
            body["tool_choice"] = _choice(request.tool_choice)
        if not request.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    return Letter("/responses", body)


def _text(request: Request) -> dict[str, Any]:
    text = _form(request)
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    return {"text": text} if text else {}


def _form(request: Request) -> dict[str, Any]:
    match request.response_format:
        case JsonFormat(schema) if schema is None:
            return {"format": {"type": "json_object"}}
        case JsonFormat(schema, name) if schema is not None:
            strict = is_enforceable(schema)
            form = {"type": "json_schema", "name": name, "schema": dict(schema), "strict": strict}
            return {"format": form}
        case _:
            return {}


def _thinking(request: Request) -> dict[str, Any]:
    wish = request.thinking or Thinking()
    wanted = request.template.get("enable_thinking", wish.wanted)
    if wanted is None:
        return {"reasoning": {"effort": wish.effort}} if wish.effort else {}
    if not wanted:
        quick = wish.effort if wish.effort in ("none", "minimal") else "none"
        return {"reasoning": {"effort": quick}}
    effort = {"effort": wish.effort} if wish.effort else {}
    return {"reasoning": {"summary": "auto", **effort}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    schema = schema_of(tool)
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": schema,
        "strict": tool.strict and is_enforceable(schema),  # true when it is left out
    }


def _choice(choice: ToolChoice) -> Any:
    named = [{"type": "function", "name": name} for name in choice.names]
    if choice.mode == "function":
        return named[0]
    if named and choice.mode != "none":
        return {"type": "allowed_tools", "mode": choice.mode, "tools": named}
    return choice.mode


def _items(asked: Asked, place: int, message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [_result(asked, place, part) for part in message.parts]
    if message.role == "assistant":
        return [item for part in message.parts for item in _said(asked, place, part)]
    content = [_content(asked, place, message.role, part) for part in message.parts]
    return [{"type": "message", "role": message.role, "content": content}]


def _result(asked: Asked, place: int, part: Part) -> dict[str, Any]:
    if not isinstance(part, ToolResultPart):
        what = f"a {type(part).__name__} of a tool"
        raise refuse_part(asked, place, what, "Give the tool's answer as text.")
    words = said_error(part.content, is_error=part.is_error)
    output: str | list[dict[str, Any]] = words
    if part.images:
        shown = [_content(asked, place, "user", image) for image in part.images]
        output = [*([{"type": "input_text", "text": words}] if words else []), *shown]
    return {"type": "function_call_output", "call_id": part.call_id, "output": output}


def _said(asked: Asked, place: int, part: Part) -> list[dict[str, Any]]:
    match part:
        case TextPart(text):
            return [{"type": "message", "role": "assistant", "content": text}] if text else []
        case ReasoningPart(_, seal):
            item = open_seal(seal, asked.name)
            # A seal may have been through a client's hands, and other items say other things.
            is_thought = isinstance(item, dict) and item.get("type") == "reasoning"
            return [item] if is_thought else []
        case ToolCallPart(id, name, arguments):
            call = {"type": "function_call", "call_id": id, "name": name}
            return [{**call, "arguments": arguments or "{}"}]
        case _:
            what = f"a {type(part).__name__} of the assistant"
            raise refuse_part(asked, place, what, "Leave it out.")


def _content(asked: Asked, place: int, role: str, part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text):
            return {"type": "input_text", "text": text}
        case ImagePart() if role == "user":
            detail = part.detail or "auto"
            return {"type": "input_image", "image_url": image_url(part), "detail": detail}
        case _:
            what = f"a {type(part).__name__} of the {role}"
            raise refuse_part(asked, place, what, "Leave it out.")


class ResponsesReader:
    """Events of one response to Kataribe's; its output items become parts in their order."""

    def __init__(self, asked: Asked) -> None:
        self.done = False
        self._name = asked.name
        self._gathered = Gathering(0)
        self._usage = Usage(0, 0)
        self._closing: tuple[FinishReason, str] | None = None
        self._refused = False
        self._spoken: set[int] = set()  # items of which deltas came
        self._summary: tuple[int, int] | None = None  # item and place of the last summary
        self._readers: Mapping[str, Callable[[dict[str, Any]], list[Event]]] = {
            "response.output_item.added": self._added,
            "response.output_text.delta": self._text,
            "response.refusal.delta": self._refusal,
            "response.reasoning_summary_text.delta": self._thought,
            "response.reasoning_text.delta": self._thought,
            "response.function_call_arguments.delta": self._arguments,
            "response.output_item.done": self._item_done,
            "response.completed": self._ended,
            "response.incomplete": self._ended,
            "response.failed": self._failed,
            "error": self._error,
        }

    def read(self, event: ServerEvent) -> Sequence[Event]:
        """What an event says; events of kinds that say nothing new are passed over."""
        if event.data.strip() == "[DONE]":  # OpenAI sends none here, other servers do
            return ()
        found = parsed(event, self._name)
        read = self._readers.get(found["type"])
        return read(found) if read is not None else ()

    def _added(self, event: dict[str, Any]) -> list[Event]:
        item = event["item"]
        if item["type"] != "function_call":
            return []
        return self._gathered.call(event["output_index"], item.get("call_id"), item.get("name"))

    def _text(self, event: dict[str, Any]) -> list[Event]:
        self._spoken.add(event["output_index"])
        logprobs = tuple(token_logprob(token) for token in event.get("logprobs") or ())
        return self._gathered.say(event["delta"], logprobs)

    def _refusal(self, event: dict[str, Any]) -> list[Event]:
        self._refused = True
        self._spoken.add(event["output_index"])
        return self._gathered.say(event["delta"])

    def _thought(self, event: dict[str, Any]) -> list[Event]:
        item = event["output_index"]
        place = (item, event.get("summary_index", event.get("content_index", 0)))
        before, self._summary = self._summary, place
        self._spoken.add(item)
        said: list[Event] = []
        if before is not None and before[0] == item and before != place:
            said += self._gathered.think("\n\n")  # between two paragraphs of the summary
        return said + self._gathered.think(event["delta"])

    def _arguments(self, event: dict[str, Any]) -> list[Event]:
        return self._gathered.arguments(event["output_index"], event["delta"])

    def _item_done(self, event: dict[str, Any]) -> list[Event]:
        item, place = event["item"], event["output_index"]
        match item["type"]:
            case "reasoning":
                said: list[Event] = []
                if place not in self._spoken:
                    texts = [part["text"] for part in item.get("summary") or ()]
                    said += self._gathered.think("\n\n".join(texts))
                sealed = {key: value for key, value in item.items() if key != "status"}
                return said + self._gathered.seal(make_seal(self._name, sealed))
            case "function_call":
                return self._rest_of_call(item, place)
            case "message" if place not in self._spoken:
                texts = [part.get("text") or part.get("refusal") for part in item["content"]]
                return [event for text in texts for event in self._gathered.say(text or "")]
            case _:
                return []

    def _rest_of_call(self, item: Mapping[str, Any], place: int) -> list[Event]:
        said: list[Event] = []
        if not self._gathered.has_call(place):
            said += self._gathered.call(place, item.get("call_id"), item.get("name"))
        if not self._gathered.arguments_of(place):
            said += self._gathered.arguments(place, item.get("arguments") or "{}")
        return said

    def _ended(self, event: dict[str, Any]) -> list[Event]:
        response = event["response"]
        if response.get("usage"):
            self._usage = usage_of(response["usage"])
        why = (response.get("incomplete_details") or {}).get("reason")
        if event["type"] == "response.completed":
            self._closing = ("content_filter" if self._refused else "stop", "")
        elif why == "content_filter":
            self._closing = ("content_filter", "The host's filter closed the reply.")
        else:
            detail = "" if why == "max_output_tokens" else f"The host's word is {why!r:.40}."
            self._closing = ("length", detail)
        self.done = True
        return []

    def _failed(self, event: dict[str, Any]) -> list[Event]:
        raise told_failure(self._name, {"error": event["response"].get("error") or {}})

    def _error(self, event: dict[str, Any]) -> list[Event]:
        raise told_failure(self._name, event)

    def end(self) -> Sequence[Event]:
        """The closing event."""
        if self._closing is None:
            raise broke_off(self._name)
        return [self._gathered.finished(self._usage, *self._closing)]

    def cut(self, reason: FinishReason, detail: str) -> Sequence[Event]:
        """The closing event as things stand."""
        return [self._gathered.finished(self._usage, reason, detail)]


def usage_of(found: Mapping[str, Any]) -> Usage:
    """The usage of a response: cached tokens are among the prompt's, thoughts among the reply's."""
    details = found.get("input_tokens_details") or {}
    return Usage(
        int(found["input_tokens"]),
        int(found["output_tokens"]),
        int(details.get("cached_tokens") or 0),
        int(details.get("cache_write_tokens") or 0),
    )


def wire() -> Wire:
    """The wire, as `hosted` knows it."""
    return Wire(CARRIES, write, ResponsesReader, headers)
