"""Attention of the models of this machine: loaded beside them, under the same memory budget."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kataribe.base.errors import BusyError, NotFoundError, UnsupportedError
from kataribe.base.inside import AttentionShape

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.base.lm import LM, Capabilities
    from kataribe.cli.shelf import CatalogShelf
    from kataribe.make.model.configs.config import ModelConfig
    from kataribe.run.inference.attention_view import AttentionView
    from kataribe.run.inference.residents import LoadedModel, LoadProgress, Residents

MOST_PARAMETERS = 400_000_000
"""Of a model that shows attention: in float32 it takes 1.6 GB, and reads 2,000 tokens in a minute
on two slow cores."""

MOST_TOKENS = 2048
"""Of prompt and reply: queries and keys of all of them are kept, in all layers."""

IDLE_SECONDS = 120.0
"""After which an attention view is let go."""


class ViewName(str):
    """The name of a model's attention view among the models in memory.

    A type of its own, so that nobody can ask for one by writing its name.
    """

    __slots__ = ()


class ShelfWithViews:
    """A `CatalogShelf` that loads attention views too."""

    def __init__(self, shelf: CatalogShelf) -> None:
        self._shelf = shelf

    def resolve(self, name: str) -> str:
        """The name under which it is kept."""
        if isinstance(name, ViewName):
            return name
        return self._shelf.resolve(name)

    def memory(self, name: str) -> int:
        """Bytes that it will take."""
        if not isinstance(name, ViewName):
            return self._shelf.memory(name)
        from kataribe.make.model.configs.counting import parameter_count
        from kataribe.run.inference.attention_view import view_bytes

        config = self.config(model_of(name))
        return view_bytes(config, parameter_count(config), MOST_TOKENS)

    def capabilities(self, name: str) -> Capabilities:
        """What the model will be able to do."""
        return self._shelf.capabilities(model_of(name))

    def load(self, name: str, progress: LoadProgress | None = None) -> LoadedModel:
        """Brings it into memory."""
        if not isinstance(name, ViewName):
            return self._shelf.load(name, progress)
        from kataribe.run.inference.attention_view import AttentionView

        self._shelf.count_load()
        plan = self._shelf.plan(model_of(name))
        return LoadedView(AttentionView(plan.path, plan.context, progress))

    def config(self, name: str) -> ModelConfig:
        """What an installed model is; its header is read once."""
        path = self._shelf.catalog.path_of(self._shelf.resolve(name))
        return _config(path, path.stat().st_mtime_ns)


@dataclass(frozen=True, slots=True)
class LoadedView:
    """An attention view among the models in memory; it answers nothing."""

    view: AttentionView

    @property
    def lm(self) -> LM:
        """There is none."""
        raise UnsupportedError("This shows attention only; ask the model itself.")

    @property
    def is_open(self) -> bool:
        """It can still show."""
        return self.view.is_open

    def close(self, grace: float) -> None:
        """Frees it."""
        del grace
        self.view.close()


class AttentionHere:
    """An `AttentionSource` over the models in memory; loads a view on its first use."""

    def __init__(self, shelf: ShelfWithViews, residents: Residents) -> None:
        self._shelf = shelf
        self._residents = residents
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        # A pass takes up to a minute of all cores. A few at once would keep everybody else out of
        # the threads that all requests share; who gives up meanwhile leaves this queue.
        self._passes = ThreadPoolExecutor(1, thread_name_prefix="attention")

    async def shape(self, model: str) -> AttentionShape:
        """What there is to see of a model."""
        return await asyncio.to_thread(self._shape, model)

    async def weights(
        self, model: str, ids: tuple[int, ...], layer: int, head: int, looking: int
    ) -> tuple[float, ...]:
        """See `AttentionSource.weights`."""
        shape = await self.shape(model)
        if not shape.shown:
            raise UnsupportedError(
                f"{model} has {shape.parameters:,} parameters; attention is shown of models with "
                f"at most {MOST_PARAMETERS:,}. Choose a smaller model.",
                param="model",
            )
        if len(ids) > MOST_TOKENS:
            raise UnsupportedError(
                f"Prompt and reply have {len(ids):,} tokens; attention is shown of at most "
                f"{MOST_TOKENS:,}. Look inside a reply near the beginning of a conversation.",
                param="position",
            )
        name = ViewName(f"{self._shelf.resolve(model)} (attention)")
        if name in self._timers:
            self._timers.pop(name).cancel()
        loop = asyncio.get_running_loop()
        try:
            async with self._residents.loaded(name) as loaded:
                view = cast("LoadedView", loaded).view
                look = functools.partial(view.weights, ids, layer, head, looking)
                return await loop.run_in_executor(self._passes, look)
        finally:
            self._timers[name] = loop.call_later(IDLE_SECONDS, self._leave, name)

    def _shape(self, model: str) -> AttentionShape:
        from kataribe.make.model.configs.counting import parameter_count

        config = self._shelf.config(model)
        parameters = parameter_count(config)
        return AttentionShape(config.layers, config.heads, parameters, MOST_PARAMETERS, MOST_TOKENS)

    def _leave(self, name: ViewName) -> None:
        task = asyncio.get_running_loop().create_task(self._unload(name))
        self._leaving.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._leaving.discard)

    async def _unload(self, name: ViewName) -> None:
        self._timers.pop(name, None)
        with contextlib.suppress(NotFoundError, BusyError):  # gone, or in use again
            await asyncio.to_thread(self._residents.unload, name)


def model_of(name: str) -> str:
    """The model that an attention view is of; any other name is a model's own."""
    return name.removesuffix(" (attention)") if isinstance(name, ViewName) else name


@functools.lru_cache(maxsize=32)
def _config(path: Path, changed: int) -> ModelConfig:
    del changed  # a part of the cache's key only
    from kataribe.make.model.weights.checkpoint import open_checkpoint
    from kataribe.make.model.weights.encoder_decoder_folder import holds_encoder_decoder

    if holds_encoder_decoder(path):
        raise UnsupportedError(
            f"{path.name} is an encoder-decoder; attention is shown of decoders. Choose one of "
            "these.",
            param="model",
        )
    return open_checkpoint(path).config
