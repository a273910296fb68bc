"""Errors as HTTP answers: one of the two edges where an exception becomes something to read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.types import Scope

from kataribe.base.errors import (
    AccessError,
    BusyError,
    ContextLengthError,
    DownloadError,
    InputError,
    KataribeError,
    NotFoundError,
    ProviderError,
    SettingsError,
    StorageError,
    UnavailableError,
)
from kataribe.serve.record import record_of

STATUS: tuple[tuple[type[KataribeError], int, str], ...] = (
    (InputError, 400, "invalid_request_error"),
    (AccessError, 401, "authentication_error"),
    (NotFoundError, 404, "not_found_error"),
    (BusyError, 429, "rate_limit_error"),
    (ProviderError, 502, "upstream_error"),
    (DownloadError, 502, "upstream_error"),
    (UnavailableError, 503, "unavailable_error"),
    (SettingsError, 503, "unavailable_error"),
    (StorageError, 507, "storage_error"),
)
"""Which branch of the tree is which status and type; whatever is not here is a 500."""


LONGEST = 2000
"""Characters of a message: it may quote what was sent, which may be megabytes."""

PATIENCE = 10.0
"""Seconds to wait after a 503 that does not say how long."""

ANTHROPIC = "/v1/messages"
"""Below here requests, answers and errors are in the shapes of Anthropic's Messages API."""

ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""That API's words for statuses; any other is an `invalid_request_error` or an `api_error`."""


class RefusedError(KataribeError):
    """The request is refused before any room sees it: its size, form, origin or method."""

    def __init__(
        self, status: int, message: str, *, code: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the API tells it."""

    status: int
    type: str
    message: str
    code: str
    param: str | None
    headers: Mapping[str, str]

    def body(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's shape."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "code": self.code,
                "param": self.param,
            }
        }

    def anthropic_body(self, request_id: str) -> dict[str, Any]:
        """Anthropic's shape; what it has no place for stands in `details`."""
        usual = "invalid_request_error" if self.status < 500 else "api_error"
        return {
            "type": "error",
            "error": {
                "type": ANTHROPIC_TYPES.get(self.status, usual),
                "message": self.message,
                "details": {"error_code": self.code, "param": self.param},
            },
            "request_id": request_id,
        }

    def body_at(self, path: str, request_id: str) -> dict[str, Any]:
        """In the shape that whoever asks at `path` reads."""
        return self.anthropic_body(request_id) if is_anthropic(path) else self.body()


def is_anthropic(path: str) -> bool:
    """Whether Anthropic's shapes are spoken at `path`."""
    return path == ANTHROPIC or path.startswith(f"{ANTHROPIC}/")


def failure(error: KataribeError) -> Failure:
    """How the API tells an error of the tree."""
    if isinstance(error, RefusedError):
        kind = "invalid_request_error" if error.status < 500 else "server_error"
        return Failure(error.status, kind, error.message, error.code, error.param, error.headers)
    headers: dict[str, str] = {}
    message = error.message if len(error.message) <= LONGEST else error.message[:LONGEST] + " …"
    if isinstance(error, AccessError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, BusyError | UnavailableError):
        after = PATIENCE if error.retry_after is None else error.retry_after
        # Whole seconds, rounded up: the header knows no fractions (RFC 9110, 10.2.3).
        headers["Retry-After"] = str(max(1, math.ceil(after)))
    code = error.code
    if isinstance(error, NotFoundError) and (code, error.param) == ("not_found", "model"):
        code = "model_not_found"  # OpenAI's word, which clients look for
    for branch, status, kind in STATUS:
        if isinstance(error, branch):
            return Failure(status, kind, message, code, error.param, headers)
    return Failure(500, "server_error", message, error.code, error.param, headers)


def error_response(error: KataribeError, scope: Scope) -> Response:
    """The HTTP answer for an error of the request that `scope` belongs to."""
    told = failure(error)
    body = told.body_at(scope["path"], record_of(scope).id)
    return Response(
        json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        told.status,
        dict(told.headers),
        media_type="application/json",
    )


def unexpected(error_id: str) -> Failure:
    """What the API tells of an error that nobody foresaw: its number in the log and no more."""
    return Failure(
        500,
        "server_error",
        f"An unexpected error happened in the server. Its log has the details under {error_id}.",
        "internal_error",
        None,
        {},
    )


def of_prompt(error: Exception) -> Exception:
    """The error as told to someone who sent a prompt and no messages."""
    if isinstance(error, ContextLengthError):
        error.param = "prompt"
    return error


def renamed(error: Exception, fields: Mapping[str, str]) -> Exception:
    """The error with its field as `fields` calls it, in its words too."""
    if isinstance(error, KataribeError) and error.param is not None and error.param in fields:
        name = fields[error.param]
        error.message = error.message.replace(error.param, name)
        error.param = name
    return error


async def on_error(http: HTTPRequest, error: Exception) -> Response:
    """FastAPI's handler for the whole tree."""
    assert isinstance(error, KataribeError)
    return error_response(error, http.scope)
