"""`/studio/api/conversations/{talk}/share`: a conversation as a file for others."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import StreamingResponse

from kataribe.serve.conversations import Name
from kataribe.serve.described import failures
from kataribe.serve.desk import desk_of, rooms_of
from kataribe.serve.files import saved_as
from kataribe.serve.who import owner_of
from kataribe.store.sharing.as_html import as_html
from kataribe.store.sharing.as_json import as_json
from kataribe.store.sharing.as_markdown import as_markdown
from kataribe.store.sharing.branch import branch, title_of

_FORMS = {
    "markdown": (as_markdown, "text/markdown", "md"),
    "json": (as_json, "application/json", "json"),
    "html": (as_html, "text/html", "html"),
}
_FILES: dict[str, Any] = {
    "text/markdown": {"schema": {"type": "string"}},
    "application/json": {"schema": {"type": "object"}},
    "text/html": {"schema": {"type": "string"}},
}


def sharing_router() -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/studio/api/conversations/{talk}", tags=["studio"])

    @router.get(
        "/share",
        operation_id="shareConversation",
        summary="The shown branch as Markdown, JSON or one HTML page",
        response_class=StreamingResponse,
        responses={**failures(400, 404), 200: {"content": _FILES}},
    )
    async def share(
        http: HTTPRequest,
        talk: Name,
        format: Literal["markdown", "json", "html"] = "markdown",  # noqa: A002 - the query's name
        language: Literal["en", "ja"] = "en",
    ) -> StreamingResponse:
        desk = desk_of(http)
        work = partial(branch, owner=owner_of(http.scope), conversation=talk)
        found = await rooms_of(desk).store.read(work)
        form, media_type, ending = _FORMS[format]
        name = re.sub(r"[/\\]", "-", title_of(found, language)[:100])
        parts = (part.encode("utf-8", "replace") for part in form(found, language))
        return StreamingResponse(
            parts,
            media_type=f"{media_type}; charset=utf-8",
            headers=saved_as(f"{name}.{ending}"),
        )

    return router
