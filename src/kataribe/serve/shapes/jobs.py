"""Durable jobs as `/studio/api/jobs` gives them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from kataribe.serve.shapes.conversations import MessageFailure
from kataribe.serve.shapes.strict import Outgoing

JobState = Literal[
    "waiting", "running", "pausing", "paused", "cancelling", "cancelled", "done", "failed"
]


class Job(Outgoing):
    """Long work that outlives the page and the process."""

    id: str
    kind: str = Field(description="download; later training, indexing, evaluation, batch.")
    title: str
    state: JobState
    stage: str = Field(description="What it does now, such as downloading or checking.")
    done: int
    total: int | None
    unit: str = Field(description="bytes, tokens, documents...")
    rate: float | None = Field(description="Units per second lately; null while nobody knows.")
    params: dict[str, Any]
    result: dict[str, Any] | None
    failure: MessageFailure | None
    attempts: int
    created_at: float
    started_at: float | None
    ended_at: float | None


class JobList(Outgoing):
    """Newest first."""

    object: Literal["list"] = "list"
    data: list[Job]


class LogLine(Outgoing):
    """A line of a job's log."""

    key: int
    at: float
    level: Literal["info", "warning", "error"]
    line: str


class JobLog(Outgoing):
    """Lines after the key that was asked for."""

    object: Literal["list"] = "list"
    data: list[LogLine]
