"""A real server with a real catalogue, tiny models that babble, and a hub as slow as is wanted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from studio_stage import Models, Stage, Studio, Watch

from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli import wiring
from kataribe.run.catalog.catalog import Catalog
from kataribe.serve.ports import listen
from kataribe.serve.server import serve_async
from tests.pico_model import build
from tests.run.catalog import catalog_tiny

HERE = "teller"
"""The model that is here from the beginning."""
FAR = "hf:acme/pico"
"""One that can be fetched, and its name here."""
FETCHED = "pico"

PIECE = 8192


@dataclass
class Hub:
    """A hub with one model, which sends `quickly` or a few bytes at a time."""

    fake: catalog_tiny.FakeHub
    quickly: threading.Event = field(default_factory=threading.Event)

    def send(self, out: Any, content: bytes) -> None:
        """Writes a file as fast as it is to come, pieces so that there is progress to see."""
        for start in range(0, len(content), PIECE):
            piece = content[start : start + PIECE]
            while not self.quickly.is_set() and start >= len(content) // 2:
                out.write(piece[:1])
                piece = piece[1:]
                if len(piece) == 1 or self.quickly.wait(0.2):
                    break
            out.write(piece)


@contextmanager
def run_hub(model: Path) -> Iterator[Hub]:
    """Serves the files of `model` as `acme/pico` until the block ends."""
    fake = catalog_tiny.FakeHub()
    fake.files["acme/pico"] = {path.name: path.read_bytes() for path in model.iterdir()}
    hub = Hub(fake)

    class Slow(catalog_tiny._handler(fake)):  # type: ignore[misc]  # a class made by a function
        def send_file(self, content: bytes, name: str) -> None:
            start, status = 0, 200
            if told := self.headers.get("Range"):
                start, status = int(told.removeprefix("bytes=").rstrip("-")), 206
            self.send_response(status)
            if status == 206:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            try:
                hub.send(self.wfile, content[start:])
            except OSError:
                self.close_connection = True  # whoever read it has paused

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    fake.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.quickly.set()
        server.shutdown()
        server.server_close()


@contextmanager
def run_real_server(workspace: Workspace) -> Iterator[Stage]:
    """What `kataribe up` serves, in a thread until the block ends."""
    listening = listen("127.0.0.1", 0)
    with wiring.open_app(load_settings(model=HERE), workspace) as app:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(
            target=lambda: loop.run_until_complete(serve_async(app, listening, grace=0)),
            daemon=True,
        )
        thread.start()

        def stop() -> None:
            loop.call_soon_threadsafe(app.state.desk.lifecycle.halt)
            thread.join(20)
            assert not thread.is_alive(), "the server did not stop"

        try:
            yield Stage(
                f"http://127.0.0.1:{listening.getsockname()[1]}",
                Models(),
                stop,
                app.state.desk.rooms.store,
            )
        finally:
            if thread.is_alive():
                stop()
            loop.close()


@dataclass
class Shop:
    """Pages of a server that has models and can fetch more."""

    studio: Studio
    hub: Hub
    workspace: Workspace

    def until_here(self, name: str, patience: float = 30.0) -> None:
        """Waits for a model to be installed, whatever the pages say."""
        end = time.monotonic() + patience
        while not Catalog(self.workspace).is_installed(name):
            assert time.monotonic() < end, f"{name} did not arrive"
            time.sleep(0.05)


@contextmanager
def open_shop(browser: Browser, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A server with `HERE` installed and a hub that has `FAR`; no page may have misbehaved."""
    workspace = Workspace(folder / "workspace")
    Catalog(workspace).import_(build(folder / HERE), as_name=HERE)
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        patch.delenv(name, raising=False)
    patch.setenv("HF_HOME", str(folder / "hf"))
    patch.setenv("PIP_NO_INDEX", "1")  # a package index is a network: there is none
    patch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with run_hub(build(folder / "far", seed=21)) as hub:
        patch.setenv("HF_ENDPOINT", hub.fake.address)
        with run_real_server(workspace) as stage:
            studio = Studio(browser, stage, Watch(stage.address))
            yield Shop(studio, hub, workspace)
            for context in browser.contexts:
                context.close()
            assert studio.watch.faults == []
