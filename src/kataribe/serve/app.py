"""The application: routes inside, gates around."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

import kataribe
from kataribe.base.errors import KataribeError
from kataribe.serve.access import Access
from kataribe.serve.chat import chat_router
from kataribe.serve.desk import Desk
from kataribe.serve.errors import RefusedError, error_response, on_error
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.metrics import Metrics
from kataribe.serve.models import ModelSource
from kataribe.serve.service import service_router
from kataribe.serve.settings import ServerSettings


def create_app(
    models: ModelSource, settings: ServerSettings, lifecycle: Lifecycle | None = None
) -> FastAPI:
    """The HTTP API over `models`.

    `lifecycle` is shared with whoever starts and stops the server; the default one is ready.
    Starts nothing: no socket, no model.
    """
    cycle = lifecycle or Lifecycle()
    desk = Desk(models, settings, cycle, Metrics(models, cycle))
    app = FastAPI(
        title="Kataribe",
        version=kataribe.__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            KataribeError: on_error,
            HTTPException: _on_http,
            RequestValidationError: _on_validation,
        },
    )
    app.state.desk = desk
    app.include_router(chat_router(desk))
    app.include_router(service_router(desk))
    app.add_middleware(Access, metrics=desk.metrics, lifecycle=cycle)
    return app


async def _on_http(http: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(
        RefusedError(
            error.status_code,
            f"{error.detail}: {http.method} {http.url.path}. See /docs for what there is.",
            code=str(error.detail).lower().replace(" ", "_"),
            headers=error.headers,
        )
    )


async def _on_validation(_: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    refused = RefusedError(400, f"{first['msg']}.", code="invalid_value")
    refused.param = str(first["loc"][-1])
    return error_response(refused)
