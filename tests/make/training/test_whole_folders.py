"""Folders that take their name only when they are whole, and what killed processes left of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kataribe.make.training.checkpoints import whole_folder


def test_what_others_are_writing_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = [".other.1-0123abcd.part", f".tales.{os.getpid()}-0123abcd.part", ".tales.note", ".gone"]
    left = [f".tales.{dead.pid}-0123abcd.part"]
    for name in [*kept, *left]:
        (tmp_path / name).mkdir()
    with whole_folder(tmp_path / "tales"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "tales"])


def test_half_checkpoints_of_any_step_go(tmp_path: Path) -> None:
    for name in (".step-5.gone", ".step-10.999999999-0123abcd.part", ".stepson.gone"):
        (tmp_path / name).mkdir()
    with whole_folder(tmp_path / "step-20"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".stepson.gone", "step-20"]
