"""The running server: its models as `LM`s, so that no command need load one, and its own calls."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import UnavailableError

if TYPE_CHECKING:
    from kataribe.base.lm import LM

_CONNECT = 5.0
"""Seconds to reach the server. Its answers take as long as they take: models load, queues wait."""


def served_lm(name: str, url: str, key: str | None = None) -> LM:
    """A model of the server at `url`, asked for by its bare name.

    A person waits, so what the server refuses is told at once and not tried again.
    """
    from kataribe.run.providers import HostedLM, Patience, known_hosts

    host = dataclasses.replace(known_hosts()["kataribe"], address=f"{url}/v1")
    patience = Patience(tries=1, connect=_CONNECT, idle=None)
    return HostedLM(host, name, key=key, name=name, patience=patience)


def lm_at(name: str, address: str, variable: str, key: str | None) -> LM:
    """A model of some server that speaks OpenAI's chat completions; `variable` held its key."""
    from kataribe.run.providers import Host, HostedLM

    host = Host("server", "chat", f"{address}/v1", (variable,))
    return HostedLM(host, name, key=key, name=name)


def call(url: str, key: str | None, method: str, path: str, body: Any = None) -> Any:
    """One call of the server's own API: JSON in, JSON out."""
    import httpx

    from kataribe.run.providers import answered_error

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(None, connect=_CONNECT)
    try:
        with httpx.Client(timeout=timeout, trust_env=False, headers=headers) as client:
            answer = client.request(method, url + path, json=body)
    except httpx.HTTPError as error:
        what = str(error) or type(error).__name__
        raise UnavailableError(
            f"The server at {url} could not be reached or broke off ({what}). "
            "Look at its terminal, or start it with: kataribe up"
        ) from error
    if answer.status_code >= 400:
        hint = "(Give the server's key as KATARIBE_KEY.)"
        raise answered_error("The server", answer.status_code, answer.content, answer.headers, hint)
    return answer.json() if answer.content else None
