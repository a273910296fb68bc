"""`make test` gives a few tests another chance, and hides none that fails for good."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "run_tests.py"
SHAKY = """
import pathlib

def test_shaky():
    seen = pathlib.Path("seen")
    times = len(seen.read_text()) if seen.exists() else 0
    seen.write_text("x" * (times + 1))
    assert times >= {passes_after}
"""
FINE = "def test_fine():\n    pass\n"
BAD = """
import pytest

@pytest.mark.parametrize("n", range({count}))
def test_bad(n):
    assert 0
"""


def _run(folder: Path, **files: str) -> tuple[int, str]:
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    # Other plugins take seconds to load, and a minute in all.
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}
    run = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=folder, env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return run.returncode, run.stdout


def test_what_passes_is_run_once(tmp_path: Path) -> None:
    code, said = _run(tmp_path, fine=FINE)
    assert code == 0
    assert "alone" not in said


def test_a_test_that_failed_once_is_named_at_the_end(tmp_path: Path) -> None:
    code, said = _run(tmp_path, shaky=SHAKY.format(passes_after=1), fine=FINE)
    assert code == 0
    assert said.endswith("passed 3 times alone:\n  test_shaky.py::test_shaky\n")
    assert (tmp_path / "seen").read_text() == "xxxx"


def test_what_fails_again_fails(tmp_path: Path) -> None:
    code, said = _run(tmp_path, shaky=SHAKY.format(passes_after=2), fine=FINE)
    assert code == 1
    assert "times alone:" not in said


@pytest.mark.parametrize(("count", "again"), [(3, True), (4, False)])
def test_many_failures_get_no_other_chance(tmp_path: Path, count: int, again: bool) -> None:
    code, said = _run(tmp_path, bad=BAD.format(count=count), fine=FINE)
    assert code == 1
    assert (f"{count} failed: alone" in said) is again


def test_a_file_that_cannot_be_read_fails_at_once(tmp_path: Path) -> None:
    code, said = _run(tmp_path, broken="import nothing_of_this_name\n", fine=FINE)
    assert code != 0
    assert "passed 3 times" not in said
