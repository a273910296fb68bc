"""The engine: requests from any event loop, computed together in one thread of its own."""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Self, TypeAlias

from kataribe.base.errors import BusyError, ContextLengthError, InputError, UnavailableError
from kataribe.make.tokens.stream import StreamDecoder
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.run.inference.core import Core
from kataribe.run.inference.generation import Generation
from kataribe.run.inference.mailbox import Mailbox, Stream
from kataribe.run.inference.requests import EngineLimits, EngineMetrics, GenerationRequest
from kataribe.run.inference.step import Runner

_Command: TypeAlias = Callable[[Core], None]
_STOPPING = "This model is being unloaded or the server is stopping."


class Place:
    """A place in an engine's queue, for a request that is still being made ready.

    As a context manager it is given back at the end, unless `Engine.submit` got it.
    """

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._is_held = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_held:
            self.pass_on()
            self._give_back()

    def pass_on(self) -> None:
        """From now on somebody else answers for it."""
        self._is_held = False


class Engine:
    """Generates for many requests at once.

    Safe to use from several threads and event loops. The thread starts with the first request,
    and the runner is used, and closed, by it alone.

    Args:
        runner: Computes logits; the engine owns it from now on.
        tokenizer: Of the model.
        limits: How much at once.
        name: Of the thread, as a debugger shows it.
    """

    def __init__(
        self,
        runner: Runner,
        tokenizer: Tokenizer,
        limits: EngineLimits | None = None,
        *,
        name: str = "kataribe-engine",
    ) -> None:
        self.limits = limits or EngineLimits()
        self._runner = runner
        self._ids = min(runner.vocab_size, tokenizer.vocab_size)
        self._tokenizer = tokenizer
        self._core = Core(runner, tokenizer, self.limits, self._count_start, self._count_end)
        # A SimpleQueue may be put to from `__del__`, whatever the thread is just doing.
        self._inbox: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._unstarted = 0  # requests
        self._started = 0
        self._refused = 0
        self._closed_because: str | None = None
        self._stop_at: float | None = None

    @property
    def is_open(self) -> bool:
        """It takes requests: it is neither being shut down nor broken."""
        return self._closed_because is None

    @property
    def context_length(self) -> int:
        """Tokens of prompt and reply together."""
        held = self._runner.blocks * self._runner.block_size
        return held if self.limits.context is None else min(held, self.limits.context)

    @property
    def metrics(self) -> EngineMetrics:
        """How things stood after the last step."""
        now = self._core.latest
        waiting = max(self._unstarted, now.waiting)
        return replace(now, waiting=waiting, refused=self._refused)

    def reserve(self) -> Place:
        """A place in the queue; who prepares a request takes one first.

        Raises:
            BusyError: The queue is full.
            UnavailableError: The engine is stopping, or its runner is gone.
        """
        with self._lock:
            if self._closed_because is not None:
                raise UnavailableError(self._closed_because)
            waiting = self._unstarted - self._free_places()
            if waiting >= self.limits.queue:
                self._refused += 1
                raise self._too_busy(waiting)
            self._unstarted += 1
        return Place(self._count_left)

    def submit(self, request: GenerationRequest, place: Place | None = None) -> Stream:
        """Takes a request; its events come to the running event loop.

        `place` is what `reserve` gave; without one, a place is taken now.

        Raises:
            ContextLengthError: Prompt, or prompt and `max_tokens`, do not fit.
            InputError: A token id is outside the vocabulary.
            BusyError: The queue is full.
            UnavailableError: The engine is stopping, or its runner is gone.
        """
        loop = asyncio.get_running_loop()
        generation = self._generation(request, Mailbox(loop))
        with place or self.reserve() as held, self._lock:
            if self._closed_because is not None:
                raise UnavailableError(self._closed_because)
            held.pass_on()
            if self._thread.ident is None:
                self._thread.start()
            self._inbox.put(lambda core: core.accept(generation))
        return Stream(
            generation.mailbox, lambda: self._inbox.put(lambda core: core.give_up(generation))
        )

    def _too_busy(self, waiting: int) -> BusyError:
        return BusyError(
            f"{waiting} requests wait already and the queue holds {self.limits.queue}. "
            "Try again later, or raise the setting `queue`.",
            retry_after=self._core.pace.retry_after(waiting),
        )

    def shutdown(self, grace: float = 0.0) -> None:
        """Refuses new requests, lets the others run for up to `grace` seconds, ends what is left.

        What is left ends with reason `cancelled`. Waits until the thread has closed the runner;
        from an event loop call it with `asyncio.to_thread`. Calling it again does no harm.
        """
        with self._lock:
            first = self._stop_at is None
            self._closed_because = self._closed_because or _STOPPING
            self._stop_at = time.monotonic() + grace
            never_started = first and self._thread.ident is None
        if never_started:
            self._runner.close()
        elif self._thread.ident is not None:
            self._inbox.put(lambda _core: None)  # wakes it
            self._thread.join()

    def _generation(self, request: GenerationRequest, mailbox: Mailbox) -> Generation:
        sampling = request.sampling
        end = self._end(request)  # first: looking at the ids of a prompt without bound takes time
        # A file may name an end token for which the model has no logit; it is never drawn.
        eos_ids = frozenset(end for end in self._tokenizer.eos_ids if end < self._ids)
        self._check_ids("prompt", request.ids)
        self._check_ids("logit_bias", tuple(sampling.logit_bias))
        self._check_ids("stop_token_ids", tuple(request.stop_ids))
        end_ids = request.stop_ids | eos_ids
        if sampling.ignore_eos and request.constraint is None:
            end_ids = request.stop_ids - eos_ids
        seed = secrets.randbits(63) if request.seed is None else request.seed
        return Generation(
            request=request,
            mailbox=mailbox,
            seed=seed,
            end=end,
            end_ids=end_ids,
            new_decoder=lambda: StreamDecoder(
                self._tokenizer, skip_special=request.skip_special, continues=request.continues
            ),
        )

    def _end(self, request: GenerationRequest) -> int:
        prompt, limit = len(request.ids), self.context_length
        if request.source:
            limit = self._limit_behind_source(request, limit)
        if request.score_only:
            if prompt > limit:
                raise ContextLengthError(prompt, limit)
            return prompt
        if prompt >= limit:  # no room for even one token
            raise ContextLengthError(prompt, limit, reply_tokens=1)
        wanted = request.sampling.max_tokens
        if wanted is None:
            return limit
        if prompt + wanted > limit:
            raise ContextLengthError(prompt, limit, reply_tokens=wanted)
        return prompt + wanted

    def _limit_behind_source(self, request: GenerationRequest, limit: int) -> int:
        """Where prompt and reply must end, when source and target each have a limit, too.

        What is written last is never read, so it needs no place in the model.
        """
        source, target = self.limits.source, self.limits.target
        if source is not None and request.source > source:
            raise InputError(
                f"The source has {request.source} tokens, but this model reads at most {source}. "
                "Shorten it, or cut it into parts.",
                param="messages",
                code=ContextLengthError.code,
            )
        if target is None or request.source + target + 1 >= limit:
            return limit
        wanted = request.sampling.max_tokens or 0
        begun = len(request.ids) - request.source
        if begun + wanted > target + 1:
            raise InputError(
                f"The reply would have {begun + wanted - 1} tokens ({begun} at its beginning and "
                f"{wanted} that are asked for), but this model writes at most {target}. Ask for a "
                "shorter reply.",
                param="max_tokens",
                code=ContextLengthError.code,
            )
        return request.source + target + 1

    def _check_ids(self, param: str, ids: tuple[int, ...]) -> None:
        size = self._ids
        for worst in (min(ids, default=0), max(ids, default=0)):
            if not 0 <= worst < size:
                raise InputError(
                    f"{param} has token id {worst}, but the model's ids go from 0 to {size - 1}.",
                    param=param,
                )

    def _free_places(self) -> int:
        """Places where requests on their way to one will run without waiting for an end."""
        now = self._core.latest
        return 0 if now.waiting else max(0, self.limits.running - max(self._started, now.running))

    def _count_left(self) -> None:
        with self._lock:
            self._unstarted -= 1

    def _count_start(self) -> None:
        with self._lock:
            self._unstarted -= 1
            self._started += 1

    def _count_end(self) -> None:
        with self._lock:
            self._started -= 1

    def _main(self) -> None:
        core = self._core
        because = "The engine broke down; load the model anew."
        try:
            self._serve(core)
            because = _STOPPING
        except UnavailableError as error:
            because = error.message
        finally:
            with self._lock:
                self._closed_because = because
            self._drain(core)  # what came in before the door was shut
            core.fail_all(UnavailableError(because))
            self._runner.close()

    def _serve(self, core: Core) -> None:
        while True:
            self._drain(core)
            stop_at = self._stop_at
            if stop_at is not None and (core.is_idle or time.monotonic() >= stop_at):
                core.end_all("cancelled", _STOPPING)
                return
            worked = core.step()
            if not worked and core.is_idle:
                self._inbox.get()(core)

    def _drain(self, core: Core) -> None:
        while True:
            try:
                command = self._inbox.get_nowait()
            except queue.Empty:
                return
            command(core)
