"""The default model, as a newcomer meets it: asked on the command line, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog


@pytest.fixture(scope="module")
def home(tmp_path_factory, smollm2_path) -> Path:
    folder = tmp_path_factory.mktemp("home")
    Catalog(Workspace(folder)).import_(smollm2_path, as_name="smollm2-135m", link=True)
    return folder


def ask(home: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kataribe", "ask", *arguments],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "KATARIBE_HOME": str(home)},
        timeout=240,
        check=False,
    )


def test_it_knows_the_capital_of_japan(home):
    done = ask(home, "-t", "0", "-n", "20", "What is the capital of Japan?")
    assert done.returncode == 0, done.stderr
    assert "Tokyo" in done.stdout


def test_japanese_goes_in_and_out_whole(home):
    done = ask(home, "--json", "-t", "0", "-n", "12", given="日本の首都はどこですか。")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["finish_reason"] in ("stop", "length")
    assert "\ufffd" not in found["text"][:-1]


ALONE = """
import fcntl, json, re, socket, struct, subprocess, sys, time
from pathlib import Path

with socket.socket() as one:  # the loopback of a new namespace is down, and there is no other
    fcntl.ioctl(one, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
    one.settimeout(5)
    assert one.connect_ex(("192.0.2.1", 80)) != 0
command, log = [sys.executable, "-m", "kataribe"], Path(sys.argv[1])
with log.open("wb") as out:
    up = subprocess.Popen([*command, "up", "--port", "0"], stdout=out, stderr=out)
try:
    until = time.monotonic() + 200
    while not re.search("listens at http", log.read_text()):
        assert up.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    asked = subprocess.run([*command, "ask", "-n", "3", "--json", "Hello"], capture_output=True)
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["usage"]["completion_tokens"] > 0
finally:
    up.terminate()
    assert up.wait(60) == 0
"""
ISOLATED = ["unshare", "-r", "-n"]  # root there, with a network of its own


def test_without_a_network_the_second_up_serves(home, tmp_path):
    """The model is here already, so neither it nor anything else is looked for elsewhere."""
    tried = [*ISOLATED, "true"]
    if not shutil.which("unshare") or subprocess.run(tried, check=False).returncode:
        pytest.skip("This system lets nobody make a network of their own (unshare -n).")
    log = tmp_path / "up.log"
    done = subprocess.run(
        [*ISOLATED, sys.executable, "-c", ALONE, str(log)],
        capture_output=True,
        text=True,
        env={**os.environ, "KATARIBE_HOME": str(home)},
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = log.read_text()
    assert "/v1/chat/completions 200" in told
    assert "kataribe:" not in told, "it reached for something, and went on without"
