"""Around every request: its line in the log, its place in the figures, and a net under it all."""

from __future__ import annotations

import logging
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kataribe.serve.errors import Failure, is_anthropic, unexpected
from kataribe.serve.intake import ClientGoneError
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.metrics import Metrics
from kataribe.serve.record import RECORD, Record
from kataribe.serve.telling import to_bytes

log = logging.getLogger("kataribe.access")
errors = logging.getLogger("kataribe.serve")


def log_unexpected(error: BaseException, record: Record) -> Failure:
    """Writes the traceback to the log; what the client is told has only its number."""
    errors.error("%s %s failed (id=%s)", record.method, record.path, record.id, exc_info=error)
    return unexpected(record.id)


class Access:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self._app = app
        self._metrics = metrics
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, whatever happens, and writes it down."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = "".join(letter if letter.isprintable() else "?" for letter in scope["path"][:200])
        record = Record(f"req_{secrets.token_hex(8)}", scope["method"], path)
        scope[RECORD] = record

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", record.id.encode()),
                    *_for_anthropic(record),
                    *self._closing(),
                ]
            await send(message)

        self._lifecycle.running += 1
        try:
            await self._app(scope, receive, noting)
        except ClientGoneError:
            if record.status is None:
                await _answer(noting, Failure(499, "", "", "client_gone", None, {}), record)
            record.status = 499
        except Exception as error:
            told = log_unexpected(error, record)
            if record.status is not None:
                raise  # half an answer is out: only breaking the connection can tell now
            await _answer(noting, told, record)
        finally:
            self._lifecycle.running -= 1
            record.route = getattr(scope.get("route"), "path", "")
            self._metrics.request(record)
            log.log(_level(record), "%s", record.line())

    def _closing(self) -> list[tuple[bytes, bytes]]:
        return [(b"connection", b"close")] if self._lifecycle.state == "stopping" else []


def _level(record: Record) -> int:
    """Whoever watches `/health` asks every few seconds, and would fill the log."""
    return logging.DEBUG if record.path == "/health" else logging.INFO


def _for_anthropic(record: Record) -> list[tuple[bytes, bytes]]:
    """The header in which Anthropic's clients look for the request's id."""
    return [(b"request-id", record.id.encode())] if is_anthropic(record.path) else []


async def _answer(send: Send, told: Failure, record: Record) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": told.status, "headers": headers})
    body = to_bytes(told.body_at(record.path, record.id))
    await send({"type": "http.response.body", "body": body, "more_body": False})
