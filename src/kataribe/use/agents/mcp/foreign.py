"""What other hosts write into the entries of the file that all of them share.

Some say in other words what an entry says here; some is about that host alone and passed over,
with a note. What would change which tools there are is neither: an entry with it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PASSED_OVER: Mapping[str, str] = {
    **dict.fromkeys(
        ("autoApprove", "alwaysAllow", "trust"),
        "calls are asked about here as the recipe says",
    ),
    "envFile": "no file of variables is read here; put them into env",
    **dict.fromkeys(
        ("description", "name", "displayName", "title", "icon", "iconUrl", "version", "tags",
         "category", "homepage", "repository", "author", "note", "notes", "gallery", "_comment",
         "comment", "$schema"),
        "it says something to people",
    ),
    **dict.fromkeys(
        ("dev", "metadata", "_meta", "initTimeout", "startup_timeout_sec", "startupTimeout",
         "reconnect", "restart", "autoStart", "timeout_ms"),
        "it is about another host",
    ),
}  # fmt: skip

_SECONDS = 3600.0
"""The longest timeout in seconds; what is more was written in milliseconds."""


def in_our_words(value: Any) -> tuple[Any, tuple[str, ...]]:
    """An entry as it would be written here, and what was passed over or read in another way."""
    if not isinstance(value, Mapping):
        return value, ()
    found, notes = dict(value), []
    for key in [key for key in found if key in _PASSED_OVER]:
        del found[key]
        notes.append(f"{key} is passed over: {_PASSED_OVER[key]}")
    if isinstance(found.get("transport"), str):
        said = found.pop("transport")
        found.setdefault("type", said)
    if isinstance(found.get("enabled"), bool):
        on = found.pop("enabled")
        found.setdefault("disabled", not on)
    timeout = found.get("timeout")
    if isinstance(timeout, int | float) and timeout > _SECONDS:
        found["timeout"] = timeout / 1000
        notes.append(f"timeout {timeout} is read as milliseconds: seconds end at {_SECONDS:.0f}")
    return found, tuple(notes)
