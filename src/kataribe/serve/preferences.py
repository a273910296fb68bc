"""`/studio/api/preferences` and `storage`: what a person has set, and what lies on the disk."""

from __future__ import annotations

import asyncio
import os
import shutil
from functools import partial
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest

from kataribe.serve.described import failures, takes
from kataribe.serve.desk import desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.shapes.people import (
    KeyState,
    PreferenceChange,
    Preferences,
    StorageShown,
)
from kataribe.serve.who import owner_of
from kataribe.store import preferences

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
"""Keys of hosted models: whether they are set is told, what they are never."""


def preferences_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api", tags=["studio"])

    @router.get(
        "/preferences",
        operation_id="getPreferences",
        summary="What the person has set",
        response_model=Preferences,
        responses=failures(400),
    )
    async def read(http: HTTPRequest) -> Preferences:
        desk = desk_of(http)
        work = partial(preferences.read, owner=owner_of(http.scope))
        return Preferences(values=await rooms_of(desk).store.read(work))

    @router.patch(
        "/preferences",
        operation_id="changePreferences",
        summary="Set or remove preferences; those that are left out stay",
        response_model=Preferences,
        responses=failures(400, 403, 413, 415, 503),
        openapi_extra=takes(PreferenceChange),
    )
    async def change(http: HTTPRequest) -> Preferences:
        desk = desk_of(http)
        body = await read_body(http, PreferenceChange)
        work = partial(preferences.change, owner=owner_of(http.scope), values=body.values)
        return Preferences(values=await rooms_of(desk).store.write(work))

    @router.get(
        "/storage",
        operation_id="getStorage",
        summary="The data folder and what it holds",
        response_model=StorageShown,
        responses=failures(400),
    )
    async def storage(http: HTTPRequest) -> StorageShown:
        desk = desk_of(http)
        database = rooms_of(desk).store.path
        return await asyncio.to_thread(measured, database)

    return router


def measured(database: Path) -> StorageShown:
    """The sizes of what lies in the workspace of a database, in bytes as files have them."""
    root = database.parent
    sizes = {"database": 0, "models": 0, "downloads": 0, "other": 0}
    with os.scandir(root) as entries:
        for entry in entries:
            part = "database" if entry.name.startswith(database.name) else entry.name
            sizes[part if part in sizes else "other"] += _size(entry)
    return StorageShown(
        folder=str(root),
        **sizes,
        free=shutil.disk_usage(root).free,
        keys=[KeyState(name=name, set=bool(os.environ.get(name))) for name in KEYS],
    )


def _size(entry: os.DirEntry[str]) -> int:
    """Bytes of a file, or of all below a folder; links are not followed, they lie elsewhere."""
    try:
        if not entry.is_dir(follow_symlinks=False):
            return entry.stat(follow_symlinks=False).st_size
        with os.scandir(entry) as entries:
            return sum(_size(each) for each in entries)
    except OSError:  # it went away meanwhile, or may not be read
        return 0
