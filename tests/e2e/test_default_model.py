"""The default model, as a newcomer meets it: asked on the command line, in a process of its own."""

from __future__ import annotations

import json
import os
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
