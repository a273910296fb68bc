"""`/docs` and `/openapi.json`.

Swagger UI's script and style come from an installed package, never from another site.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Kataribe API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script>
</body></html>
"""

# The page is open, the description needs the key when there is one: the studio keeps it for the
# tab, and who comes here first is asked.
_START = """const kept = "kataribe.key";
const withKey = (request) => {
  const key = sessionStorage.getItem(kept);
  if (key) request.headers.Authorization = "Bearer " + key;
  return request;
};
const start = async () => {
  const probe = await fetch("/openapi.json", withKey({ headers: {} }));
  if (probe.status === 401) {
    const key = prompt("Key of this server");
    if (key) { sessionStorage.setItem(kept, key); return start(); }
  }
  SwaggerUIBundle({
    url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
    requestInterceptor: withKey,
  });
};
start();
"""

# Swagger UI writes style attributes; scripts stay strict.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


def docs_router() -> APIRouter:
    """The routes; none of them is part of the described API."""
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    async def get_openapi(http: HTTPRequest) -> Response:
        return JSONResponse(http.app.openapi())

    @router.get("/docs")
    async def get_docs() -> Response:
        return HTMLResponse(_PAGE, headers={"content-security-policy": _POLICY})

    @router.get("/docs/start.js")
    async def get_start() -> Response:
        return Response(_START, media_type="text/javascript")

    @router.get("/docs/{name}")
    async def get_file(name: str) -> Response:
        folder = _folder()
        if name not in _FILES or folder is None:
            raise HTTPException(404)
        return FileResponse(
            folder / name, media_type=_FILES[name], headers={"cache-control": "max-age=86400"}
        )

    return router


def _folder() -> Path | None:
    # Found, not imported: only its files are wanted.
    spec = importlib.util.find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "static"
