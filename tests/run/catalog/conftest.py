"""A catalogue in an empty workspace, and the sources that its tests pull from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalog_tiny import FakeHub, serve

from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def catalog(workspace: Workspace) -> Catalog:
    return Catalog(workspace)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes its wheels from, and from nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache, token or model of the person who runs the tests."""
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE",
                 "OLLAMA_MODELS", "LMSTUDIO_MODELS"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "person" / "hf"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    fake = FakeHub()
    server = serve(fake)
    fake.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", fake.address)
    monkeypatch.setattr("kataribe.run.catalog.hub.PAUSE_SECONDS", 0.01)
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def second_server(hub: FakeHub) -> Iterator[str]:
    """The same content on another port, as a content network is another host."""
    server = serve(hub)
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
