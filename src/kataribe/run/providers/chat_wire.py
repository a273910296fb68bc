"""OpenAI's chat completions: a request to their body, and their chunks to events.

The shapes are those of https://platform.openai.com/docs/api-reference/chat; a host's `Manner` says
what it has beyond them or lacks. Thoughts go in and come out as `reasoning_content` (vLLM's newer
name is `reasoning`), where the host has that; OpenAI itself shows none here.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kataribe.base.errors import ProviderError
from kataribe.base.events import Citation, Event, FinishReason, TokenLogprob, Usage
from kataribe.base.lm import (
    ChoiceFormat,
    GrammarFormat,
    JsonFormat,
    RegexFormat,
    Request,
    ToolChoice,
    ToolSpec,
)
from kataribe.base.messages import (
    AudioPart,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.run.providers.gathering import Gathering, shared_usage
from kataribe.run.providers.progress import progress_in
from kataribe.run.providers.sse import ServerEvent
from kataribe.run.providers.wires import (
    Asked,
    Letter,
    Wire,
    broke_off,
    fields,
    is_enforceable,
    offered_tools,
    parsed,
    refuse_part,
    said_error,
    schema_of,
)

CARRIES = fields(
    "temperature top_p presence_penalty frequency_penalty logit_bias max_tokens stop seed n "
    "logprobs tools tool_choice parallel_tool_calls json_object json_schema images audio"
)
"""What OpenAI's own API has a place for; `reasoning` below is thoughts that go back in."""

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_EXACT: frozenset[FinishReason] = frozenset(
    {
        "approval",
        "repetition",
        "deadline",
        "budget",
        "cancelled",
        "stop",
        "length",
        "tool_calls",
        "content_filter",
    }
)
"""Reasons that another Kataribe tells exactly."""


def write(asked: Asked) -> Letter:
    """The body for a request, of which `check_carried` has looked at every field."""
    request = asked.request
    messages = request.prompt
    assert not isinstance(messages, str)
    body: dict[str, Any] = {
        "model": asked.model,
        "messages": [
            turn
            for place, message in enumerate(messages)
            if isinstance(message, Message)
            for turn in _turns(asked, place, message)
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(asked),
        **_form(request),
    }
    if request.tools:
        body |= _tools(asked)
    if request.continue_last:
        body["continue_final_message"] = True
        if "add_generation_prompt" in asked.manner.adds:  # vLLM wants both said
            body["add_generation_prompt"] = False
    return Letter("/chat/completions", body, asked.manner.headers)


def headers(key: str | None) -> Mapping[str, str]:
    """The key as a bearer token."""
    return {"authorization": f"Bearer {key}"} if key else {}


def _sampling(asked: Asked) -> dict[str, Any]:
    request, sampling, plain = asked.request, asked.request.sampling, Request(()).sampling
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "presence_penalty",
              "frequency_penalty", "max_tokens", "min_tokens", "ignore_eos")  # fmt: skip
    found: dict[str, Any] = {
        asked.manner.names.get(name, name): getattr(sampling, name)
        for name in names
        if getattr(sampling, name) != getattr(plain, name)
    }
    if sampling.logit_bias:
        found["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    if request.stop:
        found["stop"] = list(request.stop)
    if request.seed is not None:
        found["seed"] = request.seed
    if request.n > 1:
        found["n"] = request.n
    if request.logprobs is not None:
        found |= {"logprobs": True, "top_logprobs": request.logprobs}
    if request.template:
        found["chat_template_kwargs"] = dict(request.template)
    return found


def _form(request: Request) -> dict[str, Any]:
    match request.response_format:
        case JsonFormat(schema) if schema is None:
            return {"response_format": {"type": "json_object"}}
        case JsonFormat(schema, name) if schema is not None:
            definition = {"name": name, "schema": dict(schema), "strict": is_enforceable(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": definition}}
        case RegexFormat(pattern):
            return {"structured_outputs": {"regex": pattern}}
        case ChoiceFormat(choices):
            return {"structured_outputs": {"choice": list(choices)}}
        case GrammarFormat(grammar):
            return {"structured_outputs": {"grammar": grammar}}
        case _:
            return {}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    schema = schema_of(tool)
    function: dict[str, Any] = {"name": tool.name, "parameters": schema}
    if tool.description:
        function["description"] = tool.description
    if tool.strict and is_enforceable(schema):
        function["strict"] = True
    return {"type": "function", "function": function}


def _tools(asked: Asked) -> dict[str, Any]:
    request = asked.request
    tools, choice = request.tools, request.tool_choice
    if choice.mode != "function" and "allowed_tools" not in asked.manner.adds:
        tools, choice = offered_tools(request), dataclasses.replace(choice, names=())
    found: dict[str, Any] = {"tools": [_tool(tool) for tool in tools]}
    if choice != ToolChoice():
        found["tool_choice"] = _choice(choice)
    if not request.parallel_tool_calls:
        found["parallel_tool_calls"] = False
    return found


def _choice(choice: ToolChoice) -> Any:
    named = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if choice.mode == "function":
        return named[0]
    if named and choice.mode != "none":
        allowed = {"mode": choice.mode, "tools": named}
        return {"type": "allowed_tools", "allowed_tools": allowed}
    return choice.mode


def _turns(asked: Asked, place: int, message: Message) -> list[dict[str, Any]]:
    match message.role:
        case "tool":
            return [_result(asked, place, part) for part in message.parts]
        case "assistant":
            return [_said(asked, place, message)]
        case _:
            content = [_content(asked, place, message.role, part) for part in message.parts]
            if all(part["type"] == "text" for part in content):
                return [{"role": message.role, "content": "".join(p["text"] for p in content)}]
            return [{"role": message.role, "content": content}]


def _result(asked: Asked, place: int, part: Any) -> dict[str, Any]:
    if not isinstance(part, ToolResultPart):
        what = f"a {type(part).__name__} of a tool"
        raise refuse_part(asked, place, what, "Give the tool's answer as text.")
    content = said_error(part.content, is_error=part.is_error)
    return {"role": "tool", "tool_call_id": part.call_id, "content": content}


def _said(asked: Asked, place: int, message: Message) -> dict[str, Any]:
    texts, thoughts, calls = [], [], []
    for part in message.parts:
        match part:
            case TextPart(text):
                texts.append(text)
            case ReasoningPart(text):
                thoughts.append(text)
            case ToolCallPart(id, name, arguments):
                function = {"name": name, "arguments": arguments or "{}"}
                calls.append({"id": id, "type": "function", "function": function})
            case _:
                what = f"a {type(part).__name__} of the assistant"
                raise refuse_part(asked, place, what, "Leave it out.")
    turn: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None}
    if not texts and not calls:
        turn["content"] = ""
    if calls:
        turn["tool_calls"] = calls
    if any(thoughts) and "reasoning" in asked.manner.adds:
        turn["reasoning_content"] = "".join(thoughts)
    return turn


def _content(asked: Asked, place: int, role: str, part: Any) -> dict[str, Any]:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart() if role == "user":
            return {"type": "image_url", "image_url": {"url": image_url(part)}}
        case AudioPart(media_type, sound) if role == "user":
            kind = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3",
                    "audio/mp3": "mp3"}.get(media_type)  # fmt: skip
            if kind is None:
                raise refuse_part(asked, place, f"sound of {media_type}", "Send WAV or MP3.")
            data = base64.b64encode(sound).decode("ascii")
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        case _:
            what = f"a {type(part).__name__} of the {role}"
            raise refuse_part(asked, place, what, "Leave it out.")


def image_url(part: ImagePart) -> str | None:
    """The picture's address, or itself as one."""
    if part.data is None:
        return part.url
    return f"data:{part.media_type};base64,{base64.b64encode(part.data).decode('ascii')}"


class ChatReader:
    """Chunks of a chat completion to events; the usage comes last, so the closing events do too."""

    def __init__(self, asked: Asked) -> None:
        self.done = False
        self._name = asked.name
        self._choices = [Gathering(index) for index in range(asked.request.n)]
        self._details = [""] * asked.request.n
        self._exact: dict[int, FinishReason] = {}
        self._usage = Usage(0, 0)

    def read(self, event: ServerEvent) -> Sequence[Event]:
        """What a chunk says."""
        if event.data.strip() == "[DONE]":
            self.done = True
            return ()
        chunk = parsed(event, self._name)
        if event.event.startswith("kataribe."):
            return progress_in(event.event, chunk)
        if chunk.get("usage"):
            self._usage = usage_of(chunk["usage"])
        said: list[Event] = []
        for choice in chunk.get("choices") or ():
            said += self._read_choice(choice)
        return said

    def _read_choice(self, choice: Mapping[str, Any]) -> list[Event]:
        index = choice.get("index") or 0
        gathered = self._choices[index]
        delta = choice.get("delta") or {}
        said: list[Event] = []
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            said += gathered.think(thought)
        logprobs = _logprobs(choice.get("logprobs"))
        if delta.get("content") or logprobs:
            said += gathered.say(delta.get("content") or "", logprobs)
        if delta.get("refusal"):
            said += gathered.say(delta["refusal"])
            self._exact[index] = "content_filter"
        for piece in delta.get("tool_calls") or ():
            said += _call_piece(gathered, piece)
        said += [
            _citation(each, index)
            for each in delta.get("annotations") or ()
            if isinstance(each.get("url_citation"), Mapping)  # files and other kinds have none
        ]
        gathered.reason = choice.get("finish_reason") or gathered.reason
        exact = choice.get("finish_detail")
        if exact and exact["reason"] in _EXACT:
            self._exact[index] = exact["reason"]
            self._details[index] = exact.get("detail") or ""
        return said

    def end(self) -> Sequence[Event]:
        """The closing events of all choices."""
        if any(choice.reason is None for choice in self._choices):
            raise broke_off(self._name)
        closing: list[Event] = []
        for choice, usage in zip(
            self._choices, shared_usage(self._usage, self._choices), strict=True
        ):
            assert choice.reason is not None
            reason, detail = self._reason(choice.index, choice.reason)
            if reason in ("stop", "tool_calls"):
                closing += choice.complete_calls()
            closing.append(choice.finished(usage, reason, detail))
        return closing

    def _reason(self, index: int, word: str) -> tuple[FinishReason, str]:
        if index in self._exact:
            return self._exact[index], self._details[index]
        if word == "error":
            raise ProviderError(f"{self._name} ended its reply with an error and gave no reason.")
        known = _REASONS.get(word)
        return (known, "") if known else ("stop", f"The host's word for the end is {word!r:.40}.")

    def cut(self, reason: FinishReason, detail: str) -> Sequence[Event]:
        """The closing events as things stand."""
        shares = shared_usage(self._usage, self._choices)
        return [
            choice.finished(usage, reason, detail)
            for choice, usage in zip(self._choices, shares, strict=True)
        ]


def _call_piece(gathered: Gathering, piece: Mapping[str, Any]) -> list[Event]:
    function = piece.get("function") or {}
    key = piece.get("index")
    if key is None:  # some servers number no calls and send each of them whole
        key = gathered.calls
    given, name = piece.get("id"), function.get("name")
    said: list[Event] = []
    if given and gathered.has_call(key) and gathered.id_of(key) != given:
        # Some servers send all calls under one number; others a new id with every piece of one.
        known = gathered.key_of(given)
        if known is not None:
            key = known
        elif name:
            said += gathered.call(key, given, name)
    if not gathered.has_call(key):
        said += gathered.call(key, given, name)
    return said + gathered.arguments(key, function.get("arguments") or "")


def _citation(annotation: Mapping[str, Any], index: int) -> Citation:
    cited = annotation["url_citation"]
    url, title = cited["url"], cited.get("title") or ""
    start, end = cited["start_index"], cited["end_index"]
    return Citation(url, start, end, "" if title == url else title, index)


def usage_of(found: Mapping[str, Any]) -> Usage:
    """OpenAI's usage: cached tokens are among the prompt's, thoughts among the reply's."""
    details = found.get("prompt_tokens_details") or {}
    return Usage(
        int(found["prompt_tokens"]),
        int(found.get("completion_tokens") or 0),
        int(details.get("cached_tokens") or 0),
        int(details.get("cache_write_tokens") or 0),
    )


def _logprobs(found: Mapping[str, Any] | None) -> tuple[TokenLogprob, ...]:
    if not found:
        return ()
    return tuple(token_logprob(token) for token in found.get("content") or ())


def token_logprob(token: Mapping[str, Any]) -> TokenLogprob:
    """A token with its likeliest rivals; hosts tell no ids, for which -1 stands."""
    text = token.get("token") or ""
    raw = token.get("bytes")
    return TokenLogprob(
        -1,
        text,
        text.encode("utf-8", "replace") if raw is None else bytes(raw),
        float(token["logprob"]),
        tuple(token_logprob(top) for top in token.get("top_logprobs") or ()),
    )


def wire() -> Wire:
    """The wire, as `hosted` knows it."""
    return Wire(CARRIES, write, ChatReader, headers)
