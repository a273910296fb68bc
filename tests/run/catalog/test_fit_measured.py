"""Predicted peaks of memory against real `kataribe up` processes that fill their cache."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.workspace import Workspace
from kataribe.cli.opening import open_catalog
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.catalog.facts import read_facts
from kataribe.run.catalog.fit import Wish, read_runs
from kataribe.run.catalog.plan import model_budget, plan_model
from kataribe.run.inference.native.library import native_library
from tests.e2e.test_up import COMMAND, PATIENCE, Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="the peak is the kernel's own count (Linux)"
    ),
]

STREAMS = 8
NAME = "one"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}


@contextmanager
def up(home: Path, path: Path, *flags: str) -> Iterator[Server]:
    """A server of one model, ended as a person ends it, so that it keeps what the run took."""
    open_catalog(Workspace(home)).import_(path, as_name=NAME, link=True)
    server = Server(home, "--model", NAME, "--threads", "2", *flags)
    try:
        yield server
    finally:
        assert server.stop() == 0


def post(server: Server, path: str, body: dict[str, Any]) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=900)
    text = json.dumps({"model": NAME, **body})
    connection.request("POST", path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == 200, said
    connection.close()


def use(server: Server, ctx: int, fills: int, *, chats: bool) -> None:
    """Prompts of a whole context, streams at once, and what is held to a form."""
    dice = random.Random(0)
    for _ in range(fills):
        prompt = [dice.randrange(300, 20_000) for _ in range(ctx - 16)]
        post(server, "/v1/completions", {"prompt": prompt, "max_tokens": 8, "temperature": 0})
    with ThreadPoolExecutor(STREAMS) as many:
        bodies = [
            {"prompt": f"Story {number} of", "max_tokens": 32, "stream": True}
            for number in range(STREAMS)
        ]
        list(many.map(lambda body: post(server, "/v1/completions", body), bodies))
    if chats:
        talk = {"messages": [{"role": "user", "content": "Where?"}], "max_tokens": 48}
        form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
        post(server, "/v1/chat/completions", {**talk, "response_format": form})
        post(server, "/v1/chat/completions", {**talk, "tools": [TOOL], "tool_choice": "required"})


def off_by(
    home: Path, path: Path, ctx: int, precision: str = "auto", fills: int = 1, chats: bool = True
) -> float:
    """Predicted / measured - 1, as `fit` says it after the run; the children do not count."""
    with up(home, path, "--ctx", str(ctx), "--precision", precision) as server:
        use(server, ctx, fills, chats=chats)
    wish = Wish(precision=precision, ctx=ctx, native=native_library() is not None)
    found = open_catalog(Workspace(home)).fit(NAME, wish)
    assert found.observed is not None
    assert found.memory is not None
    peak = found.observed.run.peak_bytes
    print(
        f"{path.name} {precision} {ctx} x {fills}: predicted "
        f"{found.observed.predicted_bytes >> 20} MiB, measured {peak >> 20} "
        f"({found.observed.memory_off:+.1%}); said before {found.memory.total >> 20}"
    )
    assert found.observed.run.serves
    if fills == 1:  # what `fit` says before any run
        assert abs(found.memory.total / peak - 1) < 0.1
    return found.observed.memory_off


class TestServers:
    @pytest.mark.parametrize(("ctx", "fills"), [(512, 1), (3072, 1), (8192, 1), (1024, 4)])
    def test_smollm2(self, tmp_path: Path, smollm2_path: Path, ctx: int, fills: int) -> None:
        assert abs(off_by(tmp_path, smollm2_path, ctx, fills=fills)) < 0.1

    @pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8", "int4"])
    def test_smollm2_in_every_precision(
        self, tmp_path: Path, smollm2_path: Path, precision: str
    ) -> None:
        assert abs(off_by(tmp_path, smollm2_path, 2048, precision)) < 0.1

    @pytest.mark.parametrize("ctx", [1024, 4096])
    def test_gemma(self, tmp_path: Path, gemma_path: Path, ctx: int) -> None:
        assert abs(off_by(tmp_path, gemma_path, ctx, chats=False)) < 0.1

    @pytest.mark.parametrize("ctx", [512, 1024])
    def test_qwen(self, tmp_path: Path, qwen_path: Path, ctx: int) -> None:
        assert abs(off_by(tmp_path, qwen_path, ctx)) < 0.1

    @pytest.mark.parametrize("precision", ["float32", "auto"])
    def test_e5_small(self, tmp_path: Path, e5_path: Path, precision: str) -> None:
        plan = plan_model(read_facts(e5_path), precision, None, model_budget(None))
        with up(tmp_path, e5_path, "--precision", precision) as server:
            post(server, "/v1/embeddings", {"input": ["word " * 500] * 8})
            status = Path(f"/proc/{server.process.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) << 10
        print(f"predicted {plan.one.total >> 20} MiB, measured {peak >> 20}")
        assert abs(plan.one.total / peak - 1) < 0.1


def test_a_command_of_its_own_is_compared_with_what_it_takes(
    tmp_path: Path, smollm2_path: Path
) -> None:
    catalog = Catalog(Workspace(tmp_path))
    catalog.import_(smollm2_path, as_name=NAME, link=True)
    command = [*COMMAND, "ask", "--local", "--model", NAME, "-n", "8", "tell me"]
    home = {**os.environ, "KATARIBE_HOME": str(tmp_path)}
    subprocess.run(command, env=home, check=True, timeout=PATIENCE)
    (run,) = read_runs(catalog.workspace.models / NAME)
    seen = catalog.fit(NAME).observed
    assert seen is not None
    print(f"predicted {seen.predicted_bytes >> 20} MiB, measured {run.peak_bytes >> 20}")
    assert not run.serves
    assert abs(seen.memory_off) < 0.1
