"""`/studio/api/runs`: training runs begun, watched, stopped, gone on with and removed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import InputError, KataribeError, NotFoundError, UnsupportedError
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.jobs import shown, workers_of
from kataribe.serve.shapes.catalog import Removed
from kataribe.serve.shapes.conversations import Empty
from kataribe.serve.shapes.jobs import Job as JobShown
from kataribe.serve.shapes.training import (
    NewRun,
    Run,
    RunCurve,
    RunDetail,
    RunList,
    RunSamples,
    TrainingChoices,
)
from kataribe.serve.who import owner_of
from kataribe.store.jobs import NewJob

if TYPE_CHECKING:
    from kataribe.serve.training_source import Training, TrainingSource
    from kataribe.store.jobs import Job

KIND = "training"
"""The kind of job that trains."""
MOST_POINTS = 5000

_Run = Annotated[str, Path(max_length=160, description="Id of the run.")]
_SEES = failures(400, 404)
_CHANGES = failures(400, 403, 404, 413, 415, 503)


def training_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/runs", tags=["studio"])

    @router.get(
        "",
        operation_id="listRuns",
        summary="Training runs, newest first",
        response_model=RunList,
        responses=failures(400),
    )
    async def listed(http: HTTPRequest) -> RunList:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        runs = await asyncio.to_thread(_source(desk).runs, owner)
        jobs = await _jobs(desk, owner)
        return RunList(data=[_with_job(run, jobs) for run in runs if not _goes(run.id, jobs)])

    @router.get(
        "/choices",
        operation_id="getTrainingChoices",
        summary="What a new run can be made of",
        response_model=TrainingChoices,
        responses=failures(400),
    )
    async def choices(http: HTTPRequest) -> TrainingChoices:
        desk = desk_of(http)
        owner_of(http.scope)
        return await asyncio.to_thread(_source(desk).choices)

    @router.post(
        "",
        operation_id="beginRun",
        summary="Train a model, or measure what to expect of it, as a job",
        response_model=JobShown,
        responses=_CHANGES,
        openapi_extra=takes(NewRun),
    )
    async def begin(http: HTTPRequest) -> JobShown:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        body = await read_body(http, NewRun)
        training = await asyncio.to_thread(_source(desk).begin, owner, body)
        try:
            return await _add(desk, owner, training)
        except KataribeError:  # a run without a job would wait for ever
            await asyncio.to_thread(_source(desk).remove, owner, training.run)
            raise

    _add_looks(router)
    _add_acts(router)
    return router


def _add_looks(router: APIRouter) -> None:
    @router.get(
        "/{run}",
        operation_id="getRun",
        summary="One run: its plan, what was expected, what came",
        response_model=RunDetail,
        responses=_SEES,
    )
    async def one(http: HTTPRequest, run: _Run) -> RunDetail:
        desk = desk_of(http)
        return await _detail(desk, owner_of(http.scope), run)

    @router.get(
        "/{run}/curve",
        operation_id="getRunCurve",
        summary="What a run measured, step by step",
        response_model=RunCurve,
        responses=_SEES,
    )
    async def curve(
        http: HTTPRequest,
        run: _Run,
        points: Annotated[int, Query(ge=10, le=MOST_POINTS, description="About how many.")] = 600,
    ) -> RunCurve:
        desk = desk_of(http)
        return await asyncio.to_thread(_source(desk).curve, owner_of(http.scope), run, points)

    @router.get(
        "/{run}/samples",
        operation_id="getRunSamples",
        summary="What the model said on its way",
        response_model=RunSamples,
        responses=_SEES,
    )
    async def samples(http: HTTPRequest, run: _Run) -> RunSamples:
        desk = desk_of(http)
        found = await asyncio.to_thread(_source(desk).samples, owner_of(http.scope), run)
        return RunSamples(data=list(found))


def _add_acts(router: APIRouter) -> None:
    @router.post(
        "/{run}/stop",
        operation_id="stopRun",
        summary="End a run at its next step and keep what it has",
        response_model=Run,
        responses=_CHANGES,
        openapi_extra=takes(Empty),
    )
    async def stop(http: HTTPRequest, run: _Run) -> Run:
        desk = desk_of(http)
        await read_body(http, Empty)
        owner = owner_of(http.scope)
        if (job := (await _jobs(desk, owner)).get(run)) is not None:
            await asyncio.to_thread(workers_of(desk).ask, owner, job.id, "pause")
        else:  # begun by the command
            await asyncio.to_thread(_source(desk).stop, owner, run)
        return (await _detail(desk, owner, run)).run

    @router.post(
        "/{run}/resume",
        operation_id="resumeRun",
        summary="Begin a run that is planned, or go on with one that ended before its time",
        response_model=JobShown,
        responses=_CHANGES,
        openapi_extra=takes(Empty),
    )
    async def resume(http: HTTPRequest, run: _Run) -> JobShown:
        desk = desk_of(http)
        await read_body(http, Empty)
        owner = owner_of(http.scope)
        if (job := (await _jobs(desk, owner)).get(run)) is not None:
            if job.params.get("goal") == "plan" and job.state != "paused":
                raise InputError(
                    f"What to expect of {run} is being measured still. Begin it when that is "
                    "known, or cancel it.",
                    param="run",
                    code="wrong_state",
                )
            return shown(await asyncio.to_thread(workers_of(desk).ask, owner, job.id, "run"))
        return await _add(desk, owner, await asyncio.to_thread(_source(desk).resuming, owner, run))

    @router.delete(
        "/{run}",
        operation_id="removeRun",
        summary="Remove a run and its checkpoints; the model that it made stays",
        response_model=Removed,
        responses=_CHANGES,
    )
    async def remove(http: HTTPRequest, run: _Run) -> Removed:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        if (job := (await _jobs(desk, owner)).get(run)) is not None:
            # The pool takes the folder away; nothing else may do so at the same time.
            await asyncio.to_thread(workers_of(desk).ask, owner, job.id, "cancel")
            return Removed(name=run, freed=0)
        return Removed(name=run, freed=await asyncio.to_thread(_source(desk).remove, owner, run))


async def _add(desk: Desk, owner: str, training: Training) -> JobShown:
    params = asdict(training) | {"owner": owner}
    wanted = NewJob(KIND, training.title, params, same=("run", "goal"))
    return shown(await asyncio.to_thread(workers_of(desk).add, owner, wanted))


async def _jobs(desk: Desk, owner: str) -> dict[str, Job]:
    """The person's open training jobs, by their runs. None where no jobs are done."""
    jobs = rooms_of(desk).jobs
    if jobs is None:
        return {}
    found = await asyncio.to_thread(jobs.list, owner, active=True)
    return {job.params["run"]: job for job in found if job.kind == KIND}


def _goes(run: str, jobs: dict[str, Job]) -> bool:
    """Whether the pool is about to take the run's folder away."""
    return run in jobs and jobs[run].state == "cancelling"


def _with_job(run: Run, jobs: dict[str, Job]) -> Run:
    """A run with its job, and its state with what the job is about to do with it."""
    job = jobs.get(run.id)
    update: dict[str, object] = {"job": None if job is None else job.id}
    if job is None or job.state == "paused":
        if run.state == "waiting":  # for nothing
            update["state"] = "stopped"
    elif job.params.get("goal") == "plan":
        if job.state == "running" and run.state in ("waiting", "planned", "stopped", "failed"):
            # Its process begins, or ends in a moment.
            update |= {"state": "planning", "problem": ""}
        elif job.state == "waiting" and run.state in ("stopped", "failed"):
            update |= {"state": "waiting", "problem": ""}
    elif job.state in ("waiting", "running") and run.state in ("planned", "stopped", "failed"):
        update |= {"state": "waiting", "problem": ""}
    return run.model_copy(update=update)


async def _detail(desk: Desk, owner: str, run: str) -> RunDetail:
    detail = await asyncio.to_thread(_source(desk).run, owner, run)
    jobs = await _jobs(desk, owner)
    if _goes(run, jobs):
        raise NotFoundError(f"There is no training run {run!r}: it is being removed.")
    return detail.model_copy(update={"run": _with_job(detail.run, jobs)})


def _source(desk: Desk) -> TrainingSource:
    found = rooms_of(desk).training
    if found is None:
        raise UnsupportedError("This server trains no models. Start it with `kataribe up`.")
    return found
