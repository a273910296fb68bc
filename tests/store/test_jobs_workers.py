"""The worker pool: real threads, real processes that are killed, failures and full disks."""

from __future__ import annotations

import errno
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from jobs_child import Counting

from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.store import job_work, jobs, workers
from kataribe.store.database import Store
from kataribe.store.jobs import NewJob, Progress
from kataribe.store.tables import LOCAL, people
from kataribe.store.workers import Workers

CHILD = Path(__file__).with_name("jobs_child.py")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "kataribe.db")
    with store.writing() as tx:
        tx.execute(
            sa.insert(people).values(id="hana", name="hana", shown="", disabled=False,
                                     created_at=0.0)
        )  # fmt: skip
    yield store
    store.close()


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


def count(to, **more):
    return NewJob("count", f"Count to {to}", {"to": to, **more})


class Steps:
    """Does `to` steps, each when told or at once; knows who was at work and what was left."""

    def __init__(self, gate=None, pause=0.0):
        self.gate = gate
        self.pause = pause
        self.lock = threading.Lock()
        self.at_work = Counter()
        self.done = Counter()
        self.left = set()
        self.order = []

    def run(self, job, reporter):
        with self.lock:
            self.at_work[job.id] += 1
            self.order.append(job.owner)
            assert self.at_work[job.id] == 1, "run twice at once"
        try:
            self.left.add(job.id)
            while self.done[job.id] < job.params["to"]:
                if self.gate is not None:
                    while not self.gate.wait(0.01):
                        reporter.check()
                time.sleep(self.pause)
                self.done[job.id] += 1
                reporter.progress("steps", self.done[job.id], job.params["to"], "steps")
            return {"steps": self.done[job.id]}
        finally:
            with self.lock:
                self.at_work[job.id] -= 1

    def discard(self, job):
        assert self.at_work[job.id] == 0, "taken away under the work"
        self.left.discard(job.id)


def state(pool, job, owner=LOCAL):
    return pool.get(owner, job.id).state


def test_a_job_is_done_and_every_change_is_told(store):
    told = []
    with Workers(store, {"count": Steps(pause=0.05)}) as pool:
        end = pool.subscribe(lambda owner, job: told.append((owner, job)))
        job = pool.add(LOCAL, count(30))
        until(lambda: state(pool, job) == "done")
        assert pool.get(LOCAL, job.id).result == {"steps": 30}
        end()
        pool.add(LOCAL, count(1))
    states = [found.state for owner, found in told]
    assert {owner for owner, _ in told} == {LOCAL}
    assert states[:2] == ["waiting", "running"]
    assert states[-1] == "done"
    rates = [found.rate for _, found in told if found.rate is not None]
    assert rates, "about 20 steps a second"
    assert all(2 < rate < 30 for rate in rates)
    assert [line.line for line in pool.lines(LOCAL, job.id)] == ["Begun, attempt 1."]


def test_progress_is_written_four_times_a_second_at_most(store, monkeypatch):
    monkeypatch.setattr(job_work, "WRITES_APART", 1e9)
    writes = []
    real = jobs.keep_progress
    monkeypatch.setattr(jobs, "keep_progress", lambda *a: writes.append(a[-1]) or real(*a))
    with Workers(store, {"count": Steps()}) as pool:
        job = pool.add(LOCAL, count(5000))
        until(lambda: state(pool, job) == "done")
        assert pool.get(LOCAL, job.id).progress == Progress("steps", 5000, 5000, "steps")
    assert [at.done for at in writes] == [1, 5000], "the first, and the last at the end"


def test_pause_resume_and_cancel(store):
    gate = threading.Event()
    work = Steps(gate)
    with Workers(store, {"count": work}) as pool:
        job = pool.add(LOCAL, count(2))
        until(lambda: work.at_work[job.id])
        assert pool.ask(LOCAL, job.id, "pause").state == "pausing"
        until(lambda: state(pool, job) == "paused")
        assert job.id in work.left, "a pause keeps what there is"
        pool.ask(LOCAL, job.id, "run")
        until(lambda: work.at_work[job.id])
        with pytest.raises(NotFoundError):
            pool.ask("hana", job.id, "cancel")
        pool.ask(LOCAL, job.id, "cancel")
        until(lambda: state(pool, job) == "cancelled")
        assert job.id not in work.left
        pool.remove(LOCAL, job.id)
        assert pool.list(LOCAL) == ()


def test_what_never_began_is_cancelled_while_others_fill_the_pool(store):
    gate = threading.Event()
    with Workers(store, {"count": Steps(gate)}, limit=1) as pool:
        first = pool.add(LOCAL, count(1))
        until(lambda: state(pool, first) == "running")
        second = pool.add(LOCAL, count(1))
        pool.ask(LOCAL, second.id, "cancel")
        until(lambda: state(pool, second) == "cancelled")
        assert state(pool, first) == "running"
        gate.set()
        until(lambda: state(pool, first) == "done")


def test_nobody_waits_for_all_the_jobs_of_another(store):
    gate = threading.Event()
    work = Steps(gate)
    with Workers(store, {"count": work}, limit=1) as pool:
        many = [pool.add(LOCAL, count(1)) for _ in range(5)]
        until(lambda: len(work.order) == 1)
        mine = [pool.add("hana", count(1)) for _ in range(3)]
        gate.set()
        until(lambda: all(state(pool, job) == "done" for job in many))
        until(lambda: all(state(pool, job, "hana") == "done" for job in mine))
    assert work.order == [LOCAL, "hana", LOCAL, "hana", LOCAL, "hana", LOCAL, LOCAL]


class Failing:
    def __init__(self, error):
        self.error = error

    def run(self, job, reporter):
        reporter.log("warning", "This will not end well.")
        raise self.error

    def discard(self, job):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("Terms.", code="terms_not_accepted"), "terms_not_accepted", "Terms."),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "storage_error", "No space left"),
        (StorageError("The disk is full."), "storage_error", "full"),
    ],
)
def test_a_failing_job_says_why_and_leaves_the_pool_alive(store, error, code, words):
    with Workers(store, {"fail": Failing(error), "count": Steps()}, limit=1) as pool:
        job = pool.add(LOCAL, NewJob("fail", "Fail", {}))
        until(lambda: state(pool, job) == "failed")
        failure = pool.get(LOCAL, job.id).failure
        assert failure.code == code
        assert words in failure.message
        assert [line.level for line in pool.lines(LOCAL, job.id)] == ["info", "warning", "error"]
        pool.ask(LOCAL, job.id, "cancel")
        until(lambda: state(pool, job) == "failed")
        assert pool.get(LOCAL, job.id).failure.code == code, "what it left is there still"
        good = pool.add(LOCAL, count(1))
        until(lambda: state(pool, good) == "done")


class Full:
    def run(self, job, reporter):
        Path("/dev/full").write_bytes(b"x" * 100_000)

    def discard(self, job):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_the_jobs_failure(store):
    with Workers(store, {"fill": Full()}) as pool:
        job = pool.add(LOCAL, NewJob("fill", "Fill", {}))
        until(lambda: state(pool, job) == "failed")
        failure = pool.get(LOCAL, job.id).failure
        assert failure.code == "storage_error"
        assert failure.message.startswith("No space left on device")
        assert "resume" in failure.message


class Odd:
    def run(self, job, reporter):
        if job.params["to"] == 0:
            return {"what": object()}
        raise ZeroDivisionError("by nothing")

    def discard(self, job):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("to", "words"), [(0, "TypeError"), (1, "ZeroDivisionError")])
def test_an_unexpected_error_fails_its_job_only(store, to, words):
    with Workers(store, {"count": Odd()}) as pool:
        job = pool.add(LOCAL, count(to))
        until(lambda: state(pool, job) == "failed")
        failure = pool.get(LOCAL, job.id).failure
        assert failure.code == "internal_error"
        assert words in failure.message


def test_a_database_on_a_full_disk_holds_the_end_of_a_job_back_and_loses_nothing(
    store, monkeypatch
):
    monkeypatch.setattr(workers, "LOOK_AGAIN", 0.05)
    gate = threading.Event()
    work = Steps(gate)
    with Workers(store, {"count": work}) as pool:
        job = pool.add(LOCAL, count(50))
        until(lambda: work.at_work[job.id])
        real = store.writing
        full = threading.Event()
        full.set()

        def writing():
            if full.is_set():
                raise StorageError("The disk is full.")
            return real()

        monkeypatch.setattr(store, "writing", writing)
        gate.set()
        until(lambda: work.done[job.id] == 50)
        time.sleep(0.2)
        assert state(pool, job) == "running"
        full.clear()
        until(lambda: state(pool, job) == "done")


@pytest.mark.parametrize("tidying", [False, True])
def test_a_job_whose_thread_cannot_start_is_tried_again(store, monkeypatch, caplog, tidying):
    monkeypatch.setattr(workers, "LOOK_AGAIN", 0.05)
    real, refused, none_left = threading.Thread.start, [], threading.Event()
    none_left.set()

    def start(thread):
        if none_left.is_set() and thread.name.startswith("job "):
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    work = Steps()
    with Workers(store, {"count": work}) as pool:
        job = pool.add(LOCAL, count(2))
        until(lambda: len(refused) > 1)
        assert "can't start new thread" in caplog.text
        if tidying:
            pool.ask(LOCAL, job.id, "cancel")
            tries = len(refused)
            until(lambda: len(refused) > tries + 2)
        none_left.clear()
        until(lambda: state(pool, job) == ("cancelled" if tidying else "done"))
        none_left.set()
        last = pool.add(LOCAL, count(2))
        tries = len(refused)
        until(lambda: len(refused) > tries)
    assert pool.get(LOCAL, last.id).attempts == 0, "it did nothing wrong"


def test_a_pool_whose_own_thread_cannot_start_is_stopped_all_the_same(store, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    pool = Workers(store, {"count": Steps()})
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            pool.start()
    pool.stop()


def test_a_job_that_could_not_begin_is_put_back_once_the_disk_takes_it(store, monkeypatch):
    monkeypatch.setattr(workers, "LOOK_AGAIN", 0.05)
    real, writing = threading.Thread.start, store.writing
    tries, full = [], threading.Event()

    def start(thread):
        if thread.name.startswith("job ") and not tries:
            tries.append(thread)
            full.set()
            raise RuntimeError("can't start new thread")
        real(thread)

    def refuse():
        if full.is_set():
            raise StorageError("The disk is full.")
        return writing()

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(store, "writing", refuse)
    with Workers(store, {"count": Steps()}) as pool:
        job = pool.add(LOCAL, count(2))
        until(full.is_set)
        time.sleep(0.2)
        assert state(pool, job) == "running"
        full.clear()
        until(lambda: state(pool, job) == "done")


def test_a_stopped_pool_goes_on_at_the_next_start(store):
    gate = threading.Event()
    work = Steps(gate)
    with Workers(store, {"count": work}) as pool:
        job = pool.add(LOCAL, count(3))
        until(lambda: work.at_work[job.id])
    with store.reading() as tx:
        left = jobs.find_job(tx, job.id)
    assert (left.state, left.attempts) == ("waiting", 0), "stopping is no failed attempt"
    gate.set()
    with Workers(store, {"count": work}) as pool:
        until(lambda: state(pool, job) == "done")


def test_a_kind_that_nobody_knows_waits(store):
    with Workers(store, {"count": Steps()}) as pool:
        odd = pool.add(LOCAL, NewJob("knit", "Knit", {}))
        known = pool.add(LOCAL, count(1))
        until(lambda: state(pool, known) == "done")
        assert state(pool, odd) == "waiting"
        pool.ask(LOCAL, odd.id, "cancel")
        until(lambda: state(pool, odd) == "cancelled")


def test_what_ran_for_a_person_who_is_deleted_ends_and_leaves_nothing(store):
    gate = threading.Event()
    work = Steps(gate)
    with Workers(store, {"count": work}) as pool:
        job = pool.add("hana", count(10_000))
        until(lambda: work.at_work[job.id])
        with store.writing() as tx:
            tx.execute(sa.delete(people).where(people.c.id == "hana"))
        gate.set()
        until(lambda: not work.at_work[job.id] and not work.left)
        assert pool.list("hana") == ()
        other = pool.add(LOCAL, count(1))
        until(lambda: state(pool, other) == "done")


def test_1000_wishes_from_four_people_lose_no_job_and_run_none_twice(store):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    work = Steps(pause=0.001)
    owners = [LOCAL, "hana"]
    refused = set()
    with Workers(store, {"count": work}, limit=3) as pool:
        made = [pool.add(owners[n % 2], count(60)) for n in range(20)]

        def wish(chance):
            for _ in range(250):
                job = chance.choice(made)
                asked = chance.choices(["pause", "run", "cancel"], [8, 12, 1])[0]
                try:
                    pool.ask(job.owner, job.id, asked)
                except InputError as error:
                    refused.add(error.code)

        threads = [threading.Thread(target=wish, args=(random.Random(seed + n),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for job in made:
            if pool.get(job.owner, job.id).state in ("paused", "pausing"):
                pool.ask(job.owner, job.id, "run")
        ended = ("done", "cancelled")
        until(lambda: all(pool.get(job.owner, job.id).state in ended for job in made), 60)
        for job in made:
            found = pool.get(job.owner, job.id)
            if found.state == "done":
                assert work.done[job.id] == 60
                assert found.result == {"steps": 60}
            else:
                assert job.id not in work.left
    assert not any(work.at_work.values())
    assert refused <= {"wrong_state"}


def test_a_process_killed_again_and_again_loses_and_doubles_nothing(store, tmp_path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    folder = tmp_path / "counts"
    folder.mkdir()
    with store.writing() as tx:
        made = [jobs.add_job(tx, LOCAL, count(400)) for _ in range(3)]

    def counted() -> list[int]:
        with store.reading() as tx:
            return [jobs.find_job(tx, job.id).progress.done for job in made]

    def further(before: list[int]) -> bool:
        return all(n > was or n == 400 for was, n in zip(before, counted(), strict=True))

    for turn in range(6):
        before = counted()
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(store.path), str(folder)], stdout=subprocess.PIPE
        )
        assert child.stdout.readline() == b"started\n"
        if turn % 2:  # a job that got nowhere three times has failed, and rightly
            until(partial(further, before), 60)
        time.sleep(chance.uniform(0.0, 0.4))
        child.kill()
        child.wait()
        child.stdout.close()
    with store.reading() as tx:
        assert {jobs.find_job(tx, job.id).state for job in made} <= {"waiting", "running", "done"}
    with Workers(store, {"count": Counting(folder)}) as pool:
        until(lambda: all(state(pool, job) == "done" for job in made), 60)
        for job in made:
            numbers = (folder / job.id).read_text().split()
            assert numbers == [str(number) for number in range(400)]
