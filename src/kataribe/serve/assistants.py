"""`/studio/api/assistants`: recipes listed, read, written, copied, deleted and brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Path
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.errors import InputError, NotFoundError, UnsupportedError
from kataribe.serve.assistants_source import Draft
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.errors import RefusedError
from kataribe.serve.intake import read_body
from kataribe.serve.shapes.assistants import (
    AssistantDetail,
    AssistantList,
    AssistantRemoved,
    CopyAssistant,
    PutAssistant,
)
from kataribe.serve.shapes.conversations import Empty
from kataribe.serve.who import asker_of, owner_of

if TYPE_CHECKING:
    from kataribe.serve.assistants_source import AssistantsSource

T = TypeVar("T")

_Name = Annotated[str, Path(max_length=128, description="The assistant's name.")]
_SEES = failures(400, 404)
_CHANGES = failures(400, 403, 404, 412, 413, 415, 428, 507)


def assistants_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/assistants", tags=["studio"])

    @router.get(
        "",
        operation_id="listAssistants",
        summary="Assistants that come along, and those of the workspace",
        response_model=AssistantList,
        responses=failures(400),
    )
    async def listed(http: HTTPRequest) -> AssistantList:
        desk = desk_of(http)
        owner_of(http.scope)
        return await asyncio.to_thread(source_of(desk).all)

    @router.get(
        "/{name}",
        operation_id="getAssistant",
        summary="One assistant with its recipe; the tag comes as ETag too",
        response_model=AssistantDetail,
        responses=_SEES,
    )
    async def one(http: HTTPRequest, response: Response, name: _Name) -> AssistantDetail:
        desk = desk_of(http)
        owner_of(http.scope)
        return _tagged(response, await _changing(source_of(desk).one, name))

    _add_changes(router)
    _add_ways_back(router)
    return router


def _add_changes(router: APIRouter) -> None:
    @router.put(
        "/{name}",
        operation_id="putAssistant",
        summary="Write a recipe; refuses what is wrong, and what changed meanwhile",
        response_model=AssistantDetail,
        responses=_CHANGES,
        openapi_extra=_with_tag(takes(PutAssistant)),
    )
    async def put(http: HTTPRequest, response: Response, name: _Name) -> AssistantDetail:
        desk = desk_of(http)
        owner_of(http.scope)
        body = await read_body(http, PutAssistant)
        draft = draft_of(http, name, body.text)
        over = _over(http)
        return _tagged(response, await _changing(source_of(desk).put, draft, over))

    @router.delete(
        "/{name}",
        operation_id="removeAssistant",
        summary="Delete an assistant of the workspace; it can be brought back",
        response_model=AssistantRemoved,
        responses=_CHANGES,
        openapi_extra=_with_tag({}),
    )
    async def remove(http: HTTPRequest, name: _Name) -> AssistantRemoved:
        desk = desk_of(http)
        owner_of(http.scope)
        over = _over(http)
        if over is None:
            raise RefusedError(
                400, "To delete, send the tag of what is deleted: If-Match.", code="invalid_value"
            )
        await _changing(source_of(desk).remove, name, over)
        return AssistantRemoved(name=name)


def _add_ways_back(router: APIRouter) -> None:
    @router.post(
        "/{name}/restore",
        operation_id="restoreAssistant",
        summary="Bring a deleted assistant back",
        response_model=AssistantDetail,
        responses=_CHANGES,
        openapi_extra=takes(Empty),
    )
    async def restore(http: HTTPRequest, response: Response, name: _Name) -> AssistantDetail:
        desk = desk_of(http)
        owner_of(http.scope)
        await read_body(http, Empty)
        return _tagged(response, await _changing(source_of(desk).restore, name))

    @router.post(
        "/{name}/copy",
        operation_id="copyAssistant",
        summary="Make an assistant of one's own that begins like this one",
        response_model=AssistantDetail,
        responses=_CHANGES,
        openapi_extra=takes(CopyAssistant),
    )
    async def copy(http: HTTPRequest, response: Response, name: _Name) -> AssistantDetail:
        desk = desk_of(http)
        owner_of(http.scope)
        body = await read_body(http, CopyAssistant)
        source = source_of(desk)
        await asyncio.to_thread(_check_reach, source, http, name, body.to)
        return _tagged(response, await _changing(source.copy, name, body.to))


def source_of(desk: Desk) -> AssistantsSource:
    """Whoever knows the assistants; `UnsupportedError` where nobody does."""
    found = rooms_of(desk).assistants
    if found is None:
        raise UnsupportedError("This server has no assistants. Start it with `kataribe up`.")
    return found


def draft_of(http: HTTPRequest, name: str, text: str) -> Draft:
    """A recipe that came, and whether it is from who runs the server."""
    return Draft(name, text, alone=not asker_of(http.scope).accounts)


def _check_reach(source: AssistantsSource, http: HTTPRequest, name: str, to: str) -> None:
    """A copy reaches no more of the machine than something new may."""
    draft = draft_of(http, to, source.one(name).text)
    for problem in source.check(draft, None).problems:
        raise InputError(problem.message, param=problem.place or None)


async def _changing(change: Callable[..., T], *values: Any) -> T:
    """Does it; what changed meanwhile is told as HTTP tells it (RFC 9110, 13.1.1)."""
    try:
        return await asyncio.to_thread(change, *values)
    except InputError as error:
        if error.code == "changed_meanwhile":
            raise RefusedError(412, error.message, code=error.code) from error
        raise
    except NotFoundError as error:
        error.param = "name"  # as a model it is another error's
        raise


def _over(http: HTTPRequest) -> str | None:
    """The tag over which a change is meant; None where there should be nothing yet."""
    match, none = http.headers.get("if-match"), http.headers.get("if-none-match")
    if none == "*" and match is None:
        return None
    if match is None or none is not None:
        raise RefusedError(
            428,
            "Say over what this is to be written: If-Match with the assistant's tag, or "
            "If-None-Match: * for a new one. So nobody writes over another's work unseen.",
            code="tag_missing",
        )
    return match.strip().removeprefix("W/").strip('"')


def _with_tag(extra: dict[str, Any]) -> dict[str, Any]:
    headers = [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": words,
            "schema": {"type": "string"},
        }
        for name, words in (
            ("If-Match", "The tag of what is written over."),
            ("If-None-Match", "`*`: there is none of that name yet."),
        )
    ]
    return {**extra, "parameters": headers}


def _tagged(response: Response, detail: AssistantDetail) -> AssistantDetail:
    response.headers["ETag"] = f'"{detail.assistant.tag}"'
    return detail
