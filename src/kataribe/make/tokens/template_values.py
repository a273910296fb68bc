"""Messages and tools in the shape that chat templates expect.

The shape is that of `transformers`: OpenAI's, with a tool call's arguments as an object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.lm import ToolSpec
from kataribe.base.messages import (
    AudioPart,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)


def message_values(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """One dictionary for each message, and for each of several tool results in one."""
    names: dict[str, str] = {}
    values: list[dict[str, Any]] = []
    for message in messages:
        calls = [part for part in message.parts if isinstance(part, ToolCallPart)]
        names.update({call.id: call.name for call in calls})
        results = [part for part in message.parts if isinstance(part, ToolResultPart)]
        if results:
            values.extend(_result_value(result, names) for result in results)
            if len(results) == len(message.parts):
                continue
        values.append(_message_value(message, calls))
    return values


def tool_values(tools: Sequence[ToolSpec]) -> list[dict[str, Any]] | None:
    """The tools in OpenAI's shape; None for none, which templates ask for."""
    return [_tool_value(tool) for tool in tools] or None


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of a JSON value in which every string, keys included, went through `change`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(str(key)): map_strings(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_strings(item, change) for item in value]
    return value


def _message_value(message: Message, calls: Sequence[ToolCallPart]) -> dict[str, Any]:
    for part in message.parts:
        if isinstance(part, ImagePart | AudioPart):
            kind = "images" if isinstance(part, ImagePart) else "audio"
            raise UnsupportedError(
                f"This model reads text only, and a {message.role} message brings {kind}. "
                "Leave them out or choose a model that reads them.",
                param="messages",
            )
    content = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    value: dict[str, Any] = {"role": message.role, "content": content}
    thoughts = [part.text for part in message.parts if isinstance(part, ReasoningPart)]
    if thoughts:
        value["reasoning_content"] = value["thinking"] = "".join(thoughts)
    if calls:
        value["tool_calls"] = [_call_value(call) for call in calls]
    return value


def _call_value(call: ToolCallPart) -> dict[str, Any]:
    arguments: Any = call.arguments
    try:
        parsed = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        parsed = None  # what the model wrote is no JSON: the template gets it as it stands
    if isinstance(parsed, dict):
        arguments = parsed
    function = {"name": call.name, "arguments": arguments}
    return {"type": "function", "id": call.id, "function": function}


def _result_value(result: ToolResultPart, names: Mapping[str, str]) -> dict[str, Any]:
    value: dict[str, Any] = {
        "role": "tool",
        "content": result.content,
        "tool_call_id": result.call_id,
    }
    if result.call_id in names:
        value["name"] = names[result.call_id]
    if result.is_error:
        value["is_error"] = True
    return value


def _tool_value(tool: ToolSpec) -> dict[str, Any]:
    if not tool.name:
        raise InputError("A tool has no name.", param="tools")
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}
