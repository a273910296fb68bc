"""Everything that answers, under one roof: models here, models at hosts, and assistants."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kataribe.base.encoders import told_kind
from kataribe.base.errors import UnsupportedError
from kataribe.base.events import Usage
from kataribe.base.lm import LM
from kataribe.base.references import parse_reference
from kataribe.base.settings import DEFAULT_MODEL
from kataribe.cli.behind import model_behind
from kataribe.cli.metering import Meters
from kataribe.run.providers import Connections, open_hosted, parse_hosts
from kataribe.run.providers.hosts import find_host
from kataribe.run.providers.prices import Priced, cost
from kataribe.serve.models import ModelInfo, Sample
from kataribe.use.agents.summaries import Summaries
from kataribe.use.assistants.book import Book, about
from kataribe.use.assistants.compose import Around, composed

if TYPE_CHECKING:
    from kataribe.base.encoders import Classifier, Embedder, Embedding, EmbedInput, EmbedKind
    from kataribe.base.settings import Settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.models_here import LocalModels, ServedTokenizer
    from kataribe.run.inference.residents import Resident
    from kataribe.use.agents.mcp.servers import Servers
    from kataribe.use.agents.memory import Facts
    from kataribe.use.agents.turns import Turns
    from kataribe.use.assistants.recipe import Recipe


MOST_HOSTED = 256
"""Models at hosts that are kept ready; names come from whoever asks."""


@dataclass(frozen=True)
class AllModels:
    """A `ModelSource` that also knows `HOST:MODEL` and the names of assistants.

    A model of this machine goes before an assistant of its name. Models at hosts are not listed:
    whoever has a key can ask for any of theirs.

    Attributes:
        local: The models of this machine.
        book: The assistants.
        settings: For hosts and the default model.
        facts: What assistants remember about people; None where nothing is.
        turns: Where assistants' turns wait for consent; None: as long as one request lasts.
        connections: To hosts, kept open between requests.
        servers: MCP servers, whose tools assistants may use; None where there are none.
        meters: Count what every model, assistant and tool uses.
        hosted: The models at hosts that were asked last, by name, so that each is made once.
    """

    local: LocalModels
    book: Book
    settings: Settings
    workspace: Workspace
    facts: Facts | None = None
    turns: Turns | None = None
    connections: Connections = field(default_factory=Connections)
    servers: Servers | None = None
    meters: Meters = field(default_factory=Meters)
    hosted: OrderedDict[str, LM] = field(default_factory=OrderedDict)
    summaries: Summaries = field(default_factory=Summaries)

    def names(self) -> Sequence[ModelInfo]:
        """The models of this machine, then the assistants."""
        here = list(self.local.names())
        taken = {info.name for info in here}
        here.extend(
            ModelInfo(
                kept.name,
                int(kept.changed),
                "assistant",
                loaded=False,
                context_length=None,
                is_assistant=True,
            )
            for kept in self.book.all().values()
            if kept.name not in taken
        )
        return here

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        """Whoever answers to that name, for as long as the block lasts."""
        if parse_reference(name).provider is not None:
            yield self._at_host(name)
            return
        assistant = await asyncio.to_thread(self._assistant, name)
        if assistant is not None:
            recipe, around = assistant
            async with composed(name, recipe, around) as lm:
                yield self.meters.lm(lm)
        else:
            async with self.local.lease(name) as lm:
                yield self.meters.local(lm)

    def _assistant(self, name: str) -> tuple[Recipe, Around] | None:
        """What an assistant is made of; None for a model. Reads files."""
        if not self._is_assistant(name):
            return None
        around = self.around()
        return self._recipe(name, around), around

    def _recipe(self, name: str, around: Around) -> Recipe:
        """An assistant's; `InputError` where it would ask itself.

        Files that were put into the folder by hand have met no other check of that.
        """
        recipe = self.book.find(name).recipe()
        models = {info.name for info in self.local.names()}
        self.book.check_circle(name, recipe, default=around.default, models=models)
        return recipe

    def _at_host(self, name: str) -> LM:
        lm = self.hosted.get(name)
        if lm is None:
            hosts = parse_hosts(self.settings.providers)
            found = open_hosted(name, hosts, os.environ, connections=self.connections)
            lm = self.hosted[name] = self.meters.lm(found, found.price)
            while len(self.hosted) > MOST_HOSTED:
                self.hosted.popitem(last=False)
        self.hosted.move_to_end(name)
        return lm

    def price(self, name: str, usage: Usage) -> float | None:
        """US dollars for that use; None where nobody knows, and for assistants, who ask others."""
        reference = parse_reference(name)
        if reference.provider is None:
            return None if self._is_assistant(name) else 0.0
        host = find_host(reference.provider, parse_hosts(self.settings.providers))
        return cost(Priced(host.prices, host.address, reference.name), usage)

    def about(self, name: str) -> str:
        """What an assistant is for, in a line; empty for models, and where nothing is said."""
        return about(self.book, name)

    def plain(self, name: str) -> str | None:
        """The model alone behind an assistant's name; a model's own. None where there is none.

        None, too, where an assistant hides personal data: asked alone, its model would see them.
        """
        here = {each.name for each in self.local.names()}
        default = self.around().default
        return model_behind(
            name,
            self.book,
            here.__contains__,
            default,
            passes=lambda recipe: recipe.guards.get("personal", False) is False,
        )

    def _is_assistant(self, name: str) -> bool:
        return name in self.book.all() and all(name != each.name for each in self.local.names())

    def around(self) -> Around:
        """What stands around assistants when they are asked."""
        from kataribe.cli.encoding import EMBEDDER

        usual = self.settings.model
        # An assistant that names no model cannot be its own.
        default = DEFAULT_MODEL if self._is_assistant(usual) else usual
        return Around(
            self.lease,
            default,
            self.workspace.assistants,
            facts=self.facts,
            turns=self.turns,
            servers=self.servers,
            limited=self.meters.limited,
            metered=self.meters.tool,
            summaries=self.summaries,
            embedder=LentEmbedder(EMBEDDER, self),
            classifiers=self.classifier,
            about=self.about,
        )

    def tokenizer(self, name: str) -> AbstractAsyncContextManager[ServedTokenizer]:
        """The tokenizer of a model of this machine, or of the one that an assistant asks."""
        if parse_reference(name).provider is not None:
            raise UnsupportedError(
                f"{name} is at a host, which keeps its tokenizer to itself. Ask for a model that "
                "is here.",
                param="model",
            )
        if self._is_assistant(name):
            around = self.around()
            asked = self._recipe(name, around).models() or (around.default,)
            if len(asked) > 1:
                raise UnsupportedError(
                    f"{name} asks one of {', '.join(asked)}, and each has a tokenizer of its own. "
                    "Name one of them.",
                    param="model",
                )
            return self.tokenizer(asked[0])
        return self.local.tokenizer(name)

    @contextlib.asynccontextmanager
    async def embedder(self, name: str) -> AsyncIterator[Embedder]:
        """See `LocalModels.embedder`."""
        async with self.local.embedder(name) as embedder:
            yield self.meters.embedder(embedder)

    def classifier(self, name: str) -> AbstractAsyncContextManager[Classifier]:
        """See `LocalModels.classifier`."""
        return self.local.classifier(name)

    def in_memory(self) -> Sequence[Resident]:
        """See `LocalModels.in_memory`."""
        return self.local.in_memory()

    def load(self, name: str, *, hold: bool = True) -> Resident:
        """Loads a model of this machine; `InputError` for what needs no loading."""
        self._check_loads(name)
        return self.local.load(name, hold=hold)

    def unload(self, name: str, *, force: bool = False) -> None:
        """Lets a model of this machine go; `InputError` for what is never loaded."""
        self._check_loads(name)
        self.local.unload(name, force=force)

    def _check_loads(self, name: str) -> None:
        if parse_reference(name).provider is not None or self._is_assistant(name):
            raise UnsupportedError(
                f"{name} is no model of this machine, so it is neither loaded nor let go.",
                param="model",
            )

    def metrics(self) -> Sequence[Sample]:
        """See `LocalModels.metrics`."""
        return self.local.metrics()


class LentEmbedder:
    """The embedder of a name, lent anew for each call.

    Which kinds of text it tells apart shows when it is there: it is told each one's, if any.
    """

    dimensions = 0
    max_tokens = 0
    kinds: tuple[EmbedKind, ...] = ("query", "passage")

    def __init__(self, name: str, models: AllModels) -> None:
        self.name = name
        self._models = models

    async def embed(self, texts: Sequence[EmbedInput], kind: EmbedKind | None = None) -> Embedding:
        """Vectors of texts; raises as `Embedder.embed`, and where there is no such model."""
        async with self._models.embedder(self.name) as embedder:
            return await embedder.embed(texts, kind and told_kind(embedder, kind))
