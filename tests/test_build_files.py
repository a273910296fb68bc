"""The files that build and start Kataribe: they name what is there and do what is said of them."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
TARGETS = ["up", "test", "test-all", "check", "bench", "wheel", "clean"]


def run(*command: str, **named: str) -> str:
    """What a command prints, outside of the `make` that may run these tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    kept.pop("MFLAGS", None)
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**kept, **named}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def instruction(name: str) -> list[str]:
    """The arguments of the Containerfile's lines that begin with this word."""
    return re.findall(rf"^{name} (.+)$", CONTAINERFILE, re.MULTILINE)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_there_and_can_be_made(target):
    assert run("make", "-n", target) is not None
    assert re.search(rf"^  make {target} ", run("make", "help"), re.MULTILINE)


def test_the_environment_is_made_of_the_lock_and_nothing_else():
    lines = run("make", "-n", "-B", ".venv/.core").splitlines()
    installs = [line.partition(" install ")[2] for line in lines if " install " in line]
    assert installs == [
        "--quiet -r requirements.lock",
        "--quiet --no-deps --no-build-isolation -e .",
    ]


def test_what_everybody_installs_is_small_beside_pytorch():
    """PyTorch has three quarters of it; Parquet's reader, peers and browsers are extras."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    names = {found[1] for line in lines if (found := re.match(r"([\w.-]+)==", line))}
    assert names >= {"torch", "numpy", "tokenizers"}
    megabytes = 0.0
    for name in names - {"torch", "sympy", "networkx", "mpmath"}:  # the others are what it needs
        for file in distribution(name).files or ():
            path = Path(file.locate())
            megabytes += path.stat().st_size / 1e6 if path.is_file() else 0
    assert 100 < megabytes < 300


def test_what_a_container_copies_is_there():
    """In the repository, or made by the `make wheel` that its head asks for."""
    tracked = run("git", "ls-files").split("\n")
    copied = [source for line in instruction("COPY") for source in line.split()[:-1]]
    assert len(copied) == 2
    for source in copied:
        if source.startswith("dist/"):
            made = run("make", "-n", "wheel")
            assert f"--wheel-dir {Path(source).parent} " in made
            assert fnmatch.fnmatch("kataribe-1.0-py3-none-any.whl", Path(source).name)
        else:
            assert source in tracked, source


def test_what_a_container_runs_is_our_command():
    from typer.main import get_command

    from kataribe.base.settings import Settings
    from kataribe.cli.app import app

    (command,) = instruction("CMD")
    program, name, *arguments = json.loads(command)
    assert program == "kataribe"
    found = get_command(app).commands[name]
    found.make_context(name, arguments)  # raises what the terminal would say
    (port,) = instruction("EXPOSE")
    assert int(port) == Settings().port
    (health,) = re.findall(r"HEALTHCHECK .*?CMD (.+)", CONTAINERFILE)
    _, option, script = json.loads(health)
    assert option == "-c"
    compile(script, "Containerfile", "exec")
    assert f":{port}/health" in script


def test_node_comes_from_the_package_that_is_documented():
    script = (ROOT / "scripts" / "with_node.sh").read_text(encoding="utf-8")
    (package,) = re.findall(r"^package=([\w-]+)==[\d.]+$", script, re.MULTILINE)
    assert f"`{package}`" in (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")


def test_what_a_change_must_pass_is_make_check(tmp_path):
    told = tmp_path / "told"
    stand_in = tmp_path / "make"
    stand_in.write_text(f'#!/bin/sh\necho "$PWD $@" > {told}\n')
    stand_in.chmod(0o755)
    run(str(ROOT / ".ci" / "run"), PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert told.read_text() == f"{ROOT} check\n"
