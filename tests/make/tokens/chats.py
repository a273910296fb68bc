"""Conversations, once as our messages and once as `transformers` wants them."""

from __future__ import annotations

from typing import Any

from kataribe.base.lm import ToolSpec
from kataribe.base.messages import (
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)

NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
WEATHER = ToolSpec(
    "get_weather",
    'Tells the weather, 天気 & "more".',
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "都市 <b>"},
            "place": {"type": "object", "properties": {"lat": {"type": "number"}}},
        },
        "required": ["city"],
    },
)
TIME = ToolSpec("get_time")
THEIR_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": 'Tells the weather, 天気 & "more".',
            "parameters": WEATHER.parameters,
        },
    },
    {
        "type": "function",
        "function": {
            "name": "get_time",
            "description": "",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]
USER, SYSTEM, ASSISTANT = "user", "system", "assistant"


def pair(role: Any, text: str) -> tuple[Message, dict[str, Any]]:
    return text_message(role, text), {"role": role, "content": text}


CALL = (
    Message(
        "assistant",
        (ToolCallPart("abc123XYZ", "get_weather", '{"city": "東京", "place": {"lat": 1.5}}'),),
    ),
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "type": "function",
                "id": "abc123XYZ",
                "function": {
                    "name": "get_weather",
                    "arguments": {"city": "東京", "place": {"lat": 1.5}},
                },
            }
        ],
    },
)
RESULT = (
    Message("tool", (ToolResultPart("abc123XYZ", '{"sky": "晴れ"}'),)),
    {
        "role": "tool",
        "content": '{"sky": "晴れ"}',
        "tool_call_id": "abc123XYZ",
        "name": "get_weather",
    },
)
THOUGHT = (
    Message("assistant", (ReasoningPart("Let me think.\n"), TextPart("It is 4."))),
    {"role": "assistant", "content": "It is 4.", "reasoning_content": "Let me think.\n"},
)
Q1 = pair(USER, "  天気は？ <b>'\"\n")
A1 = pair(ASSISTANT, " Sunny. ")
CHATS = {
    "one question": [pair(USER, "Hi")],
    "system": [pair(SYSTEM, "Be kind."), pair(USER, "Hi {{ 7*7 }} {% x %}")],
    "turns": [Q1, A1, pair(USER, "Thanks  ")],
    "system and turns": [pair(SYSTEM, "S\n"), Q1, A1, pair(USER, "B"), pair(ASSISTANT, "C")],
    "call": [Q1, CALL, RESULT],
    "call and answer": [pair(SYSTEM, "S"), Q1, CALL, RESULT, A1, pair(USER, "?")],
    "thought": [pair(USER, "2+2?"), THOUGHT, pair(USER, "Sure?")],
    "inline thought": [pair(USER, "2+2?"), pair(ASSISTANT, "<think>\nx\n</think>\n\nIt is 4.")],
    "empty": [pair(USER, "")],
}
