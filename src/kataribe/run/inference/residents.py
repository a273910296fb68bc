"""Models in memory: loaded on request, kept under a budget, the least recently used goes first.

`Residents` knows nothing of files or tensors: a loader brings a model in, an estimate says
beforehand what it will take. A lease keeps a model from being evicted while somebody uses it; a
hold keeps it until it is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal, Protocol

from kataribe.base.amounts import memory_words
from kataribe.base.errors import BusyError, InputError, NotFoundError, UnavailableError
from kataribe.base.events import Event, Progress
from kataribe.base.freeing import give_back
from kataribe.base.inside import Inspectable, Inspector
from kataribe.base.lm import LM, Capabilities, Request, Score, Scorer, close_stream

_POLL = 0.1
"""Seconds between two reports of how far a load has come."""

_BREAK_OFF = 1.0
"""Seconds that a load may take to notice that it is no longer wanted."""

LoadProgress = Callable[[int, int], None]
"""Called with bytes read and bytes in all."""


class LoadedModel(Protocol):
    """What a loader returns: an `LM` that can be closed."""

    @property
    def lm(self) -> LM:
        """The model as it is asked."""
        ...

    @property
    def is_open(self) -> bool:
        """It can still answer; one that cannot is forgotten, and loaded anew when asked for."""
        ...

    def close(self, grace: float) -> None:
        """Frees everything; running replies get `grace` seconds to end. Blocks."""
        ...


class Shelf(Protocol):
    """Where models come from; all calls may block."""

    def resolve(self, name: str) -> str:
        """The name under which a model is kept; `NotFoundError` with near names."""
        ...

    def memory(self, name: str) -> int:
        """Bytes that the model will take once loaded, its KV cache included."""
        ...

    def capabilities(self, name: str) -> Capabilities:
        """What it will be able to do, known before it is loaded."""
        ...

    def load(self, name: str, progress: LoadProgress) -> LoadedModel:
        """Brings the model into memory."""
        ...


@dataclass(frozen=True, slots=True)
class Resident:
    """One model in memory, as `ps` shows it. Memory is in bytes, `idle` in seconds."""

    name: str
    state: Literal["loading", "ready"]
    memory: int
    held: bool
    leases: int
    idle: float
    loaded_bytes: int
    total_bytes: int


@dataclass(slots=True, eq=False)
class _Place:
    name: str
    memory: int
    future: Future[LoadedModel] = field(default_factory=Future)
    leases: int = 0
    waiting: int = 0
    held: bool = False
    began: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)
    progress: tuple[int, int] = (0, 0)


class Residents:
    """The models in memory; safe to use from several threads and event loops.

    Args:
        shelf: Where models come from.
        budget: Bytes that all of them may take together.
        queue: Requests that may wait for one model's load.
    """

    def __init__(self, shelf: Shelf, *, budget: int, queue: int = 256) -> None:
        self._shelf = shelf
        self._budget = budget
        self._queue = queue
        self._places: dict[str, _Place] = {}
        self._lock = threading.RLock()  # a load that fails at once calls back while we hold it
        self._loaders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="load")
        self._closing = False
        self._breaking_off: set[Future[LoadedModel]] = set()

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[ResidentLM]:
        """An `LM` that loads on its first request and stays at least as long as the lease.

        Raises `NotFoundError` for an unknown name, `UnavailableError` where the budget allows no
        further model at the moment, or ever, and `BusyError` where too many wait for its load.
        """
        place = await asyncio.to_thread(self._claim, name, queues=True)
        try:
            yield ResidentLM(place.name, self._shelf.capabilities(place.name), place)
        finally:
            self._release(place, queued=True)

    @contextlib.asynccontextmanager
    async def loaded(self, name: str) -> AsyncIterator[LoadedModel]:
        """The loaded model itself, once it is there."""
        place = await asyncio.to_thread(self._claim, name, queues=True)
        try:
            yield await asyncio.shield(asyncio.wrap_future(place.future))
        finally:
            self._release(place, queued=True)

    def load(self, name: str, *, hold: bool = True) -> Resident:
        """Loads and, unless told otherwise, holds a model. Blocks until it is there."""
        place = self._claim(name)
        try:
            place.future.result()
            place.held = place.held or hold
        finally:
            self._release(place)
        return _shown(place)

    def unload(self, name: str, *, force: bool = False) -> None:
        """Lets a model go. `BusyError` while replies run, unless forced: then they break off."""
        resolved = self._shelf.resolve(name)
        with self._lock:
            place = self._places.get(resolved)
            if place is None:
                loaded = ", ".join(sorted(self._places)) or "none"
                raise NotFoundError(f"{resolved} is not loaded. Loaded: {loaded}.", param="model")
            if place.leases and not force:
                raise BusyError(
                    f"{resolved} answers {place.leases} requests now. Wait, or unload it by force.",
                    retry_after=5,
                    param="model",
                )
            going = [self._places.pop(resolved)]
            del place
        _free(going)

    def ps(self) -> tuple[Resident, ...]:
        """The models in memory, most recently used first."""
        with self._lock:
            places = sorted(self._places.values(), key=lambda place: -place.used)
        return tuple(_shown(place) for place in places)

    def ready(self) -> Iterator[tuple[str, LoadedModel]]:
        """The models that are loaded now, for their figures."""
        with self._lock:
            places = list(self._places.values())
        for place in places:
            if place.future.done() and place.future.exception() is None:
                yield place.name, place.future.result()

    def stop_loading(self) -> None:
        """Refuses new leases and breaks off loads that run; who waits for them is told."""
        self._closing = True

    def close(self, grace: float) -> None:
        """`stop_loading`, then frees every model; replies get `grace` seconds to end. Blocks.

        A load that is busy with one large tensor is not waited for; `is_loading` tells.
        """
        self.stop_loading()
        with self._lock:
            places = list(self._places.values())
            self._places.clear()
        loads = [place.future for place in places if not place.future.done()]
        self._breaking_off = wait(loads, timeout=_BREAK_OFF).not_done
        closers = [
            threading.Thread(target=_close, args=(place, grace))
            for place in places
            if place.future not in self._breaking_off
        ]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()
        self._loaders.shutdown(wait=not self._breaking_off)

    @property
    def is_loading(self) -> bool:
        """After `close`: a load still runs, and would hold the process up."""
        return any(not load.done() for load in self._breaking_off)

    def _claim(self, name: str, *, queues: bool = False) -> _Place:
        """A model's place, one lease more on it; `queues` for one that waits in the queue."""
        resolved = self._shelf.resolve(name)
        need = self._shelf.memory(resolved)
        with self._lock:
            self._check_open()
            dead = self._take_dead(resolved)
            place = self._places.get(resolved)
            if place is None:
                victims = [*dead, *self._make_room(resolved, need)]
                place = _Place(resolved, need, held=any(each.held for each in dead))
                self._places[resolved] = place
                place.future = self._loaders.submit(self._load, place, victims)
                place.future.add_done_callback(lambda _: self._forget_failed(place))
            if queues:
                self._check_queue(place)
                place.waiting += 1
            place.leases += 1
            place.used = time.monotonic()
            return place

    def _check_open(self) -> None:
        if self._closing:
            raise UnavailableError("The server is stopping.", retry_after=5)

    def _check_queue(self, place: _Place) -> None:
        """Whether one more request may wait for a load; a loaded model has its own queue."""
        if place.future.done() or place.waiting < self._queue:
            return
        raise BusyError(
            f"{place.name} is loading; {place.waiting} requests wait for it already and the queue "
            f"holds {self._queue}. Try again later, or raise the setting `queue`.",
            retry_after=_left(place),
            param="model",
        )

    def _take_dead(self, name: str) -> list[_Place]:
        """Takes a model that can no longer answer off the list, to be closed."""
        place = self._places.get(name)
        if place is None or not place.future.done() or place.future.exception() is not None:
            return []
        if place.future.result().is_open:
            return []
        return [self._places.pop(name)]

    def _make_room(self, name: str, need: int) -> list[_Place]:
        """Takes the least recently used models off the list until `need` bytes fit."""
        if need > self._budget:
            raise UnavailableError(
                f"{name} needs about {memory_words(need)}, but the memory budget is "
                f"{memory_words(self._budget)}. Choose a smaller model, precision or context "
                "(--ctx), or raise KATARIBE_MEMORY.",
                param="model",
            )
        idle = sorted(
            (p for p in self._places.values() if not p.leases and not p.held and p.future.done()),
            key=lambda place: place.used,
        )
        victims: list[_Place] = []
        used = sum(place.memory for place in self._places.values())
        while used + need > self._budget:
            if not idle:
                busy = ", ".join(sorted(self._places))
                free = memory_words(self._budget - used)
                raise UnavailableError(
                    f"{name} needs about {memory_words(need)}, and {free} of the budget of "
                    f"{memory_words(self._budget)} is free: in use or held are {busy}. "
                    "Try again later, or unload one (kataribe models unload NAME).",
                    retry_after=10,
                    param="model",
                )
            victims.append(idle.pop(0))
            used -= victims[-1].memory
        for victim in victims:
            del self._places[victim.name]
        return victims

    def _load(self, place: _Place, victims: list[_Place]) -> LoadedModel:
        def report(done: int, total: int) -> None:
            self._check_open()  # the one place where a load can be broken off
            place.progress = (done, total)

        if victims:
            _free(victims)
        self._check_open()
        return self._shelf.load(place.name, report)

    def _forget_failed(self, place: _Place) -> None:
        """A load that failed has told all who waited; the next request tries again."""
        if place.future.exception() is None:
            return
        with self._lock:
            if self._places.get(place.name) is place:
                del self._places[place.name]

    def _release(self, place: _Place, *, queued: bool = False) -> None:
        with self._lock:
            place.leases -= 1
            place.waiting -= queued
            place.used = time.monotonic()


class ResidentLM:
    """A leased model: an `LM` and a `Scorer` that waits for its load, saying how far it is."""

    def __init__(self, name: str, capabilities: Capabilities, place: _Place) -> None:
        self._name = name
        self._capabilities = capabilities
        self._place = place

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """The model's own events, after progress of its load."""
        loading = asyncio.wrap_future(self._place.future)
        # Not `loading.done()`: that says no until the event loop has turned once, and a model in
        # memory would be told to be loading.
        while not self._place.future.done():
            done, total = self._place.progress
            yield Progress("loading", done, total or None)
            await asyncio.wait([loading], timeout=_POLL)
        events = (await asyncio.shield(loading)).lm.stream(request)
        try:
            async for event in events:
                yield event
        finally:
            await close_stream(events)

    async def score(self, prompt: str, continuations: Sequence[str]) -> tuple[Score, ...]:
        """The model's own scores, once it is loaded."""
        lm = (await asyncio.shield(asyncio.wrap_future(self._place.future))).lm
        if not isinstance(lm, Scorer):
            raise InputError(f"{self._name} cannot score given texts.", param="model")
        return await lm.score(prompt, continuations)

    async def inspector(self) -> Inspector:
        """The model's own inspector, once it is loaded."""
        lm = (await asyncio.shield(asyncio.wrap_future(self._place.future))).lm
        if not isinstance(lm, Inspectable):
            raise InputError(f"{self._name} shows no distributions.", code="unsupported")
        return await lm.inspector()


def _shown(place: _Place) -> Resident:
    return Resident(
        name=place.name,
        state="ready" if place.future.done() else "loading",
        memory=place.memory,
        held=place.held,
        leases=place.leases,
        idle=0.0 if place.leases else time.monotonic() - place.used,
        loaded_bytes=place.progress[0],
        total_bytes=place.progress[1],
    )


def _close(place: _Place, grace: float) -> None:
    """Waits for a load that runs, then frees the model."""
    if place.future.exception() is None:
        place.future.result().close(grace)


def _free(places: list[_Place]) -> None:
    """Closes models and gives their memory back; empties the list, so that nothing holds them."""
    while places:
        _close(places.pop(0), grace=0.0)
    give_back()


def _left(place: _Place) -> float:
    """Seconds until a load is likely to be done, from its pace so far."""
    done, total = place.progress
    if not 0 < done < total:
        return 5.0
    return min(60.0, max(1.0, (time.monotonic() - place.began) * (total - done) / done))
