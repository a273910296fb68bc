"""Models come when they are asked for, and go when others need their room."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from kataribe.base.errors import BusyError, FormatError, NotFoundError, UnavailableError
from kataribe.base.events import Finished, Progress, TextDelta, Usage
from kataribe.base.lm import Capabilities, Request, reply
from kataribe.base.messages import text_message
from kataribe.run.inference.residents import Residents


class Echo:
    capabilities = Capabilities(100)

    def __init__(self, name):
        self.name = name

    async def stream(self, request):
        yield TextDelta(self.name)
        yield Finished(text_message("assistant", self.name), Usage(1, 1), "stop")


class Model:
    is_open = True

    def __init__(self, name, shelf):
        self.lm = Echo(name)
        self.shelf = shelf

    def close(self, grace):
        self.shelf.closed.append((self.lm.name, grace))


class Shelf:
    """Models a, b, c of 40 bytes, `big` of 1,000, `bad` that does not load."""

    def __init__(self):
        self.loads, self.closed = [], []
        self.gate = threading.Event()
        self.gate.set()

    def resolve(self, name):
        if name.lower() not in {"a", "b", "c", "big", "bad"}:
            raise NotFoundError(f"no {name}")
        return name.lower()

    def memory(self, name):
        return 1000 if name == "big" else 40

    def capabilities(self, name):
        return Capabilities(100)

    def load(self, name, progress):
        self.loads.append(name)
        progress(10, 40)
        assert self.gate.wait(10)
        if name == "bad":
            raise FormatError("bad file")
        return Model(name, self)


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def residents(shelf):
    return Residents(shelf, budget=100)


async def ask(residents, name):
    async with residents.lease(name) as lm:
        return (await reply(lm, Request("x"))).message


async def test_a_model_loads_once_for_many(residents, shelf):
    shelf.gate.clear()
    asking = [asyncio.create_task(ask(residents, name)) for name in ("a", "A", "a", "a")]
    await asyncio.sleep(0.05)
    shelf.gate.set()
    await asyncio.gather(*asking)
    assert shelf.loads == ["a"]


async def test_the_least_recently_used_goes(residents, shelf):
    for name in ("a", "b", "a", "c"):
        await ask(residents, name)
    assert [place.name for place in residents.ps()] == ["c", "a"]
    assert shelf.closed == [("b", 0.0)]
    await ask(residents, "b")
    assert [place.name for place in residents.ps()] == ["b", "c"]


async def test_what_is_leased_or_held_stays(residents, shelf):
    await asyncio.to_thread(residents.load, "a")
    async with residents.lease("b") as lm:
        await reply(lm, Request("x"))
        with pytest.raises(UnavailableError, match=r"in use or held are a, b.*unload") as caught:
            await ask(residents, "c")
        assert caught.value.retry_after == 10
    await ask(residents, "c")
    assert shelf.closed == [("b", 0.0)]


async def test_a_model_beyond_the_budget_says_both_numbers(residents):
    small = Residents(Shelf(), budget=3 * 2**29)
    with pytest.raises(UnavailableError, match="budget"):
        await ask(residents, "big")
    small._shelf.memory = lambda name: 2**31
    with pytest.raises(UnavailableError, match=r"2\.00 GiB.*1\.50 GiB.*KATARIBE_MEMORY"):
        await ask(small, "a")
    tiny = Residents(Shelf(), budget=107_374_182)  # 0.1 GiB
    tiny._shelf.memory = lambda name: 131 << 20
    with pytest.raises(UnavailableError, match=r"about 131 MiB, but the memory budget is 102 MiB"):
        await ask(tiny, "a")


async def test_waiting_shows_how_far_the_load_is(residents, shelf):
    shelf.gate.clear()
    async with residents.lease("a") as lm:
        events = lm.stream(Request("x"))
        await anext(events)
        await asyncio.sleep(0.02)
        assert await anext(events) == Progress("loading", 10, 40)
        assert residents.ps()[0].state == "loading"
        shelf.gate.set()
        rest = [event async for event in events]
    assert isinstance(rest[-1], Finished)
    assert residents.ps()[0].state == "ready"


async def test_a_model_in_memory_is_not_said_to_be_loading(residents):
    await asyncio.to_thread(residents.load, "a")
    async with residents.lease("a") as lm:
        events = [event async for event in lm.stream(Request("x"))]
    assert not [event for event in events if getattr(event, "stage", None) == "loading"]


async def test_a_load_that_fails_tells_everybody_and_is_tried_again(residents, shelf):
    for _ in range(2):
        with pytest.raises(FormatError, match="bad file"):
            await ask(residents, "bad")
    assert shelf.loads == ["bad", "bad"]
    assert residents.ps() == ()


async def test_unload_waits_for_nobody_unless_forced(residents, shelf):
    async with residents.lease("a") as lm:
        await reply(lm, Request("x"))
        with pytest.raises(BusyError, match="1 requests"):
            residents.unload("a")
        residents.unload("a", force=True)
    assert shelf.closed == [("a", 0.0)]
    with pytest.raises(NotFoundError, match="not loaded"):
        residents.unload("a")
    with pytest.raises(NotFoundError, match="no x"):
        residents.unload("x")


async def test_close_frees_all_and_refuses_more(residents, shelf):
    await ask(residents, "a")
    await ask(residents, "b")
    await asyncio.to_thread(residents.close, 3.0)
    assert sorted(shelf.closed) == [("a", 3.0), ("b", 3.0)]
    with pytest.raises(UnavailableError, match="stopping"):
        await ask(residents, "a")


async def test_leases_that_end_early_leave_no_trace(residents, shelf):
    shelf.gate.clear()
    task = asyncio.create_task(ask(residents, "a"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    shelf.gate.set()
    await asyncio.sleep(0.05)
    assert residents.ps()[0].leases == 0
    await ask(residents, "a")
    assert shelf.loads == ["a"]


async def test_a_model_that_broke_down_is_loaded_anew(residents, shelf):
    residents.load("a")
    ((_, model),) = residents.ready()
    model.is_open = False
    assert await ask(residents, "a") == text_message("assistant", "a")
    assert shelf.loads == ["a", "a"]
    assert shelf.closed == [("a", 0.0)]
    (place,) = residents.ps()
    assert place.held, "whoever held it holds the new one"


async def test_the_queue_of_a_loading_model_is_bounded(shelf):
    residents = Residents(shelf, budget=100, queue=3)
    shelf.gate.clear()
    asking = [asyncio.create_task(ask(residents, "a")) for _ in range(10)]
    done, waiting = await asyncio.wait(asking, timeout=0.5)
    assert len(waiting) == 3
    for task in done:
        with pytest.raises(BusyError, match="3 requests wait for it already") as caught:
            task.result()
        assert caught.value.retry_after >= 1
    gone = waiting.pop()
    gone.cancel()
    await asyncio.wait([gone])
    asking = asyncio.create_task(ask(residents, "a"))  # takes the place of the one that left
    await asyncio.sleep(0.05)
    assert not asking.done()
    shelf.gate.set()
    await asyncio.gather(*waiting, asking)
    await asyncio.gather(*(ask(residents, "a") for _ in range(10)))  # it has its own queue now


async def test_stopping_breaks_off_a_load(shelf):
    started = threading.Event()

    class Slow(Shelf):
        def load(self, name, progress):
            for done in range(10_000):
                progress(done, 10_000)
                started.set()
                time.sleep(0.01)
            raise AssertionError("it went on to the end")

    residents = Residents(Slow(), budget=100)
    asking = asyncio.create_task(ask(residents, "a"))
    await asyncio.to_thread(started.wait, 10)
    residents.stop_loading()
    with pytest.raises(UnavailableError, match="stopping"):
        await asking
    await asyncio.to_thread(residents.close, 0.0)
    assert residents.ps() == ()


def test_a_load_that_cannot_be_broken_off_is_not_waited_for(shelf, monkeypatch):
    monkeypatch.setattr("kataribe.run.inference.residents._BREAK_OFF", 0.05)
    residents = Residents(shelf, budget=100)
    shelf.gate.clear()
    loading = threading.Thread(target=residents.load, args=("a",))
    loading.start()
    while not shelf.loads:
        time.sleep(0.01)
    residents.close(0.0)
    assert residents.is_loading
    shelf.gate.set()
    loading.join()
    assert not residents.is_loading
