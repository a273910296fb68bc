"""A command line to call in this process, and a scripted server for it to find."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kataribe.base.errors import NotFoundError
from kataribe.base.lm import LM
from kataribe.base.workspace import Workspace
from kataribe.cli.app import run
from kataribe.cli.running import leave_note
from kataribe.run.providers.scripted import Script, ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.models import ModelInfo
from kataribe.serve.ports import listen
from kataribe.serve.server import serve_on
from kataribe.serve.settings import ServerSettings


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch) -> Callable[..., Done]:
    """Runs a command with this on standard input (bytes, or None for a closed one)."""

    def call(*arguments: str, given: bytes | None = b"") -> Done:
        stdin = None if given is None else io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        capsys.readouterr()
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


class ScriptedSource:
    """Scripted models behind a server."""

    def __init__(self, *models: ScriptedLM) -> None:
        self.models = {model.name: model for model in models}

    def names(self) -> list[ModelInfo]:
        return [
            ModelInfo(name, 0, "test", loaded=True, context_length=4096) for name in self.models
        ]

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> LM:
        if name not in self.models:
            raise NotFoundError(f"There is no model {name!r}.", param="model")
        yield self.models[name]

    @contextlib.asynccontextmanager
    async def tokenizer(self, name: str):
        yield self.models[name].tokenizer


@contextlib.contextmanager
def serving(source: ScriptedSource, key: str | None = None) -> Iterator[str]:
    """A server in a thread; gives its address."""
    lifecycle = Lifecycle()
    socket = listen("127.0.0.1", 0)
    port = socket.getsockname()[1]
    app = create_app(source, ServerSettings(port=port, key=key), lifecycle)
    started = threading.Event()
    thread = threading.Thread(
        target=serve_on, args=(app, socket, 5), kwargs={"ready": lambda url: started.set()}
    )
    thread.start()
    assert started.wait(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        lifecycle.stop()
        thread.join(15)
        assert not thread.is_alive()


@pytest.fixture
def served(kataribe_home: Path) -> Iterator[Callable[..., ScriptedLM]]:
    """Starts a server of this test's workspace with one scripted model of the default's name."""
    with contextlib.ExitStack() as stack:

        def start(script: Script, *, name: str = "smollm2-135m", key: str | None = None):
            lm = ScriptedLM(script, name=name)
            url = stack.enter_context(serving(ScriptedSource(lm), key))
            stack.enter_context(leave_note(Workspace(kataribe_home), url))
            return lm

        yield start


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until something holds; fails after a minute."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
