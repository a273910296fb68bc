"""What jobs tell of themselves, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.store.ids import now
from kataribe.store.jobs import get_job
from kataribe.store.tables import job_log

Level: TypeAlias = Literal["info", "warning", "error"]

LONGEST_LINE = 4000
"""Characters; more of a line is cut off, and the line says so."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a job's log; `key` orders them, `at` is seconds since 1970."""

    key: int
    at: float
    level: Level
    line: str


def add_line(tx: Connection, job: str, level: Level, line: str) -> None:
    """Adds a line to the log of a job."""
    if len(line) > LONGEST_LINE:
        line = f"{line[:LONGEST_LINE]} ... ({len(line)} characters)"
    tx.execute(sa.insert(job_log).values(job=job, at=now(), level=level, line=line))


def read_lines(
    tx: Connection, owner: str, job: str, *, after: int = 0, limit: int = 1000
) -> tuple[LogLine, ...]:
    """The lines after that key, oldest first; raises `NotFoundError` for another's job."""
    found = get_job(tx, owner, job)
    query = sa.select(job_log.c.key, job_log.c.at, job_log.c.level, job_log.c.line)
    query = query.where(job_log.c.job == found.id, job_log.c.key > after)
    rows = tx.execute(query.order_by(job_log.c.key).limit(limit))
    return tuple(LogLine(row.key, row.at, row.level, row.line) for row in rows)
