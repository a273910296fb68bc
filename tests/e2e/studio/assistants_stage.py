"""Assistants over scripted models: the house's own book and composing, in front of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio_stage import SMALL, Models

from kataribe.cli.assistants_here import AssistantsHere
from kataribe.serve.models import ModelInfo
from kataribe.use.assistants.book import Book
from kataribe.use.assistants.compose import Around, composed


@dataclass
class WithAssistants(Models):
    """A `ModelSource` whose scripted models assistants ask, too."""

    book: Book = field(default_factory=lambda: Book(Path("none")))

    def names(self) -> Sequence[ModelInfo]:
        models = list(super().names())
        return models + [
            ModelInfo(name, 0, "assistant", loaded=False, context_length=None)
            for name in self.book.all()
        ]

    @asynccontextmanager
    async def lease(self, name: str) -> Any:
        known = self.book.all()
        if name in known:
            async with composed(name, known[name].recipe(), self.around()) as lm:
                yield lm
            return
        async with super().lease(name) as lm:
            yield lm

    def around(self) -> Around:
        return Around(self.lease, SMALL, Path("none"))

    def source(self) -> AssistantsHere:
        """What the server shows and changes them by."""
        return AssistantsHere(self.book, self.around, self.names)
