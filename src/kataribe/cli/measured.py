"""What a run took and how fast it was, kept for `kataribe models fit` to compare itself with."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kataribe.base.errors import KataribeError
from kataribe.base.events import Event, Finished, Progress

if TYPE_CHECKING:
    from kataribe.base.inside import Inspector
    from kataribe.base.lm import Capabilities, Request, Score
    from kataribe.make.tokens.tokenizer import Tokenizer
    from kataribe.run.inference.engine import Engine
    from kataribe.run.inference.load import LocalModel
    from kataribe.run.inference.local import LocalLM
    from kataribe.run.inference.requests import EngineMetrics

log = logging.getLogger("kataribe.cli")

ENOUGH_READ = 256
"""Prompt tokens under which a rate of reading says too little."""
ENOUGH_WRITTEN = 32
"""The same for written tokens."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one model did from its load to its end.

    Attributes:
        cache_tokens: Tokens that lay in the cache at its fullest, to a block.
        prefill: Tokens of prompt read per second; None where too few were read alone.
        decode: Tokens written per second by one reply alone; None where too few were.
    """

    cache_tokens: int
    prefill: float | None
    decode: float | None


class Rates:
    """Adds up reading and writing of requests that had the engine to themselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read, self._read_seconds = 0, 0.0
        self._written, self._written_seconds = 0, 0.0

    def add(self, before: EngineMetrics, first: EngineMetrics, after: EngineMetrics) -> None:
        """A request's figures before it, at its first event and at its end; not where it shared."""
        alone = before.running == before.waiting == 0 and after.requests == before.requests + 1
        if not alone or after.preempted != before.preempted:
            return
        written = after.generated_tokens - first.generated_tokens
        seconds = after.busy_seconds - first.busy_seconds
        if written <= 0 or seconds <= 0.0:
            return
        drawn = first.generated_tokens - before.generated_tokens  # the first comes with the prompt
        reading = first.busy_seconds - before.busy_seconds - max(drawn - 1, 0) * seconds / written
        read = first.computed_tokens - before.computed_tokens
        with self._lock:
            self._written += written
            self._written_seconds += seconds
            if read > 0 and reading > 0.0:
                self._read += read
                self._read_seconds += reading

    @property
    def prefill(self) -> float | None:
        """Tokens read per second."""
        return self._read / self._read_seconds if self._read >= ENOUGH_READ else None

    @property
    def decode(self) -> float | None:
        """Tokens written per second."""
        return self._written / self._written_seconds if self._written >= ENOUGH_WRITTEN else None


class MeasuredModel:
    """A `LocalModel` that tells, when it is closed, what it did."""

    def __init__(self, model: LocalModel, tell: Callable[[Measured], None]) -> None:
        self._model = model
        self._tell = tell
        self._rates = Rates()
        self._closed = False
        self.lm = MeasuredLM(model.lm, model.engine, self._rates)

    @property
    def engine(self) -> Engine:
        """The model's engine."""
        return self._model.engine

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._model.tokenizer

    @property
    def is_open(self) -> bool:
        """It can still answer."""
        return self._model.is_open

    def close(self, grace: float) -> None:
        """Frees everything, then tells; a model that never answered has nothing to tell."""
        self._model.close(grace)
        if self._closed:
            return
        self._closed = True
        figures = self.engine.metrics
        if figures.generated_tokens:
            with_failures_logged(
                lambda: self._tell(
                    Measured(cache_tokens(figures), self._rates.prefill, self._rates.decode)
                )
            )


def with_failures_logged(record: Callable[[], None]) -> None:
    """A record that cannot be kept must not keep a program from ending."""
    try:
        record()
    except (KataribeError, OSError) as error:
        log.warning("What this run took is not kept: %s", error)


def cache_tokens(figures: EngineMetrics) -> int:
    """Tokens that lay in the cache at its fullest: what was written keeps its block."""
    computed = figures.computed_tokens + figures.generated_tokens
    blocks = min(max(figures.blocks_reusable, figures.blocks_used) + 1, figures.blocks)
    return min(computed, blocks * figures.block_size)


class MeasuredLM:
    """A `LocalLM`; an `Inspectable` `LM` and a `Scorer` that watches how fast it answers."""

    def __init__(self, lm: LocalLM, engine: Engine, rates: Rates) -> None:
        self._lm = lm
        self._engine = engine
        self._rates = rates

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """The model's own events."""
        before, first = self._engine.metrics, None
        events = cast("AsyncGenerator[Event, None]", self._lm.stream(request))
        async with contextlib.aclosing(events):
            async for event in events:
                if first is None and not isinstance(event, Progress):
                    now = self._engine.metrics
                    first = now if now.generated_tokens > before.generated_tokens else None
                if first is not None and isinstance(event, Finished):
                    self._rates.add(before, first, self._engine.metrics)
                    first = None
                yield event

    async def score(self, prompt: str, continuations: Sequence[str]) -> tuple[Score, ...]:
        """The model's own scores."""
        return await self._lm.score(prompt, continuations)

    async def inspector(self) -> Inspector:
        """The model's own inspector."""
        return await self._lm.inspector()
