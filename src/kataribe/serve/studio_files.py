"""The built studio at `/`: files, and its one page for every address that it routes itself."""

from __future__ import annotations

import gzip
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from kataribe.serve.addresses import is_page, meant

API = ("v1", "api", "studio", "docs", "tokenize", "detokenize", "metrics", "openapi.json")
"""First steps of addresses that belong to the API: unknown ones below them are errors in JSON."""

NAMED = ("models",)
"""First steps of pages whose last step is a name, and names of models have dots."""

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "frame-src 'none'; frame-ancestors 'none'"
)
"""Only the server's own scripts and styles run; nothing inline, nothing from elsewhere."""

PACKED = frozenset(
    {
        "text/html",
        "text/css",
        "text/javascript",
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "image/svg+xml",
    }
)
"""What is text, and becomes a third of its size."""

MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Kataribe</title></head><body>
<h1>The studio is not built</h1>
<p>The API works; its description is at <a href="/docs">/docs</a>. To have the web pages too,
run <code>make up</code> in the source folder, which builds them, or install the packaged wheel.</p>
<h1 lang="ja">スタジオがまだ作られていません</h1>
<p lang="ja">API は動いています（説明は <a href="/docs">/docs</a>）。
画面を使うには、ソースのフォルダーで
<code>make up</code> を実行するか、配布用のパッケージを入れてください。</p>
</body></html>
"""


class StudioFiles:
    """ASGI application for whatever is no route of the API."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder or Path(__file__).parent / "studio"
        self._files = StaticFiles(directory=self._folder, check_dir=False)
        self._packed: dict[tuple[str, float], bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a file, the studio's page, or 404."""
        response = await self._find(scope)
        response.headers["content-security-policy"] = POLICY
        await self._compressed(response, scope)(scope, receive, send)

    async def _find(self, scope: Scope) -> Response:
        path = scope["path"].lstrip("/")
        if path.split("/")[0] in API or scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(404)
        found = await self._file(path, scope)
        if found is not None:
            # Vite names what lies in assets/ after its content, so it never changes.
            hashed = path.startswith("assets/")
            age = "public, max-age=31536000, immutable" if hashed else "no-cache"
            found.headers["cache-control"] = age
            if path.endswith(".webmanifest"):  # a type that many systems do not know by name
                found.headers["content-type"] = "application/manifest+json"
            return found
        if "." in path.rpartition("/")[2] and path.split("/")[0] not in NAMED:
            raise HTTPException(404)  # a file that is not there, and no page of the studio
        if not is_page(scope) and meant(scope) is not None:
            raise HTTPException(404)  # a client of the API, which could not read a page
        page = await self._file("index.html", scope)
        if page is None:
            return HTMLResponse(MISSING, 503)
        page.headers["cache-control"] = "no-cache"
        page.headers["vary"] = "accept"
        return page

    async def _file(self, path: str, scope: Scope) -> Response | None:
        if not path or "\0" in path or not self._folder.is_dir():
            return None
        try:
            return await self._files.get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            return None

    def _compressed(self, response: Response, scope: Scope) -> Response:
        """The same with its bytes packed, where they are text and the client can unpack them."""
        if not isinstance(response, FileResponse) or response.status_code != 200:
            return response
        kind = response.headers.get("content-type", "").partition(";")[0]
        if kind not in PACKED:
            return response
        response.headers.add_vary_header("accept-encoding")
        if "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            return response
        path = Path(response.path)
        key = (str(path), path.stat().st_mtime)
        if key not in self._packed:
            self._packed = {k: v for k, v in self._packed.items() if k[0] != key[0]}
            self._packed[key] = gzip.compress(path.read_bytes(), 9, mtime=0)
        packed = Response(self._packed[key] if scope["method"] == "GET" else b"")
        packed.raw_headers = [
            (name, value) for name, value in response.raw_headers if name != b"content-length"
        ]
        packed.headers["content-encoding"] = "gzip"
        packed.headers["content-length"] = str(len(self._packed[key]))
        packed.headers["etag"] = f"W/{response.headers['etag']}"
        return packed
