"""`/v1/models`, `/health` and `/metrics`."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response

import kataribe
from kataribe.base.errors import NotFoundError
from kataribe.base.nearness import meant
from kataribe.serve.described import failures
from kataribe.serve.desk import Desk, desk_of
from kataribe.serve.models import ModelInfo
from kataribe.serve.shapes.service import Health, Model, ModelList

_PROMETHEUS = "text/plain; version=1.0.0; charset=utf-8"


def service_router() -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get(
        "/v1/models",
        operation_id="listModels",
        summary="List the models",
        tags=["models"],
        response_model=ModelList,
        responses=failures(),
    )
    async def list_models(http: HTTPRequest) -> ModelList:
        models = await asyncio.to_thread(desk_of(http).models.names)  # may read headers of files
        return ModelList(data=[_model(info) for info in models])

    @router.get(
        "/v1/models/{model:path}",
        operation_id="retrieveModel",
        summary="Show one model",
        tags=["models"],
        response_model=Model,
        responses=failures(404),
    )
    async def retrieve_model(http: HTTPRequest, model: str) -> Model:
        return _model(find_model(desk_of(http), model))

    @router.get(
        "/health",
        operation_id="getHealth",
        summary="Say whether the server is ready",
        tags=["server"],
        response_model=Health,
        responses={
            503: {"model": Health, "description": "Loading or stopping."},
            **failures(),
        },
    )
    async def get_health(http: HTTPRequest) -> Response:
        cycle = desk_of(http).lifecycle
        health = Health(status=cycle.state, detail=cycle.detail, version=kataribe.__version__)
        headers = {} if cycle.state == "ready" else {"Retry-After": "2"}
        status = 200 if cycle.state == "ready" else 503
        return JSONResponse(health.model_dump(), status, headers)

    @router.get(
        "/metrics",
        operation_id="getMetrics",
        summary="Figures for Prometheus",
        tags=["server"],
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **failures(),
        },
    )
    async def get_metrics(http: HTTPRequest) -> Response:
        return Response(desk_of(http).metrics.page(), media_type=_PROMETHEUS)

    return router


def find_model(desk: Desk, name: str) -> ModelInfo:
    """The model of that name; `NotFoundError` tells near names, else all there are."""
    models = desk.models.names()
    for info in models:
        if info.name == name:
            return info
    hint = meant(name, [info.name for info in models], most=3)
    raise NotFoundError(
        f"There is no model {name!r:.120}. {hint}", param="model", code="model_not_found"
    )


def _model(info: ModelInfo) -> Model:
    return Model(
        id=info.name,
        created=info.created,
        owned_by=info.owned_by,
        max_model_len=info.context_length,
        loaded=info.loaded,
        use=info.use,
    )
