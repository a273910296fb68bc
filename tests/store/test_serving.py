"""One process answers for a workspace; the others are told which."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from kataribe.base.errors import StorageError, UnavailableError
from kataribe.base.workspace import Workspace
from kataribe.store.serving import holding

HOLD = """
import sys, time
from pathlib import Path
from kataribe.base.workspace import Workspace
from kataribe.store.serving import holding

with holding(Workspace(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(workspace: Workspace) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(workspace.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_another_process_is_refused_and_named(tmp_path):
    workspace = Workspace(tmp_path / "home")
    first = holder(workspace)
    try:
        with (
            pytest.raises(UnavailableError, match=rf"number {first.pid}\).*KATARIBE_HOME"),
            holding(workspace),
        ):
            pytest.fail("two hold it")
        note = {"url": "http://127.0.0.1:8720", "pid": first.pid}
        workspace.running.write_text(json.dumps(note), encoding="utf-8")
        with pytest.raises(UnavailableError, match="at http://127"), holding(workspace):
            pytest.fail("two hold it")
        workspace.running.write_text(json.dumps({**note, "pid": 1}), encoding="utf-8")
        with pytest.raises(UnavailableError) as caught, holding(workspace):
            pytest.fail("two hold it")
        assert "http" not in caught.value.message  # the note of an earlier one
    finally:
        end(first)
    with holding(workspace):  # freed, although it could not clean up
        pass


def test_the_same_process_is_refused_too(tmp_path):
    workspace = Workspace(tmp_path)
    with holding(workspace), pytest.raises(UnavailableError), holding(workspace):
        pytest.fail("two hold it")
    with holding(workspace):
        pass


def test_another_workspace_is_another_matter(tmp_path):
    with holding(Workspace(tmp_path / "a")), holding(Workspace(tmp_path / "b")):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "home").write_text("x")
    with pytest.raises(StorageError, match="KATARIBE_HOME"), holding(Workspace(tmp_path / "home")):
        pytest.fail("held")


@pytest.mark.parametrize("note", ["", "no json", "[]", "{}"])
def test_broken_notes_hurt_nobody(tmp_path, note):
    workspace = Workspace(tmp_path)
    first = holder(workspace)
    try:
        (tmp_path / "serving.lock.json").write_text(note)
        with pytest.raises(UnavailableError, match="Another process answers"), holding(workspace):
            pytest.fail("two hold it")
    finally:
        end(first)
