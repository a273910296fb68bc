"""What a `kataribe up` with a real model takes: a model that goes gives its memory back."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_up import PATIENCE, Server

from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog

NAMES = ("one", "other")
TURNS = 4
SLACK = 64 << 20
"""Less than what one SmolLM2 leaves behind where nothing is given back (at least 90 MiB)."""


@pytest.fixture
def server(tmp_path: Path, smollm2_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """It may hold one of two models at a time."""
    for name in NAMES:
        Catalog(Workspace(tmp_path)).import_(smollm2_path, as_name=name, link=True)
    monkeypatch.setenv("KATARIBE_MEMORY", "0.5")
    started = Server(tmp_path, "--model", NAMES[0], "--ctx", "2048", "--threads", "2")
    yield started
    started.stop()


def call(server: Server, path: str, body: dict[str, Any]) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.close()


def answer(server: Server, name: str) -> None:
    call(server, "/v1/completions", {"model": name, "prompt": "The sea is", "max_tokens": 4})


def held(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


@pytest.mark.timeout(300)
def test_models_that_take_turns_take_the_memory_of_one(server: Server) -> None:
    for name in NAMES:  # both once: libraries are loaded, threads have begun
        answer(server, name)
    first = held(server)
    for _ in range(TURNS):
        for name in NAMES:
            answer(server, name)
    assert held(server) < first + SLACK


@pytest.mark.timeout(300)
def test_unloading_gives_the_memory_back(server: Server) -> None:
    answer(server, NAMES[0])
    loaded = held(server)
    for _ in range(TURNS):
        call(server, "/studio/api/models/unload", {"model": NAMES[0]})
        freed = held(server)
        assert freed < loaded - SLACK
        answer(server, NAMES[0])
        assert held(server) < loaded + SLACK
