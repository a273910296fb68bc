"""The options of `kataribe up` reach what they are for; the server itself is not begun."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
import webbrowser

import httpx
import pytest

from kataribe.base.errors import FormatError
from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.inference import load as load_module
from kataribe.run.inference.processors import usable_threads

URL = "http://127.0.0.1:8720"


class Served:
    """What stands in for the server, and for the load of its model.

    Attributes:
        statuses: What `/v1/models` answered, by the key that was sent.
        threads: Those that the model's runner got.
        opened: Addresses that a browser was sent to.
    """

    def __init__(self) -> None:
        self.statuses = {}
        self.threads = []
        self.opened = []
        self._loaded = threading.Event()

    def serve_on(self, app, listening, *, ready):
        assert self._loaded.wait(60)
        before = set(threading.enumerate())
        ready(URL)
        for thread in set(threading.enumerate()) - before:  # a browser's, where there is one
            thread.join(60)
        asyncio.run(self._ask(app))

    async def _ask(self, app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as http:
            for key in (None, "shut-sesame", "open-sesame"):
                headers = {} if key is None else {"authorization": f"Bearer {key}"}
                answer = await http.get("/v1/models", headers=headers)
                self.statuses[key] = answer.status_code

    def runner(self, *model, threads, **rest):
        self.threads.append(threads)
        self._loaded.set()
        raise FormatError("No test needs it.")


@pytest.fixture
def served(kataribe_home, pico_path, monkeypatch) -> Served:
    Catalog(Workspace(kataribe_home)).import_(pico_path, as_name="pico", link=True)
    served = Served()
    monkeypatch.setenv("KATARIBE_MODEL", "pico")
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr("kataribe.cli.logs.start_logs", lambda level: None)
    monkeypatch.setattr("kataribe.serve.server.serve_on", served.serve_on)
    torch_load = types.SimpleNamespace(load_torch_runner=served.runner)
    monkeypatch.setitem(sys.modules, "kataribe.run.inference.torch_load", torch_load)
    monkeypatch.setattr(webbrowser, "open", served.opened.append)
    return served


def up(cli, *flags: str) -> None:
    done = cli("up", "--port", "0", *flags)
    assert done.code == 0, done.err
    assert URL in done.out


def test_a_key_is_asked_of_everyone(cli, served):
    up(cli, "--key", "open-sesame")
    assert served.statuses == {None: 401, "shut-sesame": 401, "open-sesame": 200}


def test_without_a_key_nobody_is_asked_for_one(cli, served):
    up(cli)
    assert served.statuses[None] == 200


@pytest.mark.parametrize(("flags", "threads"), [((), None), (("--threads", "37"), 37)])
def test_threads_are_those_that_pytorch_computes_with(cli, served, flags, threads):
    up(cli, *flags)
    assert served.threads == [threads]


@pytest.mark.parametrize(("flags", "threads"), [((), usable_threads()), (("--threads", "37"), 37)])
def test_threads_are_those_that_the_native_runner_computes_with(
    cli, served, monkeypatch, flags, threads
):
    monkeypatch.setattr(load_module, "native_library", lambda: "built")
    monkeypatch.setattr(load_module, "obstacle", lambda config: None)
    monkeypatch.setattr(load_module, "NativeRunner", served.runner)
    up(cli, *flags)
    assert served.threads == [threads]


@pytest.mark.parametrize(("flags", "opened"), [((), [URL]), (("--no-open",), [])])
def test_the_studio_is_opened_unless_told_not_to(cli, served, monkeypatch, flags, opened):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    up(cli, *flags)
    assert served.opened == opened


def test_no_browser_is_opened_where_nobody_looks(cli, served):
    up(cli)  # into a pipe
    assert served.opened == []
