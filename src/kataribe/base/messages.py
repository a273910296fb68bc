"""Messages: plain frozen values that travel between people, models and tools.

A message has a role and parts. `to_json` and `from_json` write and read them as JSON-ready
dictionaries in Kataribe's own shape (the HTTP API's shapes belong to `serve`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from kataribe.base.errors import InputError

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture: its bytes, or an address that the model's host fetches.

    `detail` is how closely a host shall look (`low`, `high`), where it has a dial for that.
    """

    media_type: str
    data: bytes | None = None
    url: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Sound: encoded bytes of `media_type`."""

    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """What a model thought before it answered.

    `seal` is what a host of hosted models gave along (a signature, an encrypted copy), by which it
    knows the thought again when the message comes back: JSON text, opaque to everybody else. A
    host may give a seal without a thought; then `text` is empty.
    """

    text: str
    seal: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A model's wish to call a tool. `arguments` is a JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResultPart:
    """What a tool answered to the call with the same id: words, and pictures behind them."""

    call_id: str
    content: str
    is_error: bool = False
    images: tuple[ImagePart, ...] = ()


Part: TypeAlias = TextPart | ImagePart | AudioPart | ReasoningPart | ToolCallPart | ToolResultPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of one speaker."""

    role: Role
    parts: tuple[Part, ...]


def text_message(role: Role, text: str) -> Message:
    """A message of nothing but words."""
    return Message(role, (TextPart(text),))


def text_of(message: Message) -> str:
    """The words of a message, its other parts left out."""
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def to_json(message: Message) -> dict[str, Any]:
    """A JSON-ready dictionary; `from_json` reads it back to an equal message."""
    return {"role": message.role, "parts": [_part_to_json(part) for part in message.parts]}


def from_json(value: Mapping[str, Any]) -> Message:
    """The message that `to_json` wrote; `InputError` names what is missing or unknown."""
    role = value.get("role")
    if role not in get_args(Role):
        roles = ", ".join(get_args(Role))
        raise InputError(f"A message has role {role!r}; known roles are {roles}.", param="role")
    parts = value.get("parts")
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        raise InputError("A message needs a list of parts.", param="parts")
    return Message(cast(Role, role), tuple(_part_from_json(part) for part in parts))


def _part_to_json(part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ReasoningPart(text, seal):
            return {"type": "reasoning", "text": text, "seal": seal}
        case ImagePart(media_type, data, url, detail):
            encoded = None if data is None else base64.b64encode(data).decode("ascii")
            image = {"type": "image", "media_type": media_type, "data": encoded, "url": url}
            return {**image, "detail": detail}
        case AudioPart(media_type, data):
            encoded = base64.b64encode(data).decode("ascii")
            return {"type": "audio", "media_type": media_type, "data": encoded}
        case ToolCallPart(id, name, arguments):
            return {"type": "tool_call", "id": id, "name": name, "arguments": arguments}
        case ToolResultPart(call_id, content, is_error, images):
            return {
                "type": "tool_result",
                "call_id": call_id,
                "content": content,
                "is_error": is_error,
                "images": [_part_to_json(image) for image in images],
            }


def _part_from_json(value: Any) -> Part:
    if not isinstance(value, Mapping):
        raise InputError("A message part must be an object with a type.", param="parts")
    try:
        match value.get("type"):
            case "text":
                return TextPart(_string(value, "text"))
            case "reasoning":
                # Messages that were written before there were seals have none.
                seal = _string(value, "seal") if "seal" in value else ""
                return ReasoningPart(_string(value, "text"), seal)
            case "image":
                return _image_from_json(value)
            case "audio":
                raw = base64.b64decode(_string(value, "data"), validate=True)
                return AudioPart(_string(value, "media_type"), raw)
            case "tool_call":
                return ToolCallPart(
                    _string(value, "id"), _string(value, "name"), _string(value, "arguments")
                )
            case "tool_result":
                return ToolResultPart(
                    _string(value, "call_id"),
                    _string(value, "content"),
                    bool(value.get("is_error", False)),
                    tuple(_image_from_json(image) for image in value.get("images", ())),
                )
            case kind:
                raise InputError(
                    f"A message part has type {kind!r}; known types are text, image, audio, "
                    "reasoning, tool_call and tool_result.",
                    param="parts",
                )
    except ValueError as error:
        raise InputError(f"A message part's data is not base64: {error}.", param="data") from error


def _image_from_json(value: Mapping[str, Any]) -> ImagePart:
    # Messages that were written before pictures had a detail have none.
    data = value.get("data")
    raw = None if data is None else base64.b64decode(data, validate=True)
    detail = _string(value, "detail") if "detail" in value else ""
    return ImagePart(_string(value, "media_type"), raw, value.get("url"), detail)


def _string(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        raise InputError(f"A message part needs {key!r} as a string.", param=key)
    return found
