"""The models of this machine as the server sees them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from kataribe.base.errors import (
    FormatError,
    KataribeError,
    NotFoundError,
    StorageError,
    UnsupportedError,
)
from kataribe.serve.models import ModelInfo, Sample

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.base.encoders import Classifier, Embedder
    from kataribe.base.lm import LM, Thinking, ToolSpec
    from kataribe.base.messages import Message
    from kataribe.cli.shelf import CatalogShelf, Use
    from kataribe.make.tokens.tokenizer import Tokenizer
    from kataribe.run.catalog.installed import Installed
    from kataribe.run.inference.embedding.load import LoadedEncoder
    from kataribe.run.inference.load import LocalModel
    from kataribe.run.inference.residents import Resident, Residents

_GAUGES = {
    "running": ("requests_running", "Replies being computed."),
    "waiting": ("requests_waiting", "Requests in the queue."),
    "blocks": ("cache_blocks", "Blocks of the KV cache."),
    "blocks_used": ("cache_blocks_used", "Blocks that running replies hold."),
}
_COUNTERS = {
    "prompt_tokens": ("prompt_tokens_total", "Prompt tokens of all requests."),
    "cached_tokens": ("prompt_tokens_cached_total", "Prompt tokens that came from the cache."),
    "generated_tokens": ("generated_tokens_total", "Tokens generated."),
    "refused": ("requests_refused_total", "Requests refused because the queue was full."),
    "preempted": ("preemptions_total", "Times that a reply lost its blocks for another."),
}
_DOES = {
    "write": "continues text",
    "embed": "makes vectors of texts (/v1/embeddings)",
    "classify": "labels texts (/v1/classify)",
}
_CANNOT = {
    "write": "cannot chat or continue text",
    "embed": "makes no vectors",
    "classify": "gives no labels",
}
_GET = {
    "write": "Get one that does: kataribe models pull smollm2-135m",
    "embed": "Get one that does: kataribe models pull e5-small",
    "classify": "Import a folder with a classifier: kataribe models import PATH",
}


class LocalModels:
    """A `ModelSource` over the catalogue's shelf and the models in memory."""

    def __init__(self, shelf: CatalogShelf, residents: Residents) -> None:
        self._shelf = shelf
        self._residents = residents
        self._tokenizer = functools.lru_cache(maxsize=8)(_read_tokenizer)

    def names(self) -> Sequence[ModelInfo]:
        """The installed models."""
        loaded = {each.name for each in self._residents.ps() if each.state == "ready"}
        return [
            _info(model, model.name in loaded, self._context(model), self._use(model.name))
            for model in self._shelf.catalog.installed()
        ]

    def check_context(self, name: str) -> None:
        """Raises `SettingsError` when the context that is set is longer than the model's own."""
        with contextlib.suppress(NotFoundError, FormatError, StorageError):  # its load tells them
            self._shelf.check_context(self._shelf.resolve(name))

    def stop_loading(self) -> None:
        """Breaks off loads that run, and begins no more."""
        self._residents.stop_loading()

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        """The model, loading where needed, kept at least as long as the lease.

        `UnsupportedError` for one that cannot continue text, before it is loaded.
        """
        await asyncio.to_thread(self._check_use, name, "write")
        async with self._residents.lease(name) as lm:
            yield lm

    @contextlib.asynccontextmanager
    async def embedder(self, name: str) -> AsyncIterator[Embedder]:
        """The model of vectors, loading where needed; `UnsupportedError` for any other."""
        async with self._encoder(name, "embed") as loaded:
            assert loaded.embedder is not None
            yield loaded.embedder

    @contextlib.asynccontextmanager
    async def classifier(self, name: str) -> AsyncIterator[Classifier]:
        """The model of labels, loading where needed; `UnsupportedError` for any other."""
        async with self._encoder(name, "classify") as loaded:
            assert loaded.classifier is not None
            yield loaded.classifier

    @contextlib.asynccontextmanager
    async def _encoder(self, name: str, use: Use) -> AsyncIterator[LoadedEncoder]:
        await asyncio.to_thread(self._check_use, name, use)
        async with self._residents.loaded(name) as loaded:
            yield cast("LoadedEncoder", loaded)

    def _check_use(self, name: str, wanted: Use) -> None:
        """Raises `UnsupportedError` for a model of another use, naming those of this one."""
        resolved = self._shelf.resolve(name)
        if (found := self._shelf.plan(resolved).use) == wanted:
            return
        others = [model.name for model in self._shelf.catalog.installed()]
        fitting = [other for other in others if self._use(other) == wanted]
        raise UnsupportedError(
            f"{resolved} {_DOES[found]}, so it {_CANNOT[wanted]}. "
            + (f"Here for that: {', '.join(fitting)}." if fitting else _GET[wanted]),
            param="model",
        )

    def _use(self, name: str) -> Use | None:
        try:
            return self._shelf.plan(name).use
        except KataribeError:  # its own request tells why
            return None

    @contextlib.asynccontextmanager
    async def tokenizer(self, name: str) -> AsyncIterator[ServedTokenizer]:
        """The model's tokenizer, read without its weights."""

        def read() -> ServedTokenizer:
            path = self._shelf.catalog.path_of(self._shelf.resolve(name))
            return self._tokenizer(path, path.stat().st_mtime_ns)

        yield await asyncio.to_thread(read)

    def in_memory(self) -> Sequence[Resident]:
        """The models in memory, most recently used first."""
        return self._residents.ps()

    def load(self, name: str, *, hold: bool = True) -> Resident:
        """Loads and, unless told otherwise, holds a model. Blocks until it is there."""
        return self._residents.load(name, hold=hold)

    def unload(self, name: str, *, force: bool = False) -> None:
        """Lets a model go."""
        self._residents.unload(name, force=force)

    def metrics(self) -> Sequence[Sample]:
        """The engines' figures."""
        ready = [each for each in self._residents.ready() if hasattr(each[1], "engine")]
        engines = cast("Iterable[tuple[str, LocalModel]]", ready)
        return [sample for name, model in engines for sample in _samples(name, model)]

    @property
    def shelf(self) -> CatalogShelf:
        """What they are loaded from."""
        return self._shelf

    @property
    def is_loading(self) -> bool:
        """After `close`: a load still runs."""
        return self._residents.is_loading

    def _context(self, model: Installed) -> int | None:
        """Tokens that it answers with here, or its card's word where its files cannot be read."""
        try:
            return self._shelf.plan(model.name).context
        except KataribeError:
            return model.card.context_length

    def close(self) -> None:
        """Frees every model; the server has let running replies finish already."""
        self._residents.close(0.0)


class ServedTokenizer:
    """A model's tokenizer as the server asks it; chats become the ids that the model answers."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.encode = tokenizer.encode
        self.decode = tokenizer.decode
        self.pieces = tokenizer.pieces

    @property
    def vocab_size(self) -> int:
        """Ids run from 0 to this, exclusive."""
        return self._tokenizer.vocab_size

    def thinking(self, wish: Thinking | None) -> dict[str, Any]:
        """See `thinking_variables`."""
        from kataribe.run.inference.conversation import thinking_variables

        return thinking_variables(self._tokenizer, wish)

    def chat_ids(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        add_generation_prompt: bool = True,
        continue_last: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """The ids of a conversation, by the same rule as for an answer."""
        from kataribe.run.inference.conversation import chat_ids

        return chat_ids(
            self._tokenizer,
            messages,
            tools=tools,
            add_generation_prompt=add_generation_prompt,
            continue_last=continue_last,
            variables=variables,
        )


def _read_tokenizer(path: Path, changed: int) -> ServedTokenizer:
    del changed  # a part of the cache's key only
    from kataribe.make.tokens.load import load_tokenizer

    return ServedTokenizer(load_tokenizer(path))


def _info(model: Installed, loaded: bool, context: int | None, use: Use | None) -> ModelInfo:
    try:
        created = int(dt.datetime.fromisoformat(model.card.installed).timestamp())
    except ValueError:
        created = int(model.folder.stat().st_mtime)
    owner = model.card.source.partition("/")[0].removeprefix("hf:") or "local"
    owner = owner if model.card.source.startswith("hf:") else "local"
    return ModelInfo(model.name, created, owner, loaded, context, use or "write")


def _samples(name: str, model: LocalModel) -> Iterator[Sample]:
    figures = model.engine.metrics
    labels = {"model": name}
    for field, (shown, text) in _GAUGES.items():
        yield Sample(shown, float(getattr(figures, field)), text, "gauge", labels)
    for field, (shown, text) in _COUNTERS.items():
        yield Sample(shown, float(getattr(figures, field)), text, "counter", labels)
