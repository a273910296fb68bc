"""What is offered to MCP hosts, and what is known of one that calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from kataribe.base.events import Event
from kataribe.base.lm import LM
from kataribe.serve.models import ModelInfo

if TYPE_CHECKING:
    from kataribe.use.prompts.retrieval import Search


class Lender(Protocol):
    """Whoever holds the models; every `ModelSource` does."""

    def names(self) -> Sequence[ModelInfo]:
        """Every model and assistant that can be asked for."""
        ...

    def lease(self, name: str) -> AbstractAsyncContextManager[LM]:
        """The one of that name, for as long as the block lasts."""
        ...


@runtime_checkable
class Describing(Protocol):
    """A lender that also says in a line what an assistant is for."""

    def about(self, name: str) -> str:
        """The line; empty where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """What hosts may use.

    Attributes:
        models: Models and assistants.
        default: Who answers where none is named; None makes every question name one.
        search: Finds passages of documents; None where there are none, and then there is no tool.
    """

    models: Lender
    default: str | None = None
    search: Search | None = None


Report: TypeAlias = Callable[[float, str], Awaitable[None]]
"""Tells the host of progress: how much, which grows with every call, and in words."""


async def _tell_nobody(_: float, __: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Caller:
    """One call of a host.

    Attributes:
        user: Whose call it is, where that is known.
        report: See there.
        halted: Returns when the server has to end its work; None for one that is just ended.
        watching: Makes, for the model that answers, what sees every event of its reply.
    """

    user: str | None = None
    report: Report = _tell_nobody
    halted: Callable[[], Awaitable[None]] | None = None
    watching: Callable[[str], Callable[[Event], None]] | None = None
