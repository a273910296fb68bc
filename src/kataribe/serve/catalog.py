"""`/studio/api/catalog`: models that are here or can be had, their download and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.serve.code_samples import Ask, Asked, code_samples
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.jobs import shown, workers_of
from kataribe.serve.shapes.catalog import CatalogCard, CatalogList, CatalogModel, Pull, Removed
from kataribe.serve.shapes.jobs import Job as JobShown
from kataribe.serve.who import owner_of
from kataribe.store.jobs import NewJob
from kataribe.store.tables import LOCAL

if TYPE_CHECKING:
    from kataribe.serve.catalog_source import CatalogSource

KIND = "download"
"""The kind of job that brings a model."""

_Name = Annotated[str, Path(max_length=256, description="Name of the model.")]


def catalog_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/catalog", tags=["studio"])

    @router.get(
        "",
        operation_id="listCatalog",
        summary="Models that are here or can be had",
        response_model=CatalogList,
        responses=failures(400),
    )
    async def listed(http: HTTPRequest) -> CatalogList:
        desk = desk_of(http)
        models = await asyncio.to_thread(_source(desk).models)
        running = await _downloads(desk, owner_of(http.scope))
        return CatalogList(data=[_with_job(model, running) for model in models])

    @router.post(
        "/pull",
        operation_id="pullModel",
        summary="Fetch a model as a job; the one that fetches it already is given back",
        response_model=JobShown,
        responses=failures(400, 403, 404, 413, 415, 503),
        openapi_extra=takes(Pull),
    )
    async def pull(http: HTTPRequest) -> JobShown:
        desk = desk_of(http)
        body = await read_body(http, Pull)
        return await _pull(desk, owner_of(http.scope), body)

    @router.get(
        "/{name}",
        operation_id="getCatalogCard",
        summary="Everything known of one model",
        response_model=CatalogCard,
        responses=failures(400, 404),
    )
    async def card(http: HTTPRequest, name: _Name) -> CatalogCard:
        desk = desk_of(http)
        return await _card(desk, http, name)

    @router.delete(
        "/{name}",
        operation_id="removeModel",
        summary="Remove a model from this machine",
        response_model=Removed,
        responses=failures(400, 403, 404, 429, 503),
    )
    async def remove(http: HTTPRequest, name: _Name) -> Removed:
        desk = desk_of(http)
        owner_of(http.scope)  # models are everybody's here, so whoever is somebody may
        source = _source(desk)
        found = await asyncio.to_thread(source.model, name)
        return Removed(name=found.name, freed=await asyncio.to_thread(source.remove, found.name))

    return router


_USES: Mapping[str, Ask] = {"embed": "embed", "classify": "classify"}
"""How models are asked that do not write, by their task."""


async def _pull(desk: Desk, owner: str, body: Pull) -> JobShown:
    if body.model.strip().casefold().startswith("file:"):
        # Whoever may ask this server may not read all that its process may.
        raise InputError(
            "Files of the server's machine are not fetched over HTTP. Run there: "
            "kataribe models import PATH",
            param="model",
        )
    pulling = await asyncio.to_thread(
        _source(desk).pulling, body.model, accept_terms=body.accept_terms, as_name=body.name
    )
    # Two names that differ in their case only are one folder.
    params = {**asdict(pulling), "folder": pulling.name.casefold()}
    wanted = NewJob(KIND, pulling.name, params, same=("folder",))
    return shown(await asyncio.to_thread(workers_of(desk).add, owner, wanted))


async def _card(desk: Desk, http: HTTPRequest, name: str) -> CatalogCard:
    owner, source = owner_of(http.scope), _source(desk)
    model = await asyncio.to_thread(source.model, name)
    asked = Asked(
        address=f"{http.url.scheme}://{http.url.netloc}",
        model=model.name,
        use=_USES.get(model.task, "base" if model.chats is False else "chat"),
        key=desk.settings.key is not None or owner != LOCAL,
    )
    return CatalogCard(
        model=_with_job(model, await _downloads(desk, owner)),
        fit=await asyncio.to_thread(source.fit, model.name),
        samples=code_samples(asked),
        frees=await asyncio.to_thread(source.frees, model.name),
    )


async def _downloads(desk: Desk, owner: str) -> dict[str, str]:
    """The person's open downloads: folder of the model -> job. None where no jobs are done."""
    jobs = rooms_of(desk).jobs
    if jobs is None:
        return {}
    found = await asyncio.to_thread(jobs.list, owner, active=True)
    return {job.params["folder"]: job.id for job in found if job.kind == KIND}


def _with_job(model: CatalogModel, running: dict[str, str]) -> CatalogModel:
    return model.model_copy(update={"job": running.get(model.name.casefold())})


def _source(desk: Desk) -> CatalogSource:
    found = rooms_of(desk).catalog
    if found is None:
        raise UnsupportedError("This server has no catalogue. Start it with `kataribe up`.")
    return found
