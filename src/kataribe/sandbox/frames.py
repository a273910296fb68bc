"""Frames from the sandbox: length and JSON, by a stranger, so that nothing of them is believed."""

from __future__ import annotations

import json
from typing import Any


class BrokenProtocolError(Exception):
    """What came is no frame. Stays inside `sandbox`, where it ends the run."""


class Frames:
    """Cuts what arrives into frames; a frame of more than `longest` bytes is refused unread."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The frames that are complete now; `BrokenProtocolError` for anything else."""
        self._held += data
        found = []
        while len(self._held) >= 4:
            size = int.from_bytes(self._held[:4], "big")
            if size > self._longest:
                raise BrokenProtocolError(
                    f"a reply of {size} bytes, where at most {self._longest} are allowed"
                )
            if len(self._held) < 4 + size:
                break
            found.append(_value(bytes(self._held[4 : 4 + size])))
            del self._held[: 4 + size]
        return found


def pack(value: dict[str, Any]) -> bytes:
    """A frame of this value."""
    text = json.dumps(value).encode("ascii")
    return len(text).to_bytes(4, "big") + text


def _value(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenProtocolError(f"a reply that is no JSON ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise BrokenProtocolError("a reply that is no JSON object")
    return value


def text_or_none(frame: dict[str, Any], key: str) -> str | None:
    """The string at `key`, free of lone surrogates; None for null or nothing."""
    value = frame.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BrokenProtocolError(f"a reply whose {key} is no text")
    return value.encode("utf-8", "replace").decode("utf-8")
