"""Fetching pages of the web: public addresses only, bounded in time and size."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
import zlib
from dataclasses import dataclass, field

import httpx

from kataribe.base.errors import InputError, KataribeError, ProviderError
from kataribe.use.agents.tools.addresses import Resolve, checked_address, resolve_host
from kataribe.use.agents.tools.function import FunctionTool, function_tool
from kataribe.use.agents.tools.html_text import html_to_text

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?([\w-]{2,30})""", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_LONGEST_URL = 2000
_TEXTS = ("text/", "application/json", "application/xml", "application/xhtml", "+json", "+xml")


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What a fetch may do.

    Attributes:
        seconds: For everything together, redirects too.
        bytes: Of a page, unpacked.
        redirects: Most of them in a row.
        private_hosts: Names of hosts that may lie in a private network (an intranet's own pages);
            every other must be public.
        agent: How it introduces itself.
    """

    seconds: float = 20.0
    bytes: int = 5 * 1024 * 1024
    redirects: int = 5
    private_hosts: frozenset[str] = field(default_factory=frozenset)
    agent: str = "Kataribe"


@dataclass(frozen=True, slots=True)
class Page:
    """What was fetched: where it was in the end, what it said it is, and its bytes."""

    url: str
    media_type: str
    data: bytes
    charset: str | None


def fetch_tool(rules: FetchRules | None = None, resolve: Resolve = resolve_host) -> FunctionTool:
    """The tool `fetch_page`: a public page as text."""
    settled = rules or FetchRules()

    async def fetch_page(url: str) -> str:
        """Fetches a public web page and gives its text.

        Args:
            url: The page's address, with https:// or http://.
        """
        page = await fetch(url, settled, resolve)
        return f"{page.url}\n\n{page_text(page)}"

    return function_tool(fetch_page)


async def fetch(url: str, rules: FetchRules, resolve: Resolve = resolve_host) -> Page:
    """Fetches a page by GET, following redirects, each of them checked as the first address is.

    Raises `InputError` for addresses that are not allowed or pages that are too big, and
    `ProviderError` where the other side fails or is too slow.
    """
    try:
        async with asyncio.timeout(rules.seconds):
            for _ in range(rules.redirects + 1):
                found = await _get(check_url(url), rules, resolve)
                if isinstance(found, Page):
                    return found
                url = found
    except TimeoutError as error:
        raise ProviderError(f"{url} did not answer whole within {rules.seconds:g} s.") from error
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise ProviderError(
            f"{url} could not be fetched: {error or type(error).__name__}."
        ) from error
    raise ProviderError(f"{url} sends on and on; more than {rules.redirects} times is too often.")


def check_url(text: str) -> httpx.URL:
    """The address, when it is one that may be asked for; `InputError` says why not."""
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise InputError(f"{text[:200]!r} is no address: {error}.", param="url") from error
    if len(text) > _LONGEST_URL:
        raise InputError(
            f"The address has {len(text)} characters; at most {_LONGEST_URL}.", param="url"
        )
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(
            f"{text[:200]!r} cannot be fetched: addresses begin with https:// or http:// and a "
            "host.",
            param="url",
        )
    if url.userinfo:
        raise InputError("The address has a name or password in it; leave them out.", param="url")
    if not _HOST.fullmatch(url.raw_host.decode("ascii", "replace")):
        raise InputError(f"{url.host!r} is no name of a host.", param="url")
    if url.port is not None and url.port not in (80, 443) and not 1024 <= url.port < 65536:
        raise InputError(
            f"Port {url.port} is not one of the web; use 80, 443 or one from 1024 on.", param="url"
        )
    return url


async def _get(url: httpx.URL, rules: FetchRules, resolve: Resolve) -> Page | str:
    """The page, or the address that it redirects to."""
    port = url.port or (443 if url.scheme == "https" else 80)
    address = await checked_address(url.host, port, resolve, rules.private_hosts)
    headers = {
        "Host": url.netloc.decode("ascii"),
        "User-Agent": rules.agent,
        "Accept": "text/html, text/*;q=0.9, application/json;q=0.8, */*;q=0.1",
        "Accept-Encoding": "identity",
    }
    # A client for each: no cookie or connection of one host may serve another at its address.
    # No proxy of the environment either: it would resolve the name again.
    async with httpx.AsyncClient(trust_env=False, verify=_tls(), timeout=rules.seconds) as client:
        request = client.build_request(
            "GET",
            url.copy_with(host=address.partition("%")[0], fragment=None),
            headers=headers,
            extensions={"sni_hostname": url.host},  # the certificate is that of the name
        )
        reply = await client.send(request, stream=True, follow_redirects=False)
        try:
            return await _taken(url, reply, rules)
        finally:
            await reply.aclose()


async def _taken(url: httpx.URL, reply: httpx.Response, rules: FetchRules) -> Page | str:
    if reply.status_code in _REDIRECTS and "location" in reply.headers:
        return str(url.join(reply.headers["location"]))
    if reply.status_code != 200:
        raise ProviderError(f"{url} answered {reply.status_code} {reply.reason_phrase}.")
    media_type, _, rest = reply.headers.get("content-type", "").partition(";")
    charset = re.search(r"charset\s*=\s*[\"']?([\w-]+)", rest)
    data = await _body(url, reply, rules.bytes)
    name = media_type.strip().lower() or "text/html"
    return Page(str(url), name, data, charset[1] if charset else None)


async def _body(url: httpx.URL, reply: httpx.Response, most: int) -> bytes:
    """The body, unpacked with a limit: a few kilobytes can hold gigabytes."""
    encoding = reply.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "deflate", ""):
        raise ProviderError(f"{url} is packed as {encoding!r}, which was not asked for.")
    unpack = None if encoding in ("identity", "") else zlib.decompressobj(wbits=47)
    body = bytearray()
    async for piece in reply.aiter_raw():
        room = most + 1 - len(body)
        try:
            body += unpack.decompress(piece, room) if unpack else piece[:room]
        except zlib.error as error:
            raise ProviderError(f"{url} is packed wrongly: {error}.") from error
        if len(body) > most:
            raise InputError(
                f"{url} has more than {most} bytes; larger pages are not read.", param="url"
            )
    return bytes(body)


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def page_text(page: Page) -> str:
    """The page in words; `KataribeError` for what is no text."""
    if not any(page.media_type.startswith(t) or page.media_type.endswith(t) for t in _TEXTS):
        raise KataribeError(
            f"{page.url} is {page.media_type} of {len(page.data)} bytes; only text can be read."
        )
    text = _decoded(page)
    return html_to_text(text) if "html" in page.media_type else text


def _decoded(page: Page) -> str:
    told = _CHARSET.search(page.data[:4096])
    names = [page.charset, told[1].decode("ascii") if told else None, "utf-8", "cp932", "euc_jp"]
    for name in names:
        try:
            if name:
                return page.data.decode(name)
        except (LookupError, ValueError):
            continue
    return page.data.decode("utf-8", "replace")
