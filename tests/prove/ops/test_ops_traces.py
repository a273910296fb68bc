"""Spans and sums in `traces.db`: nothing counts twice, nothing that was used is lost."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import aclosing
from dataclasses import replace

import pytest

from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.base.events import Step, TextDelta
from kataribe.base.lm import Context, Request, reply
from kataribe.prove.ops.ledger import HOUR, Bill, Ledger, Span, lines, trees
from kataribe.prove.ops.meter import Metered
from kataribe.prove.ops.spent import Spent, free
from kataribe.prove.ops.trace_store import TraceStore
from kataribe.prove.ops.trace_writer import TraceWriter
from kataribe.run.providers.scripted import ScriptedLM
from tests.prove.ops.techniques import QUESTION, Votes

NOON = 1_763_900_000.0


def span(number: int = 0, **fields) -> Span:
    plain = Span(
        id=f"{number:016x}",
        parent=None,
        trace=f"{number:032x}",
        name="pico",
        kind="lm",
        user=None,
        conversation=None,
        began=NOON,
        queue=0.0,
        first=0.5,
        whole=1.0,
        own=Spent(3, 1, 4, 1, 0.25, 0),
        total=Spent(3, 1, 4, 1, 0.25, 0),
        reason="stop",
    )
    return replace(plain, **fields)


@pytest.fixture
def store(tmp_path) -> TraceStore:
    return TraceStore(tmp_path / "traces.db")


def test_what_is_written_is_read_as_it_was(store):
    spans = [
        span(1, trace="ab" * 16, user="ann", conversation="c1", exact=False),
        span(2, trace="ab" * 16, parent=f"{1:016x}", kind="tool", first=None, error="late"),
    ]
    store.write(spans)
    assert list(store.trace("abab")) == spans
    assert TraceStore(store.path).trace("ABABAB") == tuple(spans)


def test_a_file_that_is_not_there_has_nothing(store):
    assert store.costs() == ()
    assert store.traces() == ()
    assert store.lost() == 0
    assert not store.path.exists()


def test_sums_are_by_day_model_and_person_and_equal_a_plain_count(store):
    seed = random.randrange(10**6)
    print("seed", seed)
    draw = random.Random(seed)
    spans = [
        span(
            number,
            name=draw.choice(("pico", "openai:big")),
            user=draw.choice((None, "ann", "bob")),
            began=NOON + 86_400 * draw.randrange(4),
            own=Spent(draw.randrange(9), 0, draw.randrange(9), 1, draw.randrange(8) / 4, 0),
        )
        for number in range(200)
    ]
    for at in range(0, 200, 30):
        store.write(spans[at : at + 30])
    whole = store.costs(by=())
    assert [each.used for each in whole] == [sum((s.own for s in spans), Spent())]
    for cost in store.costs(by=("model", "user")):
        mine = [s.own for s in spans if (s.name, s.user or "") == (cost.model, cost.user)]
        assert cost.used == sum(mine, Spent())
        assert cost.day is None
    days = [cost.day for cost in store.costs(by=("day",))]
    assert days == sorted(set(days), reverse=True)
    assert len(days) == 4
    late = store.costs(by=(), since=NOON + 2 * 86_400)
    assert late[0].used.steps == sum(s.began >= NOON + 2 * 86_400 for s in spans)
    assert store.costs(by=(), user="bob")[0].used.steps == sum(s.user == "bob" for s in spans)


def test_old_spans_go_and_their_sums_stay(tmp_path):
    store = TraceStore(tmp_path / "traces.db", most=10)
    for number in range(25):
        store.write([span(number)])
    assert len(store.traces(100)) == 10
    assert store.traces(100)[0].root.id == f"{24:016x}"
    assert store.costs(by=())[0].used.steps == 25


def test_traces_are_named_by_their_first_digits(store):
    store.write([span(1, trace="ab" * 16), span(2, trace="ab" * 15 + "cd"), span(3)])
    with pytest.raises(InputError, match="Several"):
        store.trace("abab")
    with pytest.raises(InputError, match="too short"):
        store.trace("ab")
    with pytest.raises(NotFoundError, match="no trace 'ffff'"):
        store.trace("ffff")
    with pytest.raises(NotFoundError):
        store.trace("%%%%")
    assert store.trace("ab" * 16)[0].id == f"{1:016x}"


def test_a_trace_is_only_its_persons(store):
    store.write([span(1, user="ann"), span(2, user="bob")])
    assert [each.root.user for each in store.traces(user="ann")] == ["ann"]
    assert store.trace(f"{1:032x}"[:32], user="ann")
    with pytest.raises(NotFoundError):
        store.trace(f"{1:032x}", user="bob")


def test_a_file_of_something_else_says_so(tmp_path):
    path = tmp_path / "traces.db"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match=r"traces\.db cannot be read or written"):
        TraceStore(path).costs()


def test_a_newer_file_is_left_alone(store):
    store.write([span()])
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="newer"):
        TraceStore(store.path).write([span(2)])


def test_a_file_that_was_moved_away_is_begun_anew(store):
    store.write([span(1)])
    store.path.rename(store.path.with_suffix(".old"))
    for name in ("traces.db-wal", "traces.db-shm"):
        store.path.with_name(name).unlink(missing_ok=True)
    store.write([span(2)])
    assert store.costs(by=())[0].used.steps == 1


def test_the_writer_keeps_what_the_ledger_dropped_in_the_sums(store):
    ledger = Ledger(most=5)
    writer = TraceWriter(ledger, store)
    for number in range(12):
        ledger.add(span(number, user="ann"))
    writer.flush()
    assert len(store.traces(100)) == 5
    assert store.lost() == 7
    assert [(c.user, c.used.steps) for c in store.costs(by=("user",))] == [("ann", 12)]
    writer.flush()
    assert store.lost() == 7


def test_what_cannot_be_written_waits_and_is_bounded(store, caplog):
    ledger = Ledger(most=5)
    writer = TraceWriter(ledger, store)
    store.path.mkdir()  # no file can be there
    for number in range(12):
        ledger.add(span(number))
        if number % 3 == 2:
            writer.flush()
    assert "wait to be written" in caplog.text
    assert len(writer._waiting) == 5
    store.path.rmdir()
    writer.flush()
    assert len(store.traces(100)) == 5
    assert store.lost() == 7
    assert store.costs(by=())[0].used.steps == 12


def test_the_thread_writes_by_itself_and_at_the_end(store):
    ledger = Ledger()
    writer = TraceWriter(ledger, store, every=0.01)
    writer.start()
    ledger.add(span(1))
    until = time.monotonic() + 10
    while not store.traces() and time.monotonic() < until:
        time.sleep(0.01)
    assert len(store.traces()) == 1
    ledger.add(span(2))
    writer.close()
    assert len(store.traces()) == 2


def test_who_is_forgotten_leaves_sums_and_no_trace(store):
    store.forget("ann")
    assert not store.path.exists()
    store.write([span(1, user="ann"), span(2, user="bob"), span(3)])
    store.write([span(4, trace=f"{1:032x}", parent=f"{1:016x}", kind="tool")])
    before = store.costs(by=())
    store.forget("ann")
    assert store.costs(by=()) == before
    assert [each.user for each in store.costs(by=("user",))] == ["", "bob"]
    assert {each.root.user for each in store.traces()} == {"bob", None}
    with pytest.raises(NotFoundError):
        store.trace(f"{1:032x}")
    assert b"ann" not in store.path.read_bytes().replace(b"planned", b"")


def test_a_bill_is_of_an_hour():
    assert Bill.of(span(began=NOON + 5)).hour % HOUR == 0


class Stepping:
    """Says steps around a call, as a technique does, and passes on those of its model."""

    name = "stepping"

    def __init__(self, lm, steps=("plan", "work")) -> None:
        self.lm = lm
        self.steps = steps
        self.capabilities = lm.capabilities

    async def stream(self, request: Request):
        yield Step(self.steps[0], "secret words")
        async with aclosing(self.lm.stream(request)) as events:
            first = True
            async for event in events:
                if first:
                    yield Step(self.steps[1], "more of them")
                    first = False
                yield event


async def test_steps_are_spans_of_the_call_that_told_them():
    ledger = Ledger()
    model = Metered(ScriptedLM("abcdef"), ledger, free)
    inner = Metered(Stepping(model), ledger, free)
    outer = Metered(Stepping(inner, ("ask", "hear")), ledger, free)
    context = Context(user="ann")
    end = await reply(outer, replace(QUESTION, context=context))
    by_id = {each.id: each for each in ledger.spans()}
    calls = [each for each in ledger.spans() if each.kind == "lm"]
    told = {}
    for each in ledger.spans():
        if each.kind == "step":
            assert each.own == Spent()
            told.setdefault(by_id[each.parent], []).append(each.name)
    depth = {calls[0].id: None, calls[1].id: ["plan", "work"], calls[2].id: ["ask", "hear"]}
    for call in calls:
        assert told.get(call) == depth[call.id]
    assert len({each.trace for each in ledger.spans()}) == 1
    work = next(each for each in ledger.spans() if each.name == "work")
    assert work.total.completion_tokens == end.usage.completion_tokens
    assert sum((each.own for each in ledger.spans()), Spent()).steps == 1
    shown = "\n".join(lines(trees(ledger.spans())))
    assert "step plan" in shown
    assert "secret" not in shown + repr(ledger.spans())


async def test_what_a_guard_saw_is_a_moment_in_its_call():
    ledger = Ledger()
    lm = Metered(Stepping(ScriptedLM("abc"), ("plan", "guard")), ledger, free)
    await reply(lm, QUESTION)
    kinds = {each.name: each.kind for each in ledger.spans()}
    assert kinds == {"plan": "step", "guard": "guard", "stepping": "lm"}


async def test_a_call_that_is_closed_early_ends_its_steps():
    ledger = Ledger()
    lm = Metered(Stepping(ScriptedLM("abc" * 50)), ledger, free)
    events = lm.stream(QUESTION)
    async for event in events:
        if isinstance(event, TextDelta):
            break
    await events.aclose()
    assert sorted(each.name for each in ledger.spans()) == ["plan", "stepping", "work"]


async def test_endless_steps_are_no_endless_spans():
    class Talking:
        name = "talking"
        capabilities = ScriptedLM().capabilities

        async def stream(self, request: Request):
            for number in range(5_000):
                yield Step("look", str(number))
            async for event in ScriptedLM("ok").stream(request):
                yield event

    ledger = Ledger()
    await reply(Metered(Metered(Talking(), ledger, free), ledger, free), QUESTION)
    assert len(ledger.spans()) < 600


async def test_a_technique_writes_what_it_used_once(store):
    ledger = Ledger()
    model = Metered(ScriptedLM("abc"), ledger, lambda usage: 0.5)
    end = await reply(Metered(Votes(model, 4), ledger, free), QUESTION)
    TraceWriter(ledger, store).flush()
    (trace,) = store.traces()
    assert (trace.root.name, trace.spans) == ("votes", 6)
    (cost,) = store.costs(by=("model",))
    assert cost.model == "scripted"
    assert cost.used == trace.root.total
    assert cost.used.dollars == 2.0
    assert cost.used.completion_tokens == end.usage.completion_tokens
