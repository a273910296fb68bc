"""What another Kataribe tells of its progress, as events of their own beside the reply's chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kataribe.base.events import Event, Progress, Step

WANTED: Mapping[str, str] = {"x-kataribe-events": "progress"}
"""The header that asks for them."""


def progress_in(name: str, told: Mapping[str, Any]) -> Sequence[Event]:
    """The event of that name; none for a kind that is not known here."""
    index = int(told.get("index") or 0)
    if name == "kataribe.step":
        call, content = (str(told.get(each) or "") for each in ("call", "content"))
        tokens = int(told.get("tokens") or 0)
        return (Step(str(told["name"]), str(told["detail"]), index, call, content, tokens),)
    if name == "kataribe.progress" and told["stage"] in ("queued", "loading", "reading"):
        total = told["total"]
        return (
            Progress(
                told["stage"], int(told["done"]), None if total is None else int(total), index
            ),
        )
    return ()
