"""Whether a body is what the official packages' own types say it must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from anthropic.types import (
    MessageParam,
    OutputConfigParam,
    TextBlockParam,
    ThinkingConfigParam,
    ToolChoiceParam,
    ToolParam,
)
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from google.genai import types as gemini
from openai.types.chat import (
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
    ChatCompletionToolChoiceOptionParam,
)
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses import FunctionToolParam, ResponseInputItemParam
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming, ToolChoice
from pydantic import TypeAdapter

# Of the API's version before, which the newest package has no types for.
OF_THE_OLDER_VERSION = {"temperature", "top_k", "top_p"}


def check_body(wire: str, body: Mapping[str, Any]) -> None:
    """Fails where the body has an unknown field or one of another type."""
    CHECKS[wire](body)


def _check(kind: Any, value: Any) -> None:
    adapter = TypeAdapter(kind)  # has to live as long as what it validates lazily is read
    _exhaust(adapter.validate_python(value))


def _exhaust(value: Any) -> None:
    """Reads what was validated to its end: pydantic validates iterables while they are read."""
    if isinstance(value, Mapping):
        for each in value.values():
            _exhaust(each)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for each in value:
            _exhaust(each)


def _fields(kind: Any, body: Mapping[str, Any], besides: Iterable[str] = ()) -> None:
    known = set().union(*(set(base.__annotations__) for base in (kind, *kind.__orig_bases__)
                          if hasattr(base, "__annotations__")))  # fmt: skip
    strange = set(body) - known - set(besides)
    assert not strange, f"{kind.__name__} has no {strange}"


def _chat(body: Mapping[str, Any]) -> None:
    _fields(CompletionCreateParamsStreaming, body)
    for message in body["messages"]:
        _check(ChatCompletionMessageParam, message)
    for tool in body.get("tools", ()):
        _check(ChatCompletionFunctionToolParam, tool)
    if "tool_choice" in body:
        _check(ChatCompletionToolChoiceOptionParam, body["tool_choice"])


def _responses(body: Mapping[str, Any]) -> None:
    _fields(ResponseCreateParamsStreaming, body)
    for item in body["input"]:
        _check(ResponseInputItemParam, item)
    for tool in body.get("tools", ()):
        _check(FunctionToolParam, tool)
    if "tool_choice" in body:
        _check(ToolChoice, body["tool_choice"])


def _anthropic(body: Mapping[str, Any]) -> None:
    _fields(MessageCreateParamsStreaming, body, OF_THE_OLDER_VERSION)
    for message in body["messages"]:
        _check(MessageParam, message)
    for block in body.get("system", ()):
        _check(TextBlockParam, block)
    for tool in body.get("tools", ()):
        _check(ToolParam, tool)
    for field, kind in (
        ("tool_choice", ToolChoiceParam),
        ("thinking", ThinkingConfigParam),
        ("output_config", OutputConfigParam),
    ):
        if field in body:
            _check(kind, body[field])


def _gemini(body: Mapping[str, Any]) -> None:
    # This package's types refuse unknown fields themselves.
    known = {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
    assert set(body) <= known
    for content in body["contents"]:
        gemini.Content.model_validate(content)
    for tool in body.get("tools", ()):
        gemini.Tool.model_validate(tool)
    for field, kind in (
        ("systemInstruction", gemini.Content),
        ("generationConfig", gemini.GenerationConfig),
        ("toolConfig", gemini.ToolConfig),
    ):
        if field in body:
            kind.model_validate(body[field])


CHECKS = {"chat": _chat, "responses": _responses, "anthropic": _anthropic, "gemini": _gemini}
