"""Random interleavings of two clients, against a slow and plain model of the queue.

A few hundred in every run, a thousand with the slow tests.
Replies end when the test lets them, so messages really wait while two clients send, edit, withdraw,
merge, steer and stop. The database notes in which order the acts reached it; the model follows in
that order, and after every act the queue has to be what the model says.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import conversations
from kataribe.store.asking import Became, Retry, Said
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.queue import Item
from kataribe.store.tables import LOCAL
from kataribe.use.chats.chats import Chats
from kataribe.use.chats.turns import Turn
from tests.use.chats.conftest import WORDS, Gated, Models, Talk

T = TypeVar("T")

INTERLEAVINGS = (240, pytest.param(1000, marks=pytest.mark.slow))
AT_ONCE = 8
"""Conversations that also disturb each other; few, so that their acts take turns quickly."""

STEPS = 6
"""Acts of each of the two clients; the first two say something, so that something waits."""

WEIGHTS = {
    "say": 6,
    "say now": 2,
    "say steer": 2,
    "sent again": 2,
    "edit": 5,
    "withdraw": 4,
    "merge": 7,
    "now": 3,
    "steer": 4,
    "stop": 2,
    "again": 6,
    "let end": 4,
}
NEEDS_ITEM = ("edit", "withdraw", "merge", "now")
QUEUE_ACTS = ("edit", "withdraw", "merge", "now", "steer")
TOOK_EFFECT = {
    **dict.fromkeys(QUEUE_ACTS, 200),
    **dict.fromkeys(("say now", "say steer", "stop", "ended"), 100),
    "again": 20,
}
"""How often each must at least have changed something in a thousand, or the test says nothing."""

REFUSED = {
    "edit": "withdrawn",
    "withdraw": "withdrawn",
    "merge": "to merge with|withdrawn",
    "now": "withdrawn",
    "steer": "withdrawn",
    "again": "being written",
}
"""What may be refused because the other client, or the end of a reply, was quicker."""

Waits = tuple[str, str, tuple[str, ...]]
"""Id, text and sources of a message."""


@dataclass(eq=False)
class Act:
    """Something that a client does, or the end of a reply, and what came of it."""

    kind: str
    id: str = ""
    text: str = ""
    other: str = ""
    reached: bool = False  # the database
    refused: str | None = None
    items: tuple[Item, ...] | None = None  # what waits after it
    became: Became | None = None
    stopped: int | None = None


@dataclass
class Model:
    """What every act should do, in lists."""

    queue: list[Waits] = field(default_factory=list)
    questions: list[Waits] = field(default_factory=list)
    withdrawn: list[Waits] = field(default_factory=list)
    pending: bool = False

    def apply(self, act: Act) -> bool:
        """Whether the act takes effect."""
        if act.kind in NEEDS_ITEM and act.id not in [id_ for id_, _, _ in self.queue]:
            return False
        place = next((n for n, item in enumerate(self.queue) if item[0] == act.id), 0)
        match act.kind:
            case "say" | "say now" | "say steer":
                return self._say(act)
            case "edit":
                self.queue[place] = (act.id, act.text, self.queue[place][2])
            case "withdraw":
                self.withdrawn.append(self.queue.pop(place))
            case "merge":
                first = place - 1 if act.other == "previous" else place
                if not 0 <= first < len(self.queue) - 1:
                    return False
                self.queue[first : first + 2] = [joined(self.queue[first : first + 2])]
            case "now":
                self._ask(self.queue.pop(place))
            case "steer":
                return self._steer()
            case "stop":
                was, self.pending = self.pending, False
                return was
            case "again":
                was, self.pending = self.pending, True
                return not was
            case "ended":
                assert self.pending, "a reply ended that nobody asked for"
                self.pending = False
                if self.queue:
                    self._ask(self.queue.pop(0))
        return True

    def _say(self, act: Act) -> bool:
        if self.where(act.id) is not None:
            return False  # sent again: nothing happens twice
        one: Waits = (act.id, act.text, ())
        if act.kind == "say now":
            self._ask(one)
            return True
        self.queue.append(one)
        if act.kind == "say steer":
            return self._steer()
        if not self.pending:
            self._ask(self.queue.pop(0))
        return True

    def _steer(self) -> bool:
        if not self.queue:
            return False
        one = joined(self.queue)
        self.queue = []
        self._ask(one)
        return True

    def _ask(self, one: Waits) -> None:
        self.questions.append(one)
        self.pending = True

    def where(self, id_: str) -> tuple[str, str] | None:
        """What a sent id became, and its state."""
        for state, found in (
            ("queued", self.queue),
            ("sent", self.questions),
            ("withdrawn", self.withdrawn),
        ):
            for one, _, sources in found:
                if id_ in (one, *sources):
                    return one, state
        return None


def joined(items: Sequence[Waits]) -> Waits:
    ids = [id_ for one, _, sources in items for id_ in (one, *sources)]
    return ids[0], "\n\n".join(text for _, text, _ in items), tuple(ids[1:])


def plain(items: Sequence[Item]) -> list[Waits]:
    return [(item.id, item.text, item.sources) for item in items]


class Watched(Store):
    """Notes the order in which acts, and ends of replies, reach the database."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.acting: dict[asyncio.Task[Any] | None, tuple[Burst, Act]] = {}
        self.bursts: dict[str, Burst] = {}

    async def read(self, work: Callable[[Connection], T]) -> T:
        self._note()
        return await super().read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        self._note()
        made = await super().write(work)
        if isinstance(made, Turn):
            burst = self.bursts[made.conversation.id]
            burst.shown = made.queue
            if asyncio.current_task() not in self.acting:
                burst.log.append(Act("ended", items=made.queue))
        return made

    def _note(self) -> None:
        # All of an act happens under its conversation's lock: its first look is its place.
        burst, act = self.acting.get(asyncio.current_task(), (None, None))
        if burst is not None and act is not None and not act.reached:
            act.reached = True
            burst.log.append(act)


class Burst:
    """Two clients on one conversation, with everything that happened, in its order."""

    def __init__(self, store: Watched, chats: Chats, models: Models) -> None:
        self.store = store
        self.talk = Talk(chats, new_id())
        self.lm = models.lms[self.talk.id] = Gated(self.talk.id)
        with store.writing() as tx:
            conversations.create(tx, LOCAL, self.talk.id, model=self.talk.id)
        store.bursts[self.talk.id] = self
        self.log: list[Act] = []
        self.shown: tuple[Item, ...] = ()  # what waits, as the pages know
        self.sent: list[Act] = []
        self.replies: list[str] = []
        self.acts = 0

    async def client(self, random_: random.Random) -> None:
        for step in range(STEPS):
            kinds = WEIGHTS if step >= 2 else {"say": 1}
            act = self._choose(random_, random_.choices([*kinds], [*kinds.values()])[0])
            if act is None:
                self.lm.let_end()
            else:
                await self.do(act)
            for _ in range(random_.randrange(4)):
                await asyncio.sleep(0)

    def _choose(self, random_: random.Random, kind: str) -> Act | None:
        if kind == "let end":
            return None
        if kind == "sent again" and self.sent:  # also while the other client still sends it
            before = random_.choice(self.sent)
            return Act(before.kind, before.id, before.text)
        if kind in NEEDS_ITEM and self.shown:
            item = random_.choice(self.shown).id
            other = random_.choice(("previous", "next"))
            return Act(kind, item, f"edited {random_.random()}", other)
        if kind in ("steer", "stop"):
            return Act(kind)
        if kind == "again" and self.replies:
            return Act(kind, random_.choice(self.replies))
        said = Act(kind if kind.startswith("say") else "say", new_id(), f"<{len(self.sent)}>")
        self.sent.append(said)
        return said

    async def do(self, act: Act) -> None:
        self.acts += 1
        self.store.acting[asyncio.current_task()] = self, act
        try:
            await self._act(act)
        except (NotFoundError, InputError) as error:
            act.refused = error.message
        assert act.reached, act
        if act.items is not None:
            self.shown = act.items
        if act.became is not None:
            self.replies += act.became.replies

    async def _act(self, act: Act) -> None:
        chats, id_ = self.talk.chats, self.talk.id
        match act.kind:
            case "edit":
                act.items = await chats.edit(LOCAL, id_, act.id, act.text)
            case "withdraw":
                act.items = await chats.withdraw(LOCAL, id_, act.id)
            case "merge":
                act.items = await chats.merge(LOCAL, id_, act.id, act.other)  # type: ignore[arg-type]
            case "now":
                act.items = await chats.now(LOCAL, id_, act.id)
            case "steer":
                act.items = await chats.steer(LOCAL, id_)
            case "stop":
                act.stopped = len(await chats.stop(LOCAL, id_))
            case "again":
                await chats.again(LOCAL, id_, Retry(new_id(), act.id))
            case _:
                when = act.kind.removeprefix("say").strip() or "queue"
                said = Said(act.id, act.text, when=when)  # type: ignore[arg-type]
                act.became = await chats.say(LOCAL, id_, said)

    def check(self) -> Counter[str]:
        """Compares with the model, act by act; counts what took effect."""
        model = Model()
        effective: Counter[str] = Counter()
        assert sum(act.kind != "ended" for act in self.log) == self.acts
        for act in self.log:
            took = model.apply(act)
            effective[act.kind] += took
            _compare(act, model, took=took)
        every = self.talk.every()
        questions = [m for m in every if m.role == "user"]
        found = [(m.id, m.text, tuple(m.asked.get("sources", ()))) for m in questions]
        assert found == model.questions
        assert plain(self.talk.waiting()) == model.queue
        # And whatever the model thinks: nothing is lost, nothing is there twice.
        left = [*found, *model.queue, *model.withdrawn]
        ids = [id_ for one, _, sources in left for id_ in (one, *sources)]
        assert sorted(ids) == sorted(act.id for act in self.sent), "lost or doubled"
        for reply in (m for m in every if m.role == "assistant"):
            assert reply.state in ("done", "stopped")
            assert WORDS.startswith(reply.text)
            assert reply.text == WORDS or reply.state == "stopped"
        assert self.lm.most <= 1, "two replies at once"
        return effective


def _compare(act: Act, model: Model, *, took: bool) -> None:
    if act.refused is not None:
        assert not took, f"{act} should not have been refused"
        assert any(words in act.refused for words in REFUSED[act.kind].split("|")), act
    elif act.kind in REFUSED:
        assert took, f"{act} should have been refused"
    if act.items is not None:
        assert plain(act.items) == model.queue, act
    if act.became is not None:
        assert (act.became.id, act.became.state) == model.where(act.id), act
    if act.stopped is not None:
        assert act.stopped == took, act


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    opened = Watched(tmp_path / "kataribe.db")
    yield opened
    opened.close()


@pytest.mark.timeout(900)  # a minute of work, more beside others
@pytest.mark.parametrize("interleavings", INTERLEAVINGS)
async def test_random_interleavings(watched: Watched, interleavings: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    models = Models()
    chats = Chats(watched, models, "none", titles=False)
    effective: Counter[str] = Counter()

    async def one() -> None:
        burst = Burst(watched, chats, models)
        clients = [burst.client(random.Random(source.random())) for _ in range(2)]
        await asyncio.gather(*clients)
        await burst.do(Act("stop"))
        effective.update(burst.check())

    for _ in range(interleavings // AT_ONCE):
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    await chats.close()
    print(dict(effective))
    least = {kind: n * interleavings / 1000 for kind, n in TOOK_EFFECT.items()}
    assert {kind: effective[kind] for kind, n in least.items() if effective[kind] < n} == {}
