"""How many tokens messages are, where nobody has the model's tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence

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

BYTES_PER_TOKEN = 3
"""About: English has 4 and more, code and numbers fewer, a Japanese character is 3 bytes."""
PER_MESSAGE = 4
"""Marks of the chat template around a message."""
PER_PICTURE = 1000
"""About what hosts count for a picture of usual size, or half a minute of sound."""


def rough_count(messages: Sequence[Message]) -> int:
    """Tokens of messages, by their bytes."""
    total = 0
    for message in messages:
        total += PER_MESSAGE
        for part in message.parts:
            match part:
                case TextPart() | ReasoningPart():
                    total += rough_text(part.text)
                case ToolCallPart():
                    total += PER_MESSAGE + rough_text(part.name + part.arguments)
                case ToolResultPart():
                    total += PER_MESSAGE + rough_text(part.content)
                    total += PER_PICTURE * len(part.images)
                case ImagePart() | AudioPart():
                    total += PER_PICTURE
    return total


def rough_tools(tools: Sequence[ToolSpec]) -> int:
    """Tokens of tools as templates show them to a model."""
    shown = (f"{t.name} {t.description} {json.dumps(dict(t.parameters))}" for t in tools)
    return sum(PER_MESSAGE + rough_text(each) for each in shown)


def rough_text(text: str) -> int:
    """Tokens of a text, by its bytes."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
