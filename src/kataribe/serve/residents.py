"""`/studio/api/models/load`, `unload` and `loaded`: which models are in memory."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import UnsupportedError
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of
from kataribe.serve.intake import read_body
from kataribe.serve.models import InMemory, ModelControl
from kataribe.serve.shapes.residents import (
    LoadedModel,
    LoadedModels,
    LoadRequest,
    UnloadRequest,
)

_WRONG = failures(400, 403, 404, 413, 415, 429, 503)


def residents_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/models", tags=["studio"])

    @router.get(
        "/loaded",
        operation_id="listLoadedModels",
        summary="List the models in memory",
        response_model=LoadedModels,
        responses=failures(400),
    )
    async def loaded(http: HTTPRequest) -> LoadedModels:
        desk = desk_of(http)
        return LoadedModels(data=[_shown(model) for model in _control(desk).in_memory()])

    @router.post(
        "/load",
        operation_id="loadModel",
        summary="Bring a model into memory and hold it there",
        response_model=LoadedModel,
        responses=_WRONG,
        openapi_extra=takes(LoadRequest),
    )
    async def load(http: HTTPRequest) -> LoadedModel:
        desk = desk_of(http)
        body = await read_body(http, LoadRequest)
        return _shown(await asyncio.to_thread(_control(desk).load, body.model, hold=body.hold))

    @router.post(
        "/unload",
        operation_id="unloadModel",
        summary="Let a model go, and free its memory",
        response_model=LoadedModels,
        responses=_WRONG,
        openapi_extra=takes(UnloadRequest),
    )
    async def unload(http: HTTPRequest) -> LoadedModels:
        desk = desk_of(http)
        body = await read_body(http, UnloadRequest)
        control = _control(desk)
        await asyncio.to_thread(control.unload, body.model, force=body.force)
        return LoadedModels(data=[_shown(model) for model in control.in_memory()])

    return router


def _control(desk: Desk) -> ModelControl:
    if not isinstance(desk.models, ModelControl):
        raise UnsupportedError("The models of this server cannot be loaded or unloaded by hand.")
    return desk.models


def _shown(model: InMemory) -> LoadedModel:
    return LoadedModel(
        name=model.name,
        state=model.state,
        memory=model.memory,
        held=model.held,
        leases=model.leases,
        idle=round(model.idle, 1),
    )
