"""What a host tells when it fails, as an error of Kataribe's tree."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kataribe.base.errors import (
    AccessError,
    BusyError,
    InputError,
    KataribeError,
    NotFoundError,
    ProviderError,
    UnavailableError,
)

LONGEST_MESSAGE = 1000
"""Characters of a host's message that are shown."""

UNREACHABLE = "unreachable"
"""The `code` of a `ProviderError` for a host that never answered."""

ASK_AGAIN = 1.0
"""Seconds to wait after a refusal for too many requests that does not say how long."""

_BY_STATUS = {
    400: "input",
    401: "access",
    403: "access",
    404: "missing",
    413: "input",
    422: "input",
    429: "busy",
}
_BY_WORD = {
    # OpenAI, Kataribe and llama.cpp (type), OpenAI's responses (code)
    "invalid_request_error": "input",
    "invalid_prompt": "input",
    "authentication_error": "access",
    "not_found_error": "missing",
    "rate_limit_error": "busy",
    "rate_limit_exceeded": "busy",
    "unavailable_error": "unavailable",
    # Anthropic
    "permission_error": "access",
    "request_too_large": "input",
    # Gemini (google.rpc.Code)
    "INVALID_ARGUMENT": "input",
    "FAILED_PRECONDITION": "input",
    "UNAUTHENTICATED": "access",
    "PERMISSION_DENIED": "access",
    "NOT_FOUND": "missing",
    "RESOURCE_EXHAUSTED": "busy",
}
_SPENT = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached"})
"""Words for an account without money: waiting does not help."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an error's body says; every field may be empty."""

    message: str = ""
    words: tuple[str, ...] = ()
    code: str = ""
    param: str | None = None

    @property
    def is_spent(self) -> bool:
        """The account is out of money or quota, which no waiting mends."""
        return any(word in _SPENT for word in (*self.words, self.code))


def told_in(body: bytes | Mapping[str, Any]) -> Told:
    """Reads the error shapes of OpenAI, Anthropic, Gemini, Ollama and vLLM."""
    found: Any = body
    if isinstance(body, bytes):
        try:
            found = json.loads(body)
        except ValueError:
            return Told()
    if isinstance(found, list) and found:  # Gemini, when it was not asked for a stream
        found = found[0]
    if not isinstance(found, Mapping):
        return Told()
    inner = found.get("error")
    if isinstance(inner, str):
        return Told(inner)
    error = inner if isinstance(inner, Mapping) else found
    message = next((error[k] for k in ("message", "detail") if isinstance(error.get(k), str)), "")
    words = [error[k] for k in ("type", "status", "code") if isinstance(error.get(k), str)]
    words += _reasons(error.get("details"))
    code, param = error.get("code"), error.get("param")
    return Told(
        message,
        tuple(words),
        code if isinstance(code, str) else "",
        param if isinstance(param, str) else None,
    )


def _reasons(details: Any) -> list[str]:
    if not isinstance(details, list):
        return []
    reasons = [each.get("reason") for each in details if isinstance(each, Mapping)]
    return [reason for reason in reasons if isinstance(reason, str)]


def answered_failure(
    name: str, status: int, told: Told, *, retry_after: float | None = None, key_from: str = ""
) -> KataribeError:
    """The error for an answer that is no reply; `key_from` says where its key comes from."""
    what = told.message or f"It answered {status} without a reason."
    kind = _BY_STATUS.get(status) or _kind_of_words(told) or "provider"
    if "API_KEY_INVALID" in told.words:  # Gemini calls a wrong key an invalid argument
        kind = "access"
    if told.is_spent:
        kind = "provider"
    return _error(name, kind, told, what, (retry_after, key_from))


def answered_error(
    name: str, status: int, body: bytes, headers: Mapping[str, str], key_from: str = ""
) -> KataribeError:
    """`answered_failure` for an answer as it came, to whoever calls a host's other paths."""
    after = retry_after(headers, time.time())
    return answered_failure(name, status, told_in(body), retry_after=after, key_from=key_from)


def told_failure(name: str, found: Mapping[str, Any]) -> KataribeError:
    """The error that stands in the middle of a stream."""
    told = told_in(found)
    what = told.message or "It ended the reply with an error and gave no reason."
    kind = "provider" if told.is_spent else _kind_of_words(told) or "provider"
    return _error(name, kind, told, what, (None, ""))


def _kind_of_words(told: Told) -> str | None:
    return next((_BY_WORD[word] for word in told.words if word in _BY_WORD), None)


def _error(
    name: str, kind: str, told: Told, what: str, more: tuple[float | None, str]
) -> KataribeError:
    message = f"{name}: {what[:LONGEST_MESSAGE]}"
    retry_after, key_from = more
    match kind:
        case "input":
            # The one word of OpenAI's that programs look for; others stay the host's own affair.
            code = told.code if told.code == "context_length_exceeded" else None
            return InputError(message, param=told.param, code=code)
        case "access":
            return AccessError(f"{message} {key_from}".rstrip())
        case "missing":
            return NotFoundError(message, param="model")
        case "busy":
            return BusyError(message, retry_after=retry_after or ASK_AGAIN)
        case "unavailable":
            return UnavailableError(message, retry_after=retry_after)
        case _:
            return ProviderError(message)


def unreachable(name: str, address: str, problem: str) -> ProviderError:
    """The error for a host that never answered."""
    return ProviderError(
        f"{name} could not be reached at {address} ({problem}). Check the address and the "
        "network, or start the server that should be there.",
        code=UNREACHABLE,
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the host asks to wait for: in milliseconds, in seconds, or until a date.

    `now` is `time.time()`. None where it says nothing that can be read; never below 0.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if seconds >= 0 and seconds != float("inf"):  # also refuses NaN
            return seconds
    try:
        until = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(until.timestamp() - now, 0.0)
