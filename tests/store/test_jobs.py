"""Jobs as rows: states, owners, logs, and 1,000 random orders of what people and pools do."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import jobs as rows
from kataribe.store.database import Store
from kataribe.store.job_log import LONGEST_LINE, add_line, read_lines
from kataribe.store.jobs import Failure, NewJob, Progress
from kataribe.store.tables import LOCAL, job_log, people


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "kataribe.db")
    with store.writing() as tx:
        for name in ("hana", "taro"):
            tx.execute(
                sa.insert(people).values(id=name, name=name, shown=name, disabled=False,
                                         created_at=0.0)
            )  # fmt: skip
    yield store
    store.close()


@pytest.fixture
def tx(store):
    with store.writing() as tx:
        yield tx


def add(tx, owner=LOCAL, kind="count", **params):
    return rows.add_job(tx, owner, NewJob(kind, "Count", params))


def test_a_job_waits_runs_and_is_done(tx):
    job = add(tx, to=3)
    assert (job.state, job.attempts, job.params) == ("waiting", 0, {"to": 3})
    assert rows.claim(tx, job.id).state == "running"
    assert rows.claim(tx, job.id) is None, "nobody else may begin it"
    rows.keep_progress(tx, job.id, Progress("counting", 2, 3, "numbers"))
    done = rows.end_job(tx, job.id, result={"at": 3}, failure=None)
    assert (done.state, done.result, done.progress.done) == ("done", {"at": 3}, 2)
    assert done.ended_at is not None
    assert rows.keep_progress(tx, job.id, Progress("late", 9)) is None


def test_the_same_open_job_is_given_back_and_goes_on(tx):
    wanted = NewJob("download", "M", {"name": "m", "accept_terms": True}, same=("name",))
    first = rows.add_job(tx, LOCAL, wanted)
    rows.ask(tx, LOCAL, first.id, "pause")
    again = rows.add_job(tx, LOCAL, wanted)
    assert (again.id, again.state) == (first.id, "waiting")
    assert rows.add_job(tx, "hana", wanted).id != first.id, "another person's is another"
    rows.ask(tx, LOCAL, first.id, "cancel")
    assert rows.add_job(tx, LOCAL, wanted).id != first.id, "what is cancelled does not go on"


def test_nobody_sees_or_changes_what_is_anothers(tx):
    job = add(tx, "hana")
    add_line(tx, job.id, "info", "secret")
    for forbidden in (
        lambda: rows.get_job(tx, "taro", job.id),
        lambda: rows.ask(tx, "taro", job.id, "cancel"),
        lambda: rows.remove_job(tx, "taro", job.id),
        lambda: read_lines(tx, "taro", job.id),
        lambda: rows.get_job(tx, "taro", "x" * 20),
    ):
        with pytest.raises(NotFoundError):
            forbidden()
    assert rows.list_jobs(tx, "taro") == ()
    assert rows.get_job(tx, "hana", job.id).state == "waiting"


@pytest.mark.parametrize("wish", ["pause", "run", "cancel"])
def test_what_is_done_stays_done(tx, wish):
    job = add(tx)
    rows.claim(tx, job.id)
    rows.end_job(tx, job.id, result={}, failure=None)
    with pytest.raises(InputError, match="is done") as error:
        rows.ask(tx, LOCAL, job.id, wish)
    assert error.value.code == "wrong_state"


def test_a_failed_job_is_tried_again_or_tidied_away(tx):
    job = add(tx)
    rows.claim(tx, job.id)
    failed = rows.end_job(tx, job.id, result=None, failure=Failure("full", "No room."))
    assert failed.failure == Failure("full", "No room.")
    again = rows.ask(tx, LOCAL, job.id, "run")
    assert (again.state, again.failure, again.ended_at, again.attempts) == (
        "waiting", None, None, 0,
    )  # fmt: skip
    rows.ask(tx, LOCAL, job.id, "cancel")
    assert rows.cancelled(tx, job.id).state == "cancelled"


def test_only_ended_jobs_are_removed_and_their_log_with_them(tx):
    job = add(tx)
    add_line(tx, job.id, "info", "x" * (LONGEST_LINE + 1))
    (line,) = read_lines(tx, LOCAL, job.id)
    assert line.line.endswith(f"({LONGEST_LINE + 1} characters)")
    assert read_lines(tx, LOCAL, job.id, after=line.key) == ()
    with pytest.raises(InputError, match="waiting"):
        rows.remove_job(tx, LOCAL, job.id)
    rows.ask(tx, LOCAL, job.id, "cancel")
    rows.cancelled(tx, job.id)
    rows.remove_job(tx, LOCAL, job.id)
    assert tx.execute(sa.select(sa.func.count()).select_from(job_log)).scalar() == 0


def test_too_many_open_jobs_are_refused(tx, monkeypatch):
    monkeypatch.setattr(rows, "MOST_WAITING", 2)
    add(tx), add(tx)
    with pytest.raises(InputError, match="at most 2"):
        add(tx)


def crash_at(tx, job, stage, done):
    rows.claim(tx, job)
    rows.keep_progress(tx, job, Progress(stage, done, 100, "steps"))
    return rows.recover_jobs(tx)


def test_a_job_that_ends_the_process_at_one_place_is_given_up(tx):
    job = add(tx).id
    for _ in range(2):
        assert crash_at(tx, job, "reading", 40)[0].state == "waiting"
    assert crash_at(tx, job, "reading", 38)[0].state == "failed"
    failure = rows.get_job(tx, LOCAL, job).failure
    assert failure.code == "given_up"
    assert "3 times" in failure.message
    rows.ask(tx, LOCAL, job, "run")
    assert crash_at(tx, job, "reading", 40)[0].state == "waiting", "a person may try again"


def test_a_job_that_gets_further_each_time_is_never_given_up(tx):
    job = add(tx).id
    for done in range(0, 50, 5):
        assert crash_at(tx, job, "reading", done)[0].state == "waiting"
    for done in range(0, 50, 5):
        assert crash_at(tx, job, "writing", done)[0].state == "waiting"
    rows.claim(tx, job)
    rows.ask(tx, LOCAL, job, "pause")
    assert [found.state for found in rows.recover_jobs(tx)] == ["paused"]


def play(tx, chance):
    """People and pools do what they like; gives the jobs and how many steps each has done."""
    made = [add(tx, chance.choice([LOCAL, "hana"]), to=5) for _ in range(2)]
    steps = dict.fromkeys((job.id for job in made), 0)
    at_work: set[str] = set()
    for _ in range(25):
        job = chance.choice(made)
        move = chance.choice(["pause", "run", "cancel", "claim", "step", "step", "crash", "tidy"])
        now = rows.find_job(tx, job.id)
        if move in ("pause", "run", "cancel"):
            try:
                rows.ask(tx, job.owner, job.id, move)
            except InputError:
                ended = ("done", "cancelling", "cancelled", "failed")
                assert now.state in ended, (now.state, move)
        elif move == "claim":
            claimed = rows.claim(tx, job.id)
            if claimed is not None:
                assert job.id not in at_work, "run twice at once"
                at_work.add(job.id)
        elif move == "step" and job.id in at_work:
            if now.wanted != "run":
                rows.leave_job(tx, job.id)
                at_work.discard(job.id)
            else:
                steps[job.id] += 1
                rows.keep_progress(tx, job.id, Progress("s", steps[job.id], 5))
                if steps[job.id] >= 5:
                    rows.end_job(tx, job.id, result={}, failure=None)
                    at_work.discard(job.id)
        elif move == "crash":
            at_work.clear()
            rows.recover_jobs(tx)
        elif move == "tidy":
            for left in rows.to_tidy(tx, but=at_work):
                rows.cancelled(tx, left.id)
    return made, steps, at_work


def test_no_job_is_lost_or_run_twice_in_1000_random_orders(store):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    seen = set()
    for number in range(1000):
        with store.reading() as tx:  # one transaction, given up afterwards: quick
            made, steps, at_work = play(tx, random.Random(seed + number))
            for job in made:
                now = rows.find_job(tx, job.id)
                seen.add(now.state)
                assert job.id not in at_work or now.state in rows.UNDER_WAY
                assert (now.state == "done") == (steps[job.id] >= 5)
                # From wherever it stands, a person gets it to its end.
                if now.state in ("paused", "pausing", "failed"):
                    now = rows.ask(tx, job.owner, job.id, "run")
                if now.state == "waiting":
                    now = rows.claim(tx, job.id)
                if now.state == "running":
                    now = rows.end_job(tx, job.id, result={}, failure=None)
                if now.state == "cancelling":
                    now = rows.cancelled(tx, job.id)
                assert now.state in ("done", "cancelled")
            tx.get_transaction().rollback()
    assert seen >= {"waiting", "running", "pausing", "paused", "cancelling", "cancelled", "done"}
