"""Meter and limits around whatever this process answers with, and the file that it writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kataribe.base.inside import Inspectable
from kataribe.base.limits import NONE, Limits
from kataribe.base.lm import LM, Scorer
from kataribe.prove.ops.encoding import MeteredEmbedder
from kataribe.prove.ops.ledger import Ledger
from kataribe.prove.ops.limits import Limited
from kataribe.prove.ops.meter import Metered, MeteredTool
from kataribe.prove.ops.spent import Price, free

if TYPE_CHECKING:
    from kataribe.base.encoders import Embedder
    from kataribe.base.events import Usage
    from kataribe.base.lm import Capabilities, Tool
    from kataribe.base.settings import Settings
    from kataribe.base.workspace import Workspace
    from kataribe.prove.ops.trace_store import TraceStore
    from kataribe.use.assistants.recipe import Limit


@dataclass(frozen=True)
class Meters:
    """Wraps models, assistants and tools, whose spans go to one ledger."""

    ledger: Ledger = field(default_factory=Ledger)

    def lm(self, lm: LM, price: Price = free) -> LM:
        """The same with a meter around it, held to the limits of each request and what caused it.

        `price` of what asks others, or runs here, is `free`.
        """
        # The meter stands outside: a model that ends at a limit then ends at once, and not as a
        # technique does, which gets a moment to make the best of what it has.
        return Metered(Limited(lm, NONE, price), self.ledger, price)

    def local(self, lm: LM) -> LM:
        """The same for a model of this machine, which can do more than answer."""
        counted = self.lm(lm)
        if isinstance(lm, Scorer) and isinstance(lm, Inspectable):
            return MeteredResident(counted, lm, lm)
        return counted

    def limited(self, lm: LM, limit: Limit) -> LM:
        """The same within the limits of a recipe."""
        limits = Limits(limit.steps, limit.tokens, limit.seconds, limit.dollars)
        return Limited(lm, limits, free)

    def tool(self, tool: Tool) -> Tool:
        """The same with a span for each call."""
        return MeteredTool(tool, self.ledger)

    def embedder(self, embedder: Embedder) -> Embedder:
        """The same with a span for each call."""
        return MeteredEmbedder(embedder, self.ledger)


class MeteredResident:
    """A model of this machine whose answers are counted.

    What it scores and shows of itself is not: that is looking, and costs nobody anything.
    """

    def __init__(self, lm: LM, scorer: Scorer, inspectable: Inspectable) -> None:
        self._lm = lm
        self.stream = lm.stream
        self.score = scorer.score
        self.inspector = inspectable.inspector

    @property
    def name(self) -> str:
        """The model's name."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._lm.capabilities


def price_of(settings: Settings) -> Price:
    """The price of the model that settings name: known for hosts, nothing for models here.

    What an assistant asks is its own affair; nobody knows its price beforehand.
    """
    from kataribe.base.references import parse_reference
    from kataribe.cli.assistants.named import open_book

    reference = parse_reference(settings.model)
    if reference.provider is None:
        return _unknown if reference.name in open_book().all() else free
    from kataribe.run.providers.hosts import find_host, parse_hosts
    from kataribe.run.providers.prices import Priced, cost

    host = find_host(reference.provider, parse_hosts(settings.providers))
    priced = Priced(host.prices, host.address, reference.name)
    return lambda usage: cost(priced, usage)


def _unknown(_: Usage) -> None:
    return None


def trace_store(workspace: Workspace) -> TraceStore:
    """Where the spans of this workspace are kept."""
    from kataribe.prove.ops.trace_store import TraceStore

    return TraceStore(workspace.traces)


@contextlib.contextmanager
def writing(meters: Meters, store: TraceStore) -> Iterator[None]:
    """Keeps what the meters count, as long as the block lasts."""
    from kataribe.prove.ops.trace_writer import TraceWriter

    store.path.parent.mkdir(parents=True, exist_ok=True)
    writer = TraceWriter(meters.ledger, store)
    writer.start()
    try:
        yield
    finally:
        writer.close()
