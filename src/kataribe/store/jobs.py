"""Durable jobs: long work as rows, and how one becomes the next state.

    waiting -> running -> done, failed
               running -> pausing -> paused -> waiting
    any that is not done -> cancelling -> cancelled

What the person asks for stands in `wanted` at once; the work looks at it and ends at a safe
place. Functions for people ask for the owner and find nothing of anybody else's; those for the
worker pool go by the job's id alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store.ids import new_id, now
from kataribe.store.tables import jobs

JobState: TypeAlias = Literal[
    "waiting", "running", "pausing", "paused", "cancelling", "cancelled", "done", "failed"
]
Wish: TypeAlias = Literal["run", "pause", "cancel"]

OPEN = ("waiting", "running", "pausing", "paused", "cancelling")
"""States of jobs that may still do something."""
ENDED = ("cancelled", "done", "failed")
UNDER_WAY = ("running", "pausing", "cancelling")
"""States in which some thread may be at work."""

MOST_ATTEMPTS = 3
"""A job that ended the process so often without getting further is not tried again."""
MOST_WAITING = 200
"""Open jobs of one person: more are a mistake, and each is shown."""
MOST_SHOWN = 1000
"""Jobs that a list has at most, the newest; older ones are found by their id."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: the API's code, and a sentence with the way out."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: `done` of `total` (None: nobody knows) `unit`s of what it does now."""

    stage: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its row tells it.

    Attributes:
        id: What everybody names it by.
        owner: Whose it is.
        kind: "download", ...: which work does it.
        title: For people.
        state: Where it stands.
        wanted: What the person asks for.
        params: What the work needs to know.
        progress: How far it is.
        result: What came of it, when it is done.
        failure: Why it failed.
        attempts: How often it was begun since it last got further.
        created_at: Seconds since 1970, as the two that follow.
        started_at: First begun.
        ended_at: Done, failed or cancelled.
        rate: Units per second lately; only the pool that runs it knows.
    """

    id: str
    owner: str
    kind: str
    title: str
    state: JobState
    wanted: Wish
    params: Mapping[str, Any]
    progress: Progress
    result: Mapping[str, Any] | None
    failure: Failure | None
    attempts: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is to be done.

    An open job of the same owner and kind whose `params` agree in all of `same` takes its place.
    """

    kind: str
    title: str
    params: Mapping[str, Any]
    same: tuple[str, ...] = ()


def add_job(tx: Connection, owner: str, wanted: NewJob) -> Job:
    """A new job that waits, or the open one that does the same; a paused one goes on.

    Raises `InputError` when too many are open.
    """
    mine = open_jobs(tx, owner)
    for job in mine:
        agrees = all(job.params.get(name) == wanted.params.get(name) for name in wanted.same)
        if wanted.same and job.kind == wanted.kind and agrees and job.state != "cancelling":
            return ask(tx, owner, job.id, "run")
    if len(mine) >= MOST_WAITING:
        raise InputError(
            f"{len(mine)} jobs are open, at most {MOST_WAITING} can be. Wait, or cancel some."
        )
    id_ = new_id()
    made = {
        "id": id_,
        "owner": owner,
        "kind": wanted.kind,
        "title": wanted.title[:200],
        "state": "waiting",
        "params": dict(wanted.params),
        "created_at": now(),
    }
    tx.execute(sa.insert(jobs).values(**made))
    return get_job(tx, owner, id_)


def get_job(tx: Connection, owner: str, job: str) -> Job:
    """The owner's job of that id; `NotFoundError`."""
    found = find_job(tx, job)
    if found is None or found.owner != owner:
        raise NotFoundError(f"There is no job {job[:60]!r}. It may have been removed.", param="job")
    return found


def list_jobs(
    tx: Connection, owner: str, *, active: bool | None = None, limit: int = MOST_SHOWN
) -> tuple[Job, ...]:
    """The owner's jobs, newest first; `active` True only open ones, False only ended ones."""
    query = sa.select(jobs).where(jobs.c.owner == owner)
    if active is not None:
        query = query.where(jobs.c.state.in_(OPEN if active else ENDED))
    newest = (
        jobs.c.created_at.desc(),
        jobs.c.key.desc(),
    )  # what was imported is older than its key
    return tuple(map(_job, tx.execute(query.order_by(*newest).limit(limit))))


def open_jobs(tx: Connection, owner: str | None = None, *, kind: str | None = None) -> list[Job]:
    """Jobs that may still do something, oldest first."""
    query = sa.select(jobs).where(jobs.c.state.in_(OPEN)).order_by(jobs.c.key)
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    return [_job(row) for row in tx.execute(query)]


def ask(tx: Connection, owner: str, job: str, wish: Wish) -> Job:
    """Pause, go on ("run") or cancel; asking for what is so already changes nothing.

    "run" also tries a failed one again. Raises `NotFoundError`, and `InputError` for a job whose
    state does not allow it.
    """
    found = get_job(tx, owner, job)
    becomes = _BECOMES[wish].get(found.state)
    if becomes is None:
        raise InputError(
            f"{found.title!r} is {found.state}, so it cannot be {_DONE_TO[wish]}.",
            param="job",
            code="wrong_state",
        )
    if becomes == found.state:
        return found
    changes: dict[str, Any] = {"state": becomes, "wanted": wish}
    if found.state == "failed":
        changes |= {"failure": None, "ended_at": None, "attempts": 0}
    _change(tx, job, **changes)
    return get_job(tx, owner, job)


_BECOMES: Mapping[Wish, Mapping[JobState, JobState]] = {
    "pause": {
        "waiting": "paused",
        "running": "pausing",
        "pausing": "pausing",
        "paused": "paused",
    },
    "run": {
        "waiting": "waiting",
        "running": "running",
        "pausing": "running",
        "paused": "waiting",
        "failed": "waiting",
    },
    # What waits or is paused may have left something, too, which the work takes away.
    "cancel": {
        "waiting": "cancelling",
        "running": "cancelling",
        "pausing": "cancelling",
        "paused": "cancelling",
        "failed": "cancelling",
        "cancelling": "cancelling",
        "cancelled": "cancelled",
    },
}
_DONE_TO: Mapping[Wish, str] = {"pause": "paused", "run": "resumed", "cancel": "cancelled"}


def remove_job(tx: Connection, owner: str, job: str) -> None:
    """Removes an ended job with its log; `InputError` for one that is open."""
    found = get_job(tx, owner, job)
    if found.state in OPEN:
        raise InputError(
            f"{found.title!r} is {found.state}; only jobs that ended are removed. Cancel it first.",
            param="job",
            code="wrong_state",
        )
    tx.execute(sa.delete(jobs).where(jobs.c.id == job))


def find_job(tx: Connection, job: str) -> Job | None:
    """The job of that id, whoever's it is."""
    row = tx.execute(sa.select(jobs).where(jobs.c.id == job)).one_or_none()
    return None if row is None else _job(row)


def next_of_each(
    tx: Connection, kinds: Collection[str], *, but: Collection[str] = ()
) -> Sequence[Job]:
    """The first job that waits of each owner, but not these; only of kinds that can be done."""
    first = (
        sa.select(sa.func.min(jobs.c.key))
        .where(jobs.c.state == "waiting", jobs.c.kind.in_(kinds), jobs.c.id.not_in(but))
        .group_by(jobs.c.owner)
    )
    query = sa.select(jobs).where(jobs.c.key.in_(first)).order_by(jobs.c.key)
    return [_job(row) for row in tx.execute(query)]


def claim(tx: Connection, job: str) -> Job | None:
    """Begins a job that waits; None when it waits no more."""
    changed = tx.execute(
        sa.update(jobs)
        .where(jobs.c.id == job, jobs.c.state == "waiting")
        .values(
            state="running",
            attempts=jobs.c.attempts + 1,
            started_at=sa.func.coalesce(jobs.c.started_at, now()),
        )
    )
    return find_job(tx, job) if changed.rowcount else None


def keep_progress(tx: Connection, job: str, at: Progress) -> Job | None:
    """Writes how far a job is that is under way; None when there is none such any more."""
    row = tx.execute(
        sa.select(jobs.c.reached).where(jobs.c.id == job, jobs.c.state.in_(UNDER_WAY))
    ).one_or_none()
    if row is None:
        return None
    changes: dict[str, Any] = asdict(at)
    # A stage reached for the first time counts, too: what was before it is done.
    if at.done > row.reached.get(at.stage, -1):
        changes |= {"reached": {**row.reached, at.stage: at.done}, "attempts": 1}
    _change(tx, job, **changes)
    return find_job(tx, job)


def end_job(
    tx: Connection, job: str, *, result: Mapping[str, Any] | None, failure: Failure | None
) -> Job | None:
    """The work has come to its end: done, or failed where there is a failure.

    A failure of what is to be cancelled is no news: it stays `cancelling`, to be taken away. What
    is done is done, also where a wish to cancel came too late.
    """
    found = find_job(tx, job)
    if found is None or found.state not in UNDER_WAY:
        return found
    if failure is not None and found.wanted == "cancel":
        return found
    told = None if failure is None else asdict(failure)
    state = "done" if failure is None else "failed"
    _change(tx, job, state=state, wanted="run", result=result, failure=told, ended_at=now())
    return find_job(tx, job)


def leave_job(tx: Connection, job: str) -> Job | None:
    """The work stopped at a safe place: paused, or back to wait; to be cancelled stays so."""
    found = find_job(tx, job)
    if found is None or found.state not in UNDER_WAY or found.wanted == "cancel":
        return found
    state = "paused" if found.wanted == "pause" else "waiting"
    _change(tx, job, state=state, attempts=max(found.attempts - 1, 0))  # it did nothing wrong
    return find_job(tx, job)


def to_tidy(tx: Connection, *, but: Collection[str]) -> Sequence[Job]:
    """Jobs to be cancelled that nobody works on: all but these."""
    query = sa.select(jobs).where(jobs.c.state == "cancelling", jobs.c.id.not_in(but))
    return [_job(row) for row in tx.execute(query.order_by(jobs.c.key))]


def cancelled(tx: Connection, job: str, failure: Failure | None = None) -> Job | None:
    """What a cancelled job left is gone; or it could not be taken away, which is a failure."""
    told = None if failure is None else asdict(failure)
    state = "cancelled" if failure is None else "failed"
    tx.execute(
        sa.update(jobs)
        .where(jobs.c.id == job, jobs.c.state == "cancelling")
        .values(state=state, wanted="run", failure=told, ended_at=now())
    )
    return find_job(tx, job)


def recover_jobs(tx: Connection) -> list[Job]:
    """After a process ended: what ran in it waits again, or is given up; what changed."""
    query = sa.select(jobs).where(jobs.c.state.in_(("running", "pausing"))).order_by(jobs.c.key)
    changed = []
    for job in [_job(row) for row in tx.execute(query)]:
        if job.state == "pausing":
            _change(tx, job.id, state="paused")
        elif job.attempts >= MOST_ATTEMPTS:
            failure = Failure(
                "given_up",
                f"The process ended {job.attempts} times while this ran and got no further. Look "
                "at its log, free memory or disk, then resume it.",
            )
            _change(tx, job.id, state="failed", failure=asdict(failure), ended_at=now())
        else:
            _change(tx, job.id, state="waiting")
        changed.append(get_job(tx, job.owner, job.id))
    return changed


def _change(tx: Connection, job: str, **values: Any) -> None:
    tx.execute(sa.update(jobs).where(jobs.c.id == job).values(**values))


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        owner=row.owner,
        kind=row.kind,
        title=row.title,
        state=row.state,
        wanted=row.wanted,
        params=row.params,
        progress=Progress(row.stage, row.done, row.total, row.unit),
        result=row.result,
        failure=None if row.failure is None else Failure(**row.failure),
        attempts=row.attempts,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
