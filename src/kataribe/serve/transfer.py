"""`/studio/api/export` and `import`: everything that a person owns, as one file."""

from __future__ import annotations

import asyncio
import tempfile
import time
from typing import Any

from fastapi import APIRouter
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import StreamingResponse

from kataribe.base.errors import StorageError
from kataribe.serve.described import failures
from kataribe.serve.desk import desk_of, rooms_of
from kataribe.serve.errors import RefusedError
from kataribe.serve.files import saved_as
from kataribe.serve.intake import ClientGoneError
from kataribe.serve.shapes.conversations import Imported
from kataribe.serve.who import owner_of
from kataribe.store.database import Store
from kataribe.store.transfer.arriving import Arrived, imported
from kataribe.store.transfer.leaving import exported

_FILE: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}


def transfer_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api", tags=["studio"])
    one_at_a_time = asyncio.Semaphore(1)  # an import may take as much memory as its longest line

    @router.get(
        "/export",
        operation_id="exportEverything",
        summary="Everything that the person owns, as one JSON file",
        response_class=StreamingResponse,
        responses={**failures(400), 200: {"content": _FILE}},
    )
    async def export(http: HTTPRequest) -> StreamingResponse:
        desk = desk_of(http)
        name = f"kataribe-{time.strftime('%Y-%m-%d')}.json"
        lines = exported(rooms_of(desk).store, owner_of(http.scope))
        return StreamingResponse(lines, media_type="application/json", headers=saved_as(name))

    @router.post(
        "/import",
        operation_id="importEverything",
        summary="Take in a file that /export gave",
        response_model=Imported,
        responses=failures(400, 403, 408, 413, 415, 503),
        openapi_extra={"requestBody": {"required": True, "content": _FILE}},
    )
    async def take_in(http: HTTPRequest) -> Imported:
        desk = desk_of(http)
        store, owner = rooms_of(desk).store, owner_of(http.scope)
        if http.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise RefusedError(
                415,
                "The file must be sent as Content-Type: application/json.",
                code="unsupported_media_type",
            )
        arrived = await _arrive(http, store, owner, one_at_a_time)
        return Imported(
            conversations=arrived.conversations,
            messages=arrived.messages,
            skipped=arrived.skipped,
            jobs=arrived.jobs,
            prompts=arrived.prompts,
        )

    return router


async def _arrive(http: HTTPRequest, store: Store, owner: str, turn: asyncio.Semaphore) -> Arrived:
    """Lays the body down beside the database, where there is room, and takes it in.

    Only the taking in waits for its `turn`: a body that comes slowly holds up nobody else.
    """
    try:
        # It has no name in the folder: whatever ends this process, nothing of it is left there.
        with tempfile.TemporaryFile(dir=store.path.parent) as file:
            async for part in http.stream():
                await asyncio.to_thread(file.write, part)
            async with turn:
                return await asyncio.to_thread(imported, store, owner, file)
    except ClientDisconnect:
        raise ClientGoneError from None
    except OSError as error:
        raise StorageError(
            f"The file could not be laid down in {store.path.parent}: {error.strerror}. Nothing "
            "was imported; free some space and try again."
        ) from error
