"""`kataribe up` as a process: its address, its note, its end; and the commands that find it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog

COMMAND = [sys.executable, "-m", "kataribe"]
PATIENCE = 120  # seconds; machines may be busy, and no test asserts a time


class Server:
    """A `kataribe up` of its own."""

    def __init__(self, home: Path, *flags: str) -> None:
        self.home = home
        self.log = home / "up.log"
        self.environment = {**os.environ, "KATARIBE_HOME": str(home), "KATARIBE_MODEL": "pico"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--port", "0", *flags],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                start_new_session=True,
            )
        self.url = self._address()

    def _address(self) -> str:
        until = time.monotonic() + PATIENCE
        while True:
            found = re.search(r"listens at (http://\S+)", self.log.read_text())
            if found:
                return found[1]
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*COMMAND, *arguments],
            input=given,
            capture_output=True,
            env=self.environment,
            timeout=PATIENCE,
            check=False,
        )

    def get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()

    def stop(self, by: int = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return self.process.wait(PATIENCE)


def new_home(folder: Path, pico: Path) -> Path:
    Catalog(Workspace(folder)).import_(pico, as_name="pico", link=True)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, pico_path) -> Iterator[Server]:
    started = Server(new_home(tmp_path_factory.mktemp("served"), pico_path))
    yield started
    if started.process.poll() is None:
        started.stop()


def test_it_answers_at_the_address_that_it_prints(server):
    until = time.monotonic() + PATIENCE
    while (health := json.loads(server.get("/health")))["status"] == "loading":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert health["status"] == "ready"
    listed = json.loads(server.get("/v1/models"))
    first, *others = [(model["id"], model["owned_by"]) for model in listed["data"]]
    assert first[0] == "pico"
    assert ("translator", "assistant") in others
    assert {owner for _, owner in others} == {"assistant"}


def test_a_second_up_prints_the_first_ones_address(server):
    done = server.run("up")
    assert done.returncode == 0
    assert server.url in done.stdout.decode()


def test_a_second_up_while_the_first_one_fetches_its_model(tmp_path):
    """The index is a stand-in that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as index:
        index.settimeout(PATIENCE)
        environment = {
            **os.environ,
            "KATARIBE_HOME": str(tmp_path / "home"),
            "KATARIBE_PORT": str(port),
            "PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/simple",
        }
        environment.pop("KATARIBE_MODEL", None)

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*COMMAND, *arguments],
                capture_output=True,
                text=True,
                env=environment,
                timeout=PATIENCE,
                check=False,
            )

        first = subprocess.Popen([*COMMAND, "up"], env=environment, start_new_session=True)
        try:
            asking, _ = index.accept()  # it wants its model now
            with asking:
                second = run("up")
                assert second.returncode == 0, second.stderr
                assert f"http://127.0.0.1:{port}, still starting" in second.stdout
                waiting = run("models", "ps")
                assert waiting.returncode == 4
                assert "is still starting" in waiting.stderr
                assert first.poll() is None
        finally:
            os.killpg(first.pid, signal.SIGINT)  # as Ctrl-C: the fetching pip ends too
            assert first.wait(PATIENCE) == 130
    assert not (tmp_path / "home" / "running.json").exists()


def test_a_second_up_while_the_first_one_is_too_busy_to_answer(cli_home):
    first = Server(cli_home, "--ctx", "64")
    first.process.send_signal(signal.SIGSTOP)
    try:
        second = first.run("up")
    finally:
        first.process.send_signal(signal.SIGCONT)
    assert second.returncode == 0, second.stderr
    assert first.url in second.stdout.decode()
    assert first.stop() == 0


def test_ask_uses_the_running_server(server):
    done = server.run("ask", "--json", "-n", "5", "tell")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["usage"]["completion_tokens"] <= 5
    assert "/v1/chat/completions 200" in server.log.read_text()


def test_ask_loads_the_model_itself_when_told(server):
    asked = server.log.read_text().count("/v1/chat/completions")
    here = server.run("ask", "--local", "-t", "0", "-n", "8", "--json", "tell")
    assert here.returncode == 0, here.stderr
    assert server.log.read_text().count("/v1/chat/completions") == asked
    there = server.run("ask", "-t", "0", "-n", "8", "--json", "tell")
    assert json.loads(here.stdout)["text"] == json.loads(there.stdout)["text"]


def test_too_long_a_prompt_is_refused_with_both_counts(server):
    for where in ([], ["--local"]):
        done = server.run("ask", *where, given=b"1 " * 2000)
        assert done.returncode == 2
        assert b"but the context holds 512 tokens" in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_models_are_loaded_held_and_unloaded(server):
    loaded = server.run("models", "load", "pico")
    assert loaded.returncode == 0, loaded.stderr
    (shown,) = json.loads(server.run("models", "ps", "--json").stdout)
    assert (shown["name"], shown["state"], shown["held"]) == ("pico", "ready", True)
    gone = server.run("models", "unload", "pico", "--json")
    assert json.loads(gone.stdout) == {"name": "pico", "loaded": []}
    assert json.loads(server.run("models", "ps", "--json").stdout) == []
    again = server.run("models", "unload", "pico")
    assert again.returncode == 3
    assert b"not loaded" in again.stderr
    assert server.run("models", "load", "nobody").returncode == 3


def test_metrics_tell_of_the_engine(server):
    server.run("ask", "-n", "3", "tell")
    page = server.get("/metrics").decode()
    assert re.search(r'kataribe_generated_tokens_total\{model="pico"\} [1-9]', page)


def test_doctor_finds_the_server(server):
    done = server.run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert server.url in checks["server"]["found"]
    assert checks["torch"]["state"] == "ok"


def test_a_taken_port_is_told_with_its_holder(server, tmp_path, pico_path):
    other = new_home(tmp_path, pico_path)
    port = server.url.rpartition(":")[2]
    done = subprocess.run(
        [*COMMAND, "up", "--port", port, "-m", "pico"],
        capture_output=True,
        text=True,
        env={**os.environ, "KATARIBE_HOME": str(other)},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 4
    assert f"process {server.process.pid}" in done.stderr
    assert "--port" in done.stderr
    assert done.stderr.startswith("kataribe: ")
    assert done.stderr.count("\n") == 1


def test_others_are_not_let_in_without_a_key(cli_home):
    done = subprocess.run(
        [*COMMAND, "up", "--host", "0.0.0.0", "--port", "0"],
        capture_output=True,
        text=True,
        env={**os.environ, "KATARIBE_HOME": str(cli_home)},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "no key is set" in done.stderr


def test_a_context_beyond_the_models_own_is_refused_at_the_start(cli_home):
    done = subprocess.run(
        [*COMMAND, "up", "--port", "0", "-m", "pico", "--ctx", "4096"],
        capture_output=True,
        text=True,
        env={**os.environ, "KATARIBE_HOME": str(cli_home)},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "pico was made for 512" in done.stderr


@pytest.fixture
def cli_home(tmp_path, pico_path) -> Path:
    return new_home(tmp_path / "home", pico_path)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_politely(cli_home, by):
    started = Server(cli_home, "--ctx", "64")
    assert (cli_home / "running.json").is_file()
    assert started.stop(by) == 0
    assert not (cli_home / "running.json").exists()
    assert "Traceback" not in started.log.read_text()


def test_a_killed_servers_note_misleads_nobody(cli_home):
    started = Server(cli_home)
    assert started.stop(signal.SIGKILL) == -signal.SIGKILL
    assert (cli_home / "running.json").is_file()
    done = started.run("models", "ps")
    assert done.returncode == 4
    assert b"kataribe up" in done.stderr
    again = Server(cli_home)
    assert again.url != ""
    assert again.stop() == 0


def test_ctrl_c_ends_ask_with_130(server):
    asking = subprocess.Popen(
        [*COMMAND, "ask", "-n", "400", "tell"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=server.environment,
    )
    assert asking.stdout.read(1)
    asking.send_signal(signal.SIGINT)
    _, errors = asking.communicate(timeout=PATIENCE)
    if asking.returncode != 0:  # the reply may have been over already
        assert asking.returncode == 130, errors
    assert b"Traceback" not in errors
