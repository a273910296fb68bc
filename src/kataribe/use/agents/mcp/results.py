"""What an MCP server answered, in words for a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock


def told(result: CallToolResult) -> str:
    """The answer: its texts, what else there is by name and size, structured values as JSON.

    A server that gives a value also gives it as text, so it is told once.
    """
    text = "\n".join(part for part in map(_part, result.content) if part)
    value = result.structured_content
    if value is None or _says(text, value):
        return text or "done"
    written = json.dumps(value, ensure_ascii=False)
    return f"{text}\n{written}" if text else written


def _part(block: ContentBlock) -> str:
    if block.type == "text":
        return block.text
    if block.type == "image" or block.type == "audio":
        return f"[{block.type}, {block.mime_type}, {_size(block.data)}; it cannot be shown here]"
    if block.type == "resource_link":
        about = f": {block.description}" if block.description else ""
        return f"[resource {block.name} at {block.uri}{about}]"
    held = block.resource
    words = getattr(held, "text", None)
    if isinstance(words, str):
        return f"[resource {held.uri}]\n{words}"
    size = _size(getattr(held, "blob", ""))
    return f"[resource {held.uri}, {held.mime_type or 'binary'}, {size}; it cannot be shown here]"


def _size(encoded: str) -> str:
    padding = len(encoded) - len(encoded.rstrip("="))
    return f"{len(encoded) * 3 // 4 - padding:,} bytes"


def _says(text: str, value: Any) -> bool:
    """Whether the text is the value, also as some servers wrap one: `{"result": value}`."""
    inner = value["result"] if isinstance(value, dict) and set(value) == {"result"} else value
    if text and inner is not value and not isinstance(inner, dict):
        return True
    try:
        return bool(json.loads(text) in (value, inner))
    except (ValueError, RecursionError):
        return False
