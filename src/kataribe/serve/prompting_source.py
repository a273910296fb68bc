"""What the server needs from whoever knows prompts and techniques."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from kataribe.base.events import Usage
    from kataribe.base.lm import LM
    from kataribe.use.prompts.described import Described
    from kataribe.use.prompts.library import Library


@dataclass(frozen=True, slots=True)
class AskedWith:
    """How a model is asked.

    Attributes:
        technique: Its name; None for none.
        options: Of the technique.
        tools: Names of tools of the server's that the model may use.
    """

    technique: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[str] = ()


class PromptingSource(Protocol):
    """Keeps prompts, and asks with techniques."""

    @property
    def library(self) -> Library:
        """The prompts of everybody; its calls may block."""
        ...

    def techniques(self) -> Sequence[Described]:
        """All techniques, from cheap to dear."""
        ...

    def tools(self) -> Sequence[str]:
        """The tools that may be asked with: those that run without anybody's consent."""
        ...

    def variables(self, text: str) -> Sequence[str]:
        """The variables of a template; raises `InputError` for a text that is none."""
        ...

    def render(self, text: str, values: Mapping[str, str]) -> str:
        """A template's text with its variables replaced.

        Raises `InputError` for a text that is no template, and naming every variable that is
        missing or unknown.
        """
        ...

    def check(self, asked: AskedWith) -> None:
        """Raises what is wrong with a way of asking, before any model is asked.

        `NotFoundError` for an unknown technique or tool, `InputError` for an unknown or wrong
        option and for what a technique lacks here.
        """
        ...

    def price(self, model: str, usage: Usage) -> float | None:
        """US dollars for a model's use, with all inner calls; None where nobody knows."""
        ...

    def around(self, lm: LM, asked: AskedWith) -> AbstractAsyncContextManager[LM]:
        """The model, asked in this way, for as long as the block lasts."""
        ...
