"""`kataribe doctor`: each finding, well and ill."""

from __future__ import annotations

import json
import shutil
import socket

import pytest

from kataribe.base.workspace import Workspace
from kataribe.cli import checks
from kataribe.cli.running import leave_note


def looked(name: str) -> checks.Check:
    (found,) = [check for check in checks.all_checks() if check.name == name]
    return found


def test_a_sound_machine(cli, monkeypatch):
    monkeypatch.setenv("KATARIBE_PORT", "0")
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    found = {check["name"]: check for check in json.loads(cli("doctor", "--json").out)}
    assert {"python", "torch", "cores", "memory", "workspace", "settings", "models"} <= set(found)
    assert not [check for check in found.values() if check["state"] == "fail"]


def test_every_ill_finding_has_advice(cli, monkeypatch, kataribe_home):
    (kataribe_home / "kataribe.toml").write_text("prot = 1\n")
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 0.0, 0.0))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(checks, "SMALL_DISK", 2**60)
    monkeypatch.setattr(checks, "SMALL_MEMORY", 2**60)
    done = cli("doctor")
    assert done.code == 1
    ill = [line for line in done.out.splitlines() if line.startswith(("FAIL", "note"))]
    assert len(ill) >= 5
    assert done.out.count("-> ") == len(ill)


def test_which_runner_computes(monkeypatch, tmp_path):
    from kataribe.run.inference.native import library

    monkeypatch.setattr(library, "native_library", lambda: None)
    monkeypatch.setattr(library, "BUILT", tmp_path / "absent.so")
    assert looked("runner").state == "warn"
    (tmp_path / "absent.so").touch()
    assert "lacks AVX-512" in looked("runner").found
    monkeypatch.setattr(library, "native_library", object)
    assert looked("runner").found.startswith("native")


def test_settings_that_are_wrong(kataribe_home):
    (kataribe_home / "kataribe.toml").write_text("prot = 1\n")
    assert looked("settings").state == "fail"
    assert "prot" in looked("settings").found


def test_a_taken_port(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("KATARIBE_PORT", str(taken.getsockname()[1]))
        assert looked("port").state == "fail"
        assert "taken" in looked("port").found


def test_a_running_server(served):
    served("hello")
    assert looked("server").state == "ok"


@pytest.mark.parametrize(
    ("starting", "state", "said"),
    [(True, "ok", "still starting"), (False, "warn", "does not answer")],
)
def test_a_server_that_does_not_answer_yet(kataribe_home, starting, state, said):
    with leave_note(Workspace(kataribe_home), "http://127.0.0.1:1", starting=starting):
        found = looked("server")
    assert found.state == state
    assert found.found.startswith(said)


def test_a_damaged_model(cli, kataribe_home, pico_path):
    assert cli("models", "import", str(pico_path), "--name", "pico").code == 0
    assert looked("models").state == "ok"
    weights = kataribe_home / "models" / "pico" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    found = looked("models")
    assert found.state == "fail"
    assert "pico" in found.found
    assert "models rm pico" in found.advice


def test_a_model_whose_original_is_gone(cli, kataribe_home, pico_path, tmp_path):
    shutil.copytree(pico_path, tmp_path / "away")
    assert cli("models", "import", str(tmp_path / "away"), "--name", "pico", "--link").code == 0
    shutil.rmtree(tmp_path / "away")
    assert looked("models").state == "fail"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_workspace_that_is_a_file(monkeypatch, tmp_path, below):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KATARIBE_HOME", str(tmp_path / "file" / below))
    found = {check.name: check for check in checks.all_checks()}
    assert found["workspace"].state == "fail"
    assert f"{tmp_path / 'file'} is no folder" in found["workspace"].found
    assert "KATARIBE_HOME" in found["workspace"].advice
    assert not [check for check in found.values() if "report" in check.advice]


def test_no_model_yet():
    assert looked("models").state == "warn"
    assert "kataribe up" in looked("models").advice


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def _check_moon():
        raise RuntimeError("no moon")
        yield

    monkeypatch.setattr(checks, "CHECKS", (_check_moon,))
    (found,) = checks.all_checks()
    assert (found.name, found.state, found.found) == ("moon", "fail", "RuntimeError: no moon")


@pytest.mark.parametrize("name", ["kataribe", "python", "torch", "gpu", "cores", "memory"])
def test_what_is_there_is_named(name):
    assert looked(name).found
