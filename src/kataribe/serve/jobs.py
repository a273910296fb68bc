"""`/studio/api/jobs`: long work that outlives the page, seen and steered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import UnsupportedError
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.shapes import jobs as shapes
from kataribe.serve.shapes.conversations import Empty, MessageFailure
from kataribe.serve.who import owner_of
from kataribe.store.news import Other

if TYPE_CHECKING:
    from kataribe.store.jobs import Job, Wish
    from kataribe.store.workers import Workers
    from kataribe.use.chats.hub import Hub

_SEES = failures(400, 404)
_CHANGES = failures(400, 403, 404, 413, 415, 503)
_Id = Annotated[str, Path(max_length=32, description="Id of the job.")]


def jobs_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/jobs", tags=["studio"])

    @router.get(
        "",
        operation_id="listJobs",
        summary="List jobs",
        response_model=shapes.JobList,
        responses=failures(400),
    )
    async def listed(
        http: HTTPRequest,
        active: Annotated[
            bool | None, Query(description="true: only open ones; false: only ended ones.")
        ] = None,
    ) -> shapes.JobList:
        desk = desk_of(http)
        return await _list(desk, owner_of(http.scope), active)

    @router.get(
        "/{job}",
        operation_id="getJob",
        summary="One job",
        response_model=shapes.Job,
        responses=_SEES,
    )
    async def one(http: HTTPRequest, job: _Id) -> shapes.Job:
        desk = desk_of(http)
        return shown(await asyncio.to_thread(workers_of(desk).get, owner_of(http.scope), job))

    @router.get(
        "/{job}/log",
        operation_id="getJobLog",
        summary="What a job told of itself",
        response_model=shapes.JobLog,
        responses=_SEES,
    )
    async def log(
        http: HTTPRequest,
        job: _Id,
        after: Annotated[
            int, Query(ge=0, le=2**62, description="Key of the last line that is known.")
        ] = 0,
    ) -> shapes.JobLog:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        lines = await asyncio.to_thread(workers_of(desk).lines, owner, job, after=after)
        return shapes.JobLog(
            data=[
                shapes.LogLine(key=each.key, at=each.at, level=each.level, line=each.line)
                for each in lines
            ]
        )

    _add_wishes(router)
    _add_removal(router)
    return router


def _add_wishes(router: APIRouter) -> None:
    async def ask(http: HTTPRequest, job: str, wish: Wish) -> shapes.Job:
        await read_body(http, Empty)
        owner = owner_of(http.scope)
        return shown(await asyncio.to_thread(workers_of(desk_of(http)).ask, owner, job, wish))

    @router.post(
        "/{job}/pause",
        operation_id="pauseJob",
        summary="Stop a job at a safe place and keep what it has",
        response_model=shapes.Job,
        responses=_CHANGES,
        openapi_extra=takes(Empty),
    )
    async def pause(http: HTTPRequest, job: _Id) -> shapes.Job:
        return await ask(http, job, "pause")

    @router.post(
        "/{job}/resume",
        operation_id="resumeJob",
        summary="Go on with a job that is paused, or try one again that failed",
        response_model=shapes.Job,
        responses=_CHANGES,
        openapi_extra=takes(Empty),
    )
    async def resume(http: HTTPRequest, job: _Id) -> shapes.Job:
        return await ask(http, job, "run")

    @router.post(
        "/{job}/cancel",
        operation_id="cancelJob",
        summary="End a job and take away what it left",
        response_model=shapes.Job,
        responses=_CHANGES,
        openapi_extra=takes(Empty),
    )
    async def cancel(http: HTTPRequest, job: _Id) -> shapes.Job:
        return await ask(http, job, "cancel")


def _add_removal(router: APIRouter) -> None:
    @router.delete(
        "/{job}",
        operation_id="deleteJob",
        summary="Take an ended job off the list; gives the others",
        response_model=shapes.JobList,
        responses=_CHANGES,
    )
    async def remove(http: HTTPRequest, job: _Id) -> shapes.JobList:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        await asyncio.to_thread(workers_of(desk).remove, owner, job)
        return await _list(desk, owner, None)


def workers_of(desk: Desk) -> Workers:
    """The pool that does the jobs; `UnsupportedError` where the server has none."""
    found = rooms_of(desk).jobs
    if found is None:
        raise UnsupportedError("This server does no jobs. Start it with `kataribe up`.")
    return found


@asynccontextmanager
async def working(jobs: Workers, hub: Hub) -> AsyncIterator[None]:
    """The pool at work while the context lasts, and its news passed on to the pages."""
    loop = asyncio.get_running_loop()

    def tell(owner: str, job: Job) -> None:
        loop.call_soon_threadsafe(hub.tell, owner, None, Other("job", shown(job)))

    end = jobs.subscribe(tell)
    await asyncio.to_thread(jobs.start)
    try:
        yield
    finally:
        await asyncio.to_thread(jobs.stop)
        end()


def shown(job: Job) -> shapes.Job:
    """A job as the API gives it."""
    failure = job.failure
    return shapes.Job(
        id=job.id,
        kind=job.kind,
        title=job.title,
        state=job.state,
        stage=job.progress.stage,
        done=job.progress.done,
        total=job.progress.total,
        unit=job.progress.unit,
        rate=job.rate,
        params=dict(job.params),
        result=None if job.result is None else dict(job.result),
        failure=None if failure is None else MessageFailure(**asdict(failure)),
        attempts=job.attempts,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


async def _list(desk: Desk, owner: str, active: bool | None) -> shapes.JobList:
    found = await asyncio.to_thread(workers_of(desk).list, owner, active=active)
    return shapes.JobList(data=[shown(job) for job in found])
