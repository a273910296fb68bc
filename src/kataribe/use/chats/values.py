"""Whom conversations ask, and how replies end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from kataribe.base.lm import LM
from kataribe.store.messages import Message


class Models(Protocol):
    """Whoever holds the models."""

    def lease(self, name: str) -> AbstractAsyncContextManager[LM]:
        """The model for as long as the context lasts."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a reply ended: the columns of its message that are known only then.

    `message` is as it was begun.
    """

    state: Literal["done", "stopped", "failed", "interrupted"]
    fields: Mapping[str, Any] = field(default_factory=dict)
    message: Message | None = None
