"""No more sandboxes live at once than there are places; who was idle longest gives way."""

from __future__ import annotations

import shutil
import threading

import pytest

from kataribe.base.errors import BusyError, InputError
from kataribe.sandbox.places import Places
from kataribe.sandbox.session import Session, Setup

walled = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (make system)"
)


class Holder:
    def __init__(self, *, idle: bool = True) -> None:
        self.idle = idle
        self.asked = 0

    def give_up(self) -> bool:
        self.asked += 1
        return self.idle


def test_the_one_that_was_idle_longest_gives_way():
    places = Places(2)
    first, second, third = Holder(), Holder(), Holder()
    places.take(first)
    places.take(second)
    places.take(first)  # it works again, so the second has been idle longer
    places.take(third)
    assert (first.asked, second.asked) == (0, 1)
    assert places.taken == 2
    places.leave(first)
    places.leave(second)
    assert places.taken == 1


def test_who_runs_keeps_its_place_and_the_next_is_refused():
    places = Places(2)
    running, idle = Holder(idle=False), Holder()
    places.take(running)
    places.take(idle)
    idle.idle = False
    with pytest.raises(BusyError, match="All of 2 sandboxes run code") as caught:
        places.take(Holder())
    assert caught.value.retry_after > 0
    idle.idle = True
    places.take(Holder())
    assert (running.asked, idle.asked) == (2, 2)


def test_no_place_at_all_is_refused():
    with pytest.raises(InputError, match="give 1 or more"):
        Places(0)


@walled
def test_sessions_beyond_the_places_begin_anew_and_keep_their_files():
    places = Places(2)
    sessions = [Session(Setup(places=places)) for _ in range(3)]
    try:
        for number, session in enumerate(sessions):
            outcome = session.run(f"x = {number}; open('kept', 'w').write('{number}')")
            assert not outcome.begun_anew
        assert places.taken == 2
        again = sessions[0].run("'x' in globals(), open('kept').read()")
        assert again.begun_anew
        assert again.value == "(False, '0')"
        assert not sessions[0].run("1").begun_anew
        assert sessions[2].run("x").value == "2"
    finally:
        for session in sessions:
            session.close()
    assert places.taken == 0


@walled
def test_a_run_that_ends_its_process_gives_its_place_back():
    places = Places(1)
    with Session(Setup(places=places)) as session:
        session.run("import os; os._exit(1)")
        assert places.taken == 0
        assert session.run("1 + 1").value == "2"
        assert places.taken == 1


@walled
def test_while_all_run_the_next_is_refused_and_nobody_is_ended():
    places = Places(1)
    stop = threading.Event()
    with Session(Setup(places=places)) as busy, Session(Setup(places=places)) as other:
        busy.run("x = 1")
        found = []
        code = "import time\nopen('there', 'w').close()\nwhile True: time.sleep(0.01)"
        thread = threading.Thread(target=lambda: found.append(busy.run(code, stop=stop)))
        thread.start()
        while not (busy.folder / "there").exists():
            pass
        with pytest.raises(BusyError):
            other.run("1")
        stop.set()
        thread.join()
        assert found[0].ended == "cancelled"
        assert other.run("1").value == "1"
