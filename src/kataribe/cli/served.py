"""The running server as an `LM`, so that `ask` and `chat` need not load a model themselves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from kataribe.base.errors import (
    AccessError,
    BusyError,
    InputError,
    KataribeError,
    NotFoundError,
    ProviderError,
    UnavailableError,
    UnsupportedError,
)
from kataribe.base.events import Event, Finished, FinishReason, ReasoningDelta, TextDelta, Usage
from kataribe.base.lm import Capabilities, Request
from kataribe.base.messages import Message, ReasoningPart, TextPart, text_message, text_of

if TYPE_CHECKING:
    import httpx

_CONNECT = 5.0
"""Seconds to reach the server. Its answers take as long as they take: models load, queues wait."""


class ServedLM:
    """A model of the server at `url`: chats in words, one choice."""

    def __init__(self, name: str, url: str, key: str | None = None) -> None:
        self._name = name
        self._url = url
        self._key = key

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """Words in, words out; the server itself says when a prompt is too long."""
        return Capabilities(context_length=2**31 - 1)

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """The server's reply as it comes."""
        import httpx

        body = _body(self._name, request)
        reply = _Reply()
        try:
            async with (
                open_client(self._url, self._key) as client,
                client.stream("POST", "/v1/chat/completions", json=body) as answer,
            ):
                if answer.status_code != 200:
                    raise error_of(answer.status_code, await answer.aread(), answer.headers)
                async for line in answer.aiter_lines():
                    for event in reply.read(line):
                        yield event
        except httpx.HTTPError as error:
            raise lost(self._url, error) from error
        yield reply.finished(self._name)


def open_client(url: str, key: str | None) -> httpx.AsyncClient:
    """An HTTP client for the server; proxies of the environment are not for this machine."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(None, connect=_CONNECT)
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, trust_env=False)


def lost(url: str, error: Exception) -> UnavailableError:
    """The error for a server that went away."""
    what = str(error) or type(error).__name__
    return UnavailableError(
        f"The server at {url} could not be reached or broke off ({what}). "
        "Look at its terminal, or start it with: kataribe up"
    )


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> KataribeError:
    """The error that the server's answer stands for."""
    try:
        told = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        told = None
    if not isinstance(told, dict):
        told = {}
    found = told.get("message")
    if not isinstance(found, str):
        told["message"] = f"The server answered {status} without a reason."
    # A page of something else than Kataribe has a status only.
    kind = told.get("type")
    return _told(told, kind if isinstance(kind, str) else _KINDS.get(status, ""), headers)


_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "authentication_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "unavailable_error",
}


def _told(told: Mapping[str, Any], kind: str, headers: Mapping[str, str]) -> KataribeError:
    """The error of the tree whose type the API tells, also in the middle of a stream."""
    message = told["message"]
    match kind:
        case "invalid_request_error":
            return InputError(message)
        case "authentication_error":
            return AccessError(f"{message} (Give the server's key as KATARIBE_KEY.)")
        case "not_found_error":
            return NotFoundError(message)
        case "rate_limit_error":
            return BusyError(message, retry_after=_seconds(headers) or 1.0)
        case "unavailable_error":
            return UnavailableError(message, retry_after=_seconds(headers))
        case _:
            return ProviderError(message)


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None


def _body(name: str, request: Request) -> dict[str, Any]:
    """The request in the API's shape; what it cannot carry is refused."""
    if isinstance(request.prompt, str) or not all(isinstance(m, Message) for m in request.prompt):
        raise UnsupportedError("The running server is asked in messages, not raw prompts.")
    sampling = request.sampling
    wanted = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": request.seed,
        "stop": list(request.stop) or None,
    }
    return {
        "model": name,
        "messages": [_turn(cast(Message, message)) for message in request.prompt],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{field: value for field, value in wanted.items() if value is not None},
    }


def _turn(message: Message) -> dict[str, Any]:
    if message.role == "tool" or any(
        not isinstance(part, TextPart | ReasoningPart) for part in message.parts
    ):
        raise UnsupportedError("The command line sends words only, no pictures, sound or tools.")
    return {"role": message.role, "content": text_of(message)}


class _Reply:
    """Gathers a reply from the lines of its server-sent events."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.usage = Usage(0, 0)
        self.reason: str | None = None
        self.detail = ""

    def read(self, line: str) -> list[Event]:
        field, _, data = line.partition(":")
        if field != "data" or data.strip() in ("", "[DONE]"):
            return []
        chunk = json.loads(data)
        if "error" in chunk:
            raise error_of(500, data.encode(), {})
        if chunk.get("usage"):
            self.usage = _usage(chunk["usage"])
        events: list[Event] = []
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("reasoning_content"):
                events.append(ReasoningDelta(delta["reasoning_content"]))
            if delta.get("content"):
                self.text.append(delta["content"])
                events.append(TextDelta(delta["content"]))
            self.reason = choice.get("finish_reason") or self.reason
            exact = choice.get("finish_detail")
            if exact:  # OpenAI's four words call most endings "length"
                self.reason, self.detail = exact["reason"], exact.get("detail") or ""
        return events

    def finished(self, name: str) -> Finished:
        if self.reason is None:
            raise ProviderError(f"The reply of {name} broke off before its end.")
        message = text_message("assistant", "".join(self.text))
        reason = cast(FinishReason, self.reason)
        return Finished(message, self.usage, reason, detail=self.detail)


def _usage(found: Mapping[str, Any]) -> Usage:
    details = found.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or 0
    return Usage(found["prompt_tokens"], found["completion_tokens"], cached)


def call(url: str, key: str | None, method: str, path: str, body: Any = None) -> Any:
    """One call of the server's own API: JSON in, JSON out."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(None, connect=_CONNECT)
    try:
        with httpx.Client(timeout=timeout, trust_env=False, headers=headers) as client:
            answer = client.request(method, url + path, json=body)
    except httpx.HTTPError as error:
        raise lost(url, error) from error
    if answer.status_code >= 400:
        raise error_of(answer.status_code, answer.content, answer.headers)
    return answer.json() if answer.content else None
