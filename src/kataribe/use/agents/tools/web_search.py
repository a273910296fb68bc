"""Searching the web through a SearXNG of one's own; without an address there is no such tool."""

from __future__ import annotations

from typing import Any

import httpx

from kataribe.base.errors import InputError, ProviderError, SettingsError
from kataribe.use.agents.tools.function import FunctionTool, function_tool

MOST_RESULTS = 10
_MOST_BYTES = 5 * 1024 * 1024
_SECONDS = 20.0


def web_search_tools(address: str | None) -> tuple[FunctionTool, ...]:
    """The tool `search_web` over the SearXNG at `address`, or nothing without one.

    The engine must allow JSON (`search.formats` in its settings.yml). Its address was set by
    whoever runs Kataribe and may be private. Raises `SettingsError` for what is no address.
    """
    if not address:
        return ()
    base = httpx.URL(address)
    if base.scheme not in ("http", "https") or not base.host:
        raise SettingsError(
            f"The search engine's address is {address!r}, but must begin with http:// or https://.",
            param="search_address",
        )

    async def search_web(query: str, results: int = 5) -> str:
        """Searches the web and gives titles, addresses and summaries of what was found.

        Args:
            query: What to look for.
            results: How many at most, 1 to 10.
        """
        if not 1 <= results <= MOST_RESULTS:
            raise InputError(f"{results} results were wanted; give 1 to {MOST_RESULTS}.")
        if not query.strip() or len(query) > 500:
            raise InputError(f"The query has {len(query)} characters; give 1 to 500.")
        return _told(query, await _asked(base, query), results)

    return (function_tool(search_web),)


async def _asked(base: httpx.URL, query: str) -> list[dict[str, Any]]:
    path = base.path.rstrip("/") + "/search"
    url = base.copy_with(path=path, params={"q": query, "format": "json"})
    body = bytearray()
    try:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=_SECONDS) as client,
            client.stream("GET", url) as reply,
        ):
            if reply.status_code == 403:
                raise ProviderError(
                    f"The search engine at {base} refuses JSON. Add json to search.formats in its "
                    "settings.yml."
                )
            if reply.status_code != 200:
                raise ProviderError(f"The search engine at {base} answered {reply.status_code}.")
            async for piece in reply.aiter_bytes():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise ProviderError(f"The search engine at {base} answered too much.")
        found = httpx.Response(200, content=bytes(body)).json()["results"]
    except httpx.HTTPError as error:
        raise ProviderError(
            f"The search engine at {base} cannot be reached: {error or type(error).__name__}."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ProviderError(f"The search engine at {base} answered no SearXNG JSON.") from error
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _told(query: str, found: list[dict[str, Any]], most: int) -> str:
    lines = []
    for place, each in enumerate(found[:most], start=1):
        title, url, content = (str(each.get(key) or "").strip() for key in _FIELDS)
        lines.append(f"{place}. {title[:200]}\n   {url[:500]}\n   {content[:500]}")
    return "\n".join(lines) or f"Nothing was found for {query!r}."


_FIELDS = ("title", "url", "content")
