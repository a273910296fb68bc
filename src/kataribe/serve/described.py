"""How routes describe themselves in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from kataribe.serve.shapes.service import ErrorResponse

_WHY = {
    400: "The request cannot be answered as it is; `param` names the field.",
    401: "The key is missing or wrong.",
    403: "A page of another site sent this.",
    404: "There is no such model.",
    408: "The body stopped coming.",
    412: "It was changed meanwhile; nothing was written.",
    413: "The body is too long.",
    415: "The body is not JSON in UTF-8.",
    421: "The Host header is not one of this server's names.",
    428: "If-Match or If-None-Match is missing.",
    429: "Too much is waiting; Retry-After says when to ask again.",
    431: "The headers are too long.",
    500: "An unexpected error; the log has its details.",
    502: "A hosted model's server failed.",
    503: "The server or the model is loading or stopping.",
    507: "The disk is full or failed; nothing of this was kept.",
}


def failures(
    *statuses: int, shape: type[BaseModel] = ErrorResponse
) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, besides those that every route has."""
    every = sorted({401, 421, 500, *statuses})
    return {status: {"model": shape, "description": _WHY[status]} for status in every}


def takes(*shapes: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads it with `read_body`."""
    refs = [{"$ref": f"#/components/schemas/{shape.__name__}"} for shape in shapes]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def asks(shape: type[BaseModel]) -> dict[str, Any]:
    """The body of a route that asks a model, and the headers that it knows."""
    limits = {
        "name": "X-Kataribe-Limits",
        "in": "header",
        "required": False,
        "description": "Extension: what the request may use, with all that it causes. At a limit "
        "the reply ends with what was found. `seconds` and `dollars` may have a point.",
        "schema": {"type": "string", "examples": ["steps=5, tokens=20000, seconds=30"]},
    }
    header = {
        "name": "X-Kataribe-Events",
        "in": "header",
        "required": False,
        "description": "Extension: a stream tells its progress in events of its own.",
        "schema": {"type": "string", "enum": ["progress"]},
    }
    return {**takes(shape), "parameters": [header, limits]}


ASKING = failures(400, 403, 404, 413, 415, 429, 502, 503)
"""What can go wrong when a model is asked."""


def stream_of(shape: type[BaseModel], words: str) -> dict[str, Any]:
    """The second form of a 200 response: server-sent events."""
    return {
        "description": words,
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "x-event": {"$ref": f"#/components/schemas/{shape.__name__}"},
            }
        },
    }
