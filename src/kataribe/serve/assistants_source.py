"""What the server needs from whoever knows the assistants of a workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from kataribe.base.lm import LM
from kataribe.serve.shapes.assistants import (
    AssistantDetail,
    AssistantList,
    RecipeChecked,
    RecipeChoices,
    TestResult,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A recipe that is not saved.

    Attributes:
        name: Under which it is, or may once be, saved.
        text: The YAML.
        alone: Nobody has an account here, so whoever asks is who runs the server. Otherwise a
            recipe may not reach files and addresses of this machine that the saved one of its
            name does not reach already.
    """

    name: str
    text: str
    alone: bool = True


class AssistantsSource(Protocol):
    """Knows the assistants, which belong to the machine as its models do. Calls may block."""

    def all(self) -> AssistantList:
        """All of them; one whose recipe is broken is among them and says so."""
        ...

    def one(self, name: str) -> AssistantDetail:
        """One of them; raises `NotFoundError`."""
        ...

    def choices(self) -> RecipeChoices:
        """What recipes can be made of."""
        ...

    def check(self, draft: Draft, fields: Mapping[str, Any] | None) -> RecipeChecked:
        """All that is wrong with a recipe, with `fields` written into it first."""
        ...

    def put(self, draft: Draft, over: str | None) -> AssistantDetail:
        """Writes a recipe over the one with the tag `over`; None where there must be none.

        Raises `InputError` for the first thing that is wrong with it, and one of the code
        `changed_meanwhile` where another is there by now. Then nothing is written.
        """
        ...

    def copy(self, name: str, to: str) -> AssistantDetail:
        """Writes the recipe of one under a name that is free; raises as `put` does."""
        ...

    def remove(self, name: str, over: str) -> None:
        """Deletes one so that `restore` finds it; raises as `put` does."""
        ...

    def restore(self, name: str) -> AssistantDetail:
        """Undoes `remove`; raises `NotFoundError`."""
        ...

    def lend(self, draft: Draft) -> AbstractAsyncContextManager[LM]:
        """The assistant that a recipe makes; it remembers nothing. Raises on entering."""
        ...

    def tests(self, draft: Draft) -> AsyncIterator[TestResult]:
        """Asks what the recipe's tests ask, one after the other; raises as `lend` does."""
        ...
