"""The first page of somebody who was never here: when one can write, and what comes for it."""

from __future__ import annotations

import gzip
from typing import Any
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, Page

from benchmarks.studio.record import Record
from benchmarks.studio.stage import Server, number, settled, visitor


class Traffic:
    """Bytes that come over the wire for a page, by the kind of what they are."""

    def __init__(self, page: Page) -> None:
        self.kinds: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self.bytes: dict[str, float] = {}
        session = page.context.new_cdp_session(page)
        session.on("Network.responseReceived", self._begun)
        session.on("Network.loadingFinished", self._ended)
        session.send("Network.enable")

    def _begun(self, told: dict[str, Any]) -> None:
        self.kinds[told["requestId"]] = told["type"]
        self.addresses[told["requestId"]] = told["response"]["url"]

    def _ended(self, told: dict[str, Any]) -> None:
        self.bytes[told["requestId"]] = told["encodedDataLength"]

    def of(self, kind: str | None = None) -> float:
        """Bytes, headers included; of all kinds where none is named."""
        return sum(size for id_, size in self.bytes.items() if kind in (None, self.kinds.get(id_)))

    def scripts(self) -> list[str]:
        """Addresses of the scripts."""
        return sorted({self.addresses[id_] for id_, kind in self.kinds.items() if kind == "Script"})


def run(record: Record, browser: Browser, server: Server, repeats: int) -> None:
    """Each time in a context of its own, with nothing kept."""
    usable, script, every = [], [], []
    elsewhere: list[str] = []
    addresses: list[str] = []
    for _ in range(1 + repeats):
        with visitor(browser, server, elsewhere=elsewhere) as page:
            traffic = Traffic(page)
            page.goto(server.url, wait_until="commit")
            usable.append(number(page, "bench.usable"))
            field = page.get_by_label("Message", exact=True)
            field.focus()
            field.press_sequentially("ok")
            if field.input_value() != "ok":
                raise RuntimeError("The composer looked usable, and took no words.")
            settled(page)
            script.append(traffic.of("Script") / 1000)
            every.append(traffic.of() / 1000)
            addresses = traffic.scripts()
    record.take("first", usable[1:], "the server has been asked before, the browser never")
    names = ", ".join(urlsplit(address).path.rpartition("/")[2] for address in addresses)
    record.take("script", script[1:], f"{names}; with all else {max(every):,.0f} kB came")
    packed = [len(gzip.compress(httpx.get(url).content, 9)) for url in addresses]
    record.take("gzip", [sum(packed) / 1000])
    record.take("elsewhere", [float(len(elsewhere))], ", ".join(sorted(set(elsewhere))[:5]))
