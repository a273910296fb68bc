"""Too little memory and too few threads: what only a process of its own can try."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kataribe.run.inference.native.library import BUILT, Library

CHILD = Path(__file__).with_name("native_child.py")


def child(task: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHILD), task, str(BUILT)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("task", ["rows", "keys", "threads"])
def test_what_the_system_does_not_give_is_told_and_survived(library: Library, task: str) -> None:
    done = child(task)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
