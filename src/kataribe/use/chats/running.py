"""The replies that are being written: begun, kept as they grow, stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import KataribeError, StorageError
from kataribe.base.limits import Limits
from kataribe.base.messages import Message as Turn
from kataribe.store import conversations, journals
from kataribe.store.database import Store
from kataribe.store.messages import Message
from kataribe.store.news import ConsentTold, Delta, News, StepTold
from kataribe.store.preferences import limits_of
from kataribe.store.tables import LIVE, messages
from kataribe.use.chats.consent import SECONDS
from kataribe.use.chats.hub import Hub
from kataribe.use.chats.live import LiveReply, request_for
from kataribe.use.chats.prompt import prompt_messages
from kataribe.use.chats.values import Ended, Models

log = logging.getLogger("kataribe.chats")

SAVE_SECONDS = 0.5
"""What a power cut may cost of a running reply: its row is written this often.

The end of the process alone costs nothing, see `kataribe.store.journals`."""


@dataclass(eq=False, slots=True)
class Run:
    """A reply that is being written, for whom and where."""

    owner: str
    conversation: str
    live: LiveReply
    task: asyncio.Task[None] | None = None
    ending: Ended | None = None
    broken: bool = False


class Replies:
    """The running replies by their ids; in one event loop.

    `on_end` is awaited with a run that ended by itself; one that was stopped is not told.
    `patience`: seconds that a reply waits for consent.
    """

    patience = SECONDS

    def __init__(
        self, store: Store, models: Models, hub: Hub, on_end: Callable[[Run], Awaitable[None]]
    ) -> None:
        self._store = store
        self._models = models
        self._hub = hub
        self._on_end = on_end
        self._runs: dict[str, Run] = {}

    def start(self, owner: str, message: Message, model: str) -> None:
        """Begins to write a reply."""
        id_ = message.conversation
        live = LiveReply(message, model, partial(self._tell, owner, id_))
        journals.begin(self._store.path, message.id, model)
        run = Run(owner, id_, live)
        self._runs[message.id] = run
        run.task = asyncio.create_task(self._run(run))
        run.task.add_done_callback(partial(self._broke, run))

    def _tell(self, owner: str, id_: str, news: News) -> None:
        """Words are in their file before anybody sees them: what was seen is not lost."""
        if isinstance(news, Delta):
            journals.add(self._store.path, news.id, news.kind, news.at, news.text)
        elif isinstance(news, StepTold):
            journals.add(self._store.path, news.id, "steps", news.at, news.step)
        elif isinstance(news, ConsentTold):
            journals.add(self._store.path, news.id, "consents", news.at, news.round)
        self._hub.tell(owner, id_, news)

    def get(self, reply: str) -> Run | None:
        """A running reply."""
        return self._runs.get(reply)

    def of(self, conversation: str) -> list[Run]:
        """The running replies of a conversation, in the order that they began."""
        return [run for run in self._runs.values() if run.conversation == conversation]

    @property
    def conversations(self) -> set[str]:
        """Where anything runs."""
        return {run.conversation for run in self._runs.values()}

    def take(self, run: Run) -> bool:
        """Takes an ended run off; False when somebody stopped it meanwhile."""
        return self._runs.pop(run.live.message.id, None) is run

    async def stop(self, runs: Iterable[Run], state: str = "stopped") -> dict[str, Ended]:
        """Stops replies; gives how each ended, with its words. The rows are the caller's to write.

        One that had ended by itself just now keeps its own ending.
        """
        stopped = [run for run in runs if self.take(run)]
        for run in stopped:
            assert run.task is not None
            run.task.cancel()
        await asyncio.gather(*(run.task for run in stopped if run.task), return_exceptions=True)
        return {run.live.message.id: run.ending or run.live.ending(state) for run in stopped}

    async def _run(self, run: Run) -> None:
        saving = asyncio.create_task(self._save(run))
        try:
            prompt, limits = await self._store.read(lambda tx: self._prompt(tx, run))
            request = request_for(run.live.message, prompt, run.owner)
            request = replace(request, context=limits.within(request.context))
            allowed = partial(self._allowed, run)
            run.ending = await run.live.write(self._models, request, allowed, self.patience)
        except KataribeError as error:
            failure = {"code": error.code, "message": error.message}
            run.ending = run.live.ending("failed", failure)
        finally:
            # `wait` and not `await`: whoever stops this task must be heard here, too.
            saving.cancel()
            await asyncio.wait({saving})
        await self._on_end(run)

    def _broke(self, run: Run, task: asyncio.Task[None]) -> None:
        """An error that nobody foresaw ends the reply, too; its details are in the log."""
        error = None if task.cancelled() else task.exception()
        stopped = task.cancelled() and self.get(run.live.message.id) is not run
        if stopped or (error is None and not task.cancelled()):
            return
        if isinstance(error, KataribeError) or run.broken:
            log.warning("A reply could not be ended: %s", error)  # its conversation is gone
            return
        log.error("A reply by %s broke off", run.live.model, exc_info=error)
        run.broken = True
        self._runs[run.live.message.id] = run
        said = "An unexpected error happened in the server. Its log has the details."
        run.ending = run.live.ending("failed", {"code": "internal_error", "message": said})
        run.task = asyncio.create_task(self._tell_end(run))
        run.task.add_done_callback(partial(self._broke, run))

    async def _tell_end(self, run: Run) -> None:
        await self._on_end(run)

    async def _allowed(self, run: Run, model: str) -> frozenset[str]:
        def look(tx: Connection) -> frozenset[str]:
            allowed = conversations.get(tx, run.owner, run.conversation).allowed
            return frozenset(each["tool"] for each in allowed if each["model"] == model)

        return await self._store.read(look)

    def _prompt(self, tx: Connection, run: Run) -> tuple[tuple[Turn, ...], Limits]:
        conversation = conversations.get(tx, run.owner, run.conversation)
        question = run.live.message.parent
        assert question is not None  # a reply answers something
        return prompt_messages(tx, conversation, question), limits_of(tx, run.owner)

    async def _save(self, run: Run) -> None:
        live = run.live
        kept = (live.text, live.reasoning, 0)
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            now = (live.text, live.reasoning, live.changes)
            if now == kept:
                continue
            more = _more(live) if now[2] != kept[2] else {}
            try:
                there = await self._store.write(partial(_keep, live=live, words=now[:2], more=more))
                kept = now
            except StorageError as error:
                log.warning("A running reply could not be kept just now: %s", error)
                continue
            if not there and self.take(run):  # deleted with the person that it was for
                assert run.task is not None
                run.task.cancel()
                journals.remove(self._store.path, [live.message.id])
                return


def _more(live: LiveReply) -> dict[str, Any]:
    """Steps and consents; long, so they are written only where something is new."""
    return {"steps": list(live.steps.all), "consents": list(live.consents.rounds)}


def _keep(tx: Connection, live: LiveReply, words: tuple[str, str], more: Mapping[str, Any]) -> bool:
    """Keeps the words so far; False where the reply is gone."""
    text, reasoning = words
    done = tx.execute(
        sa.update(messages)
        .where(messages.c.id == live.message.id, messages.c.state.in_(LIVE))
        .values(
            text=text,
            length=len(text),
            reasoning=reasoning,
            state=live.state,
            model=live.model,
            **more,
        )
    )
    return bool(done.rowcount)
