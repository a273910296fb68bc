"""Encoders of this machine as they are asked: an `Embedder`, and a `Classifier`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kataribe.base.encoders import Classification, Embedding, EmbedInput, EmbedKind, Label
from kataribe.base.errors import BusyError, UnavailableError, UnsupportedError
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.weights.sentences import SentenceSettings
from kataribe.make.tokens.encoder_texts import EncodedText, EncoderTexts
from kataribe.run.inference.embedding.batches import PackedBatch, pack
from kataribe.run.inference.embedding.labels import spans_of, text_labels

_T = TypeVar("_T")


class EncoderRunner(Protocol):
    """What computes packed texts; used by one thread at a time."""

    def vectors(self, batch: PackedBatch) -> NDArray[np.float32]:
        """float32 (texts, hidden_size), pooled and normed."""
        ...

    def logits(self, batch: PackedBatch) -> NDArray[np.float32]:
        """float32 (texts, labels) of a classifier, (tokens, labels) of a tagger."""
        ...


class EncoderThread:
    """The one thread in which an encoder computes, so that products do not fight for cores.

    Requests take turns by batches: a short one is not kept waiting by one of many texts.

    Args:
        runner: What computes.
        name: Of the model.
        queue: Requests that may wait beside the one that computes.
    """

    def __init__(self, runner: EncoderRunner, name: str, queue: int = 256) -> None:
        self.runner = runner
        self._name = name
        self._queue = queue
        self._taken = 0  # requests that compute or wait
        self._ended = 0
        self._seconds = 0.0  # of computing, all requests together
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"encoder {name}")
        self._closed = threading.Event()

    @property
    def is_open(self) -> bool:
        """It still computes."""
        return not self._closed.is_set()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """A place for one request, for all of its batches; `BusyError` where none is free."""
        with self._lock:
            waiting = self._taken - 1
            if waiting >= self._queue:
                raise BusyError(
                    f"{waiting} requests wait for {self._name} already and the queue holds "
                    f"{self._queue}. Try again later, or raise the setting `queue`.",
                    retry_after=max(1.0, self._seconds / max(self._ended, 1)),
                )
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1
                self._ended += 1

    async def run(self, work: Callable[[], _T]) -> _T:
        """`work` in the thread; where its caller is cancelled before it began, it never begins."""
        if self._closed.is_set():
            raise UnavailableError("The model was unloaded. Ask again: it will be loaded anew.")
        try:
            future = self._pool.submit(self._timed, work)
        except RuntimeError:  # closed between the two lines
            raise UnavailableError("The model was unloaded. Ask again.") from None
        return await asyncio.wrap_future(future)

    def _timed(self, work: Callable[[], _T]) -> _T:
        began = time.monotonic()
        try:
            return work()
        finally:
            with self._lock:
                self._seconds += time.monotonic() - began

    def close(self) -> None:
        """Lets the batch that runs end, and takes no more."""
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


class LocalEmbedder:
    """An encoder as an `Embedder`."""

    def __init__(
        self,
        name: str,
        thread: EncoderThread,
        texts: EncoderTexts,
        settings: SentenceSettings,
        dimensions: int,
    ) -> None:
        self._name = name
        self._thread = thread
        self._texts = texts
        self._settings = settings
        self._dimensions = dimensions

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._name

    @property
    def dimensions(self) -> int:
        """Numbers in each vector."""
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        """Most tokens of one text."""
        return self._texts.limit

    @property
    def kinds(self) -> tuple[EmbedKind, ...]:
        """The kinds of text that have a prompt of their own."""
        known: tuple[EmbedKind, ...] = ("query", "passage")
        return tuple(kind for kind in known if kind in self._settings.prompts)

    async def embed(self, texts: Sequence[EmbedInput], kind: EmbedKind | None = None) -> Embedding:
        """See `Embedder.embed`. Token ids go in as they are, without a prompt."""
        if kind is not None and not self.kinds:
            raise UnsupportedError(
                f"The kind of text is {kind!r}, but {self._name} has prompts for none and makes "
                "the same vector of all. Leave input_type (--query, --passage) out.",
                param="input_type",
            )
        name = kind or self._settings.default_prompt
        prompt = self._settings.prompts.get(name, "") if name else ""
        runner = self._thread.runner
        with self._thread.request():
            ids = await asyncio.to_thread(self._texts.ids, texts, prompt)
            vectors = np.empty((len(ids), self._dimensions), np.float32)
            for batch in pack(ids):
                found = await self._thread.run(functools.partial(runner.vectors, batch))
                vectors[list(batch.places)] = found
        return Embedding(vectors, sum(map(len, ids)))


class LocalClassifier:
    """An encoder with a head of labels as a `Classifier`."""

    def __init__(
        self, name: str, thread: EncoderThread, texts: EncoderTexts, config: EncoderConfig
    ) -> None:
        self._name = name
        self._thread = thread
        self._texts = texts
        self._config = config

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._name

    @property
    def labels(self) -> tuple[str, ...]:
        """All that it can give, in the order of its numbers."""
        return self._config.labels

    @property
    def tags(self) -> bool:
        """It labels spans, not whole texts."""
        return self._config.head == "tag"

    @property
    def max_tokens(self) -> int:
        """Most tokens of one text."""
        return self._texts.limit

    async def classify(self, texts: Sequence[str]) -> Classification:
        """See `Classifier.classify`."""
        runner = self._thread.runner
        with self._thread.request():
            encoded = await asyncio.to_thread(self._texts.spans, texts)
            found: list[tuple[Label, ...]] = [()] * len(encoded)
            for batch in pack([text.ids for text in encoded]):
                logits = await self._thread.run(functools.partial(runner.logits, batch))
                rows = np.split(logits, batch.starts[1:]) if self.tags else list(logits)
                for place, row in zip(batch.places, rows, strict=True):
                    found[place] = self._read(row, encoded[place])
        return Classification(tuple(found), sum(len(text.ids) for text in encoded))

    def _read(self, logits: NDArray[np.float32], text: EncodedText) -> tuple[Label, ...]:
        if self.tags:
            return spans_of(logits, text.spans, self._config.labels)
        return text_labels(logits, self._config.labels, self._config.problem)
