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
from kataribe.run.providers.chat_reading import ChatReader
from kataribe.run.providers.gathering import (
    open_seal,
)
from kataribe.run.providers.wires import (
    Asked,
    Letter,
    Wire,
    fields,
    is_enforceable,
    offered_tools,
    refuse_part,
    said_error,
    schema_of,
)

CARRIES = fields(
    "temperature top_p presence_penalty frequency_penalty logit_bias max_tokens stop seed n "
    "logprobs tools tool_choice parallel_tool_calls json_object json_schema images audio"
)
"""What OpenAI's own API has a place for; `reasoning` below is thoughts that go back in."""


def write(asked: Asked) -> Letter:
    """The body for a request, of which `check_carried` has looked at every field."""
    request = asked.request
    messages = request.prompt
    assert not isinstance(messages, str)
    body: dict[str, Any] = {
        "model": asked.model,
        "messages": _all_turns(asked, messages),
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
    if request.verbosity is not None:
        found["verbosity"] = request.verbosity
    if request.logprobs is not None:
        found |= {"logprobs": True, "top_logprobs": request.logprobs}
    return found | _thinking(asked)


def _thinking(asked: Asked) -> dict[str, Any]:
    """The template's variables, and the wish to think where the host is known to take one."""
    request, adds = asked.request, asked.manner.adds
    template, wish = dict(request.template), request.thinking
    found: dict[str, Any] = {}
    if wish is not None and "reasoning_effort" in adds:
        quick = wish.effort if wish.effort in ("none", "minimal") else "none"
        slow = wish.effort or ("medium" if wish.wanted else "")
        effort = quick if wish.wanted is False else slow
        found = {"reasoning_effort": effort} if effort else {}
    elif wish is not None and wish.wanted is not None and "template" in adds:
        template = {"enable_thinking": wish.wanted, **template}
    return found | ({"chat_template_kwargs": template} if template else {})


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


def _all_turns(asked: Asked, messages: Sequence[Message | int]) -> list[dict[str, Any]]:
    """The turns; pictures that tools show come after all answers, where they have a place."""
    turns: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for place, message in enumerate(messages):
        if not isinstance(message, Message):
            continue
        if message.role != "tool" and shown:
            turns.append({"role": "user", "content": shown})
            shown = []
        turns += _turns(asked, place, message)
        for part in message.parts:
            if isinstance(part, ToolResultPart) and part.images:
                shown.append({"type": "text", "text": f"Shown by the tool ({part.call_id}):"})
                shown += [_content(asked, place, "user", image) for image in part.images]
    return [*turns, {"role": "user", "content": shown}] if shown else turns


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
            case ReasoningPart(text, _):
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
    if "reasoning_details" in asked.manner.adds and (details := _details(asked, message)):
        turn["reasoning_details"] = details
    return turn


def _details(asked: Asked, message: Message) -> list[dict[str, Any]]:
    """What another Kataribe gave along with thoughts and calls, as it gave it.

    Calls may have got other ids since; what stands before one names it by the id that it has now.
    """
    found: list[dict[str, Any]] = []
    before: dict[str, Any] | None = None  # belongs to what comes next
    for part in message.parts:
        if isinstance(part, ReasoningPart):
            detail = open_seal(part.seal, asked.name)
            if isinstance(detail, dict):
                found.append({**detail, "index": len(found)})
                before = found[-1] if detail.get("type") == "reasoning.encrypted" else None
            continue
        if before is not None:
            before.pop("id", None)
            before |= {"id": part.id} if isinstance(part, ToolCallPart) else {}
        before = None
    return found


def _content(asked: Asked, place: int, role: str, part: Any) -> dict[str, Any]:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart() if role == "user":
            detail = {"detail": part.detail} if part.detail else {}
            return {"type": "image_url", "image_url": {"url": image_url(part), **detail}}
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


def wire() -> Wire:
    """The wire, as `hosted` knows it."""
    return Wire(CARRIES, write, ChatReader, headers)
