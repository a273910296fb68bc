"""Finding the server of a workspace: a note that lies is not believed."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from kataribe.base.errors import StorageError
from kataribe.base.workspace import Workspace
from kataribe.cli.running import ask_health, find_noted, find_running, leave_note


def test_a_running_server_is_found_until_it_ends(kataribe_home, served):
    workspace = Workspace(kataribe_home)
    assert find_running(workspace) is None
    served("hi")
    found = find_running(workspace)
    assert found.pid == os.getpid()
    assert found.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "change",
    [
        {"pid": 2**22 + 1},
        {"pid": 1},
        {"pid": -1},
        {"pid": "x"},
        {"began": 0.0},
        {"began": None},
        {"url": "http://127.0.0.1:1"},
        {"url": "nonsense"},
        {"url": "http://127.0.0.1:99999999"},
    ],
)
def test_a_note_that_lies_is_not_believed(kataribe_home, served, change):
    workspace = Workspace(kataribe_home)
    served("hi")
    note = json.loads(workspace.running.read_text())
    workspace.running.write_text(json.dumps(note | change))
    assert find_running(workspace) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"url": 1}', "\x00"])
def test_a_broken_note_is_not_believed(kataribe_home, text):
    workspace = Workspace(kataribe_home)
    workspace.running.write_text(text)
    assert find_running(workspace) is None


def test_a_server_of_an_earlier_version_is_found(kataribe_home, served):
    workspace = Workspace(kataribe_home)
    served("hi")
    note = json.loads(workspace.running.read_text())
    del note["starting"]
    workspace.running.write_text(json.dumps(note))
    assert find_running(workspace).pid == os.getpid()


def test_the_note_goes_with_its_server(kataribe_home):
    workspace = Workspace(kataribe_home / "new")
    with leave_note(workspace, "http://127.0.0.1:1"):
        assert workspace.running.is_file()
    assert not workspace.running.exists()


def test_a_server_that_still_starts_is_named_but_not_asked(kataribe_home, monkeypatch):
    """Its socket listens and nobody answers there yet: asking would only wait."""
    workspace = Workspace(kataribe_home)
    monkeypatch.setattr("kataribe.cli.running.ask_health", None)
    with leave_note(workspace, "http://127.0.0.1:1", starting=True):
        found = find_noted(workspace)
        assert (found.url, found.pid, found.starting) == ("http://127.0.0.1:1", os.getpid(), True)
        assert find_running(workspace) is None
        with leave_note(workspace, "http://127.0.0.1:1"):
            assert find_noted(workspace).starting is False
        assert find_noted(workspace) is None, "it ends, and answers no more"
    assert find_noted(workspace) is None


@pytest.mark.parametrize(
    ("starting", "said"), [(True, "is still starting"), (False, "does not answer")]
)
def test_a_silent_server_is_told(cli, kataribe_home, starting, said):
    with leave_note(Workspace(kataribe_home), "http://127.0.0.1:1", starting=starting):
        done = cli("models", "ps")
    assert done.code == 4
    assert f"http://127.0.0.1:1 (process {os.getpid()}) {said}" in done.err


def test_another_servers_note_stays(kataribe_home):
    workspace = Workspace(kataribe_home)
    with leave_note(workspace, "http://127.0.0.1:1"):
        workspace.running.write_text(json.dumps({"pid": 1}))
    assert workspace.running.is_file()


def test_a_workspace_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="KATARIBE_HOME"),
        leave_note(Workspace(tmp_path / "file" / "home"), "http://127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>",
    ],
)
def test_other_programs_are_no_kataribe(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond() -> None:
            one, _ = server.accept()
            with one:
                one.recv(4096)
                one.sendall(answer)

        thread = threading.Thread(target=respond)
        thread.start()
        assert ask_health(f"http://127.0.0.1:{server.getsockname()[1]}") is None
        thread.join()
