"""The library built to watch itself: memory, undefined behaviour, data races."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kataribe.run.inference.native.library import Library
from scripts.native import FLAGS, SOURCES, compiler

CHILD = Path(__file__).with_name("native_child.py")
KINDS = {
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
    "thread": ("-fsanitize=thread",),
}


@pytest.fixture(scope="module", params=KINDS)
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, library: Library
) -> tuple[str, Path, str]:
    """(kind, library, what watches)."""
    kind = request.param
    found = compiler()
    if found is None or "g++" not in found:
        pytest.skip("Only g++'s sanitizers are known to work beneath Python.")
    watcher = _run([found, f"-print-file-name=lib{kind[0]}san.so"]).stdout.strip()
    if not Path(watcher).is_absolute():
        pytest.skip(f"g++ has no {watcher} here.")
    path = tmp_path_factory.mktemp(kind) / "watched.so"
    flags = ["-O1", "-g", "-fno-omit-frame-pointer", *KINDS[kind]]
    done = _run(
        [found, *(flag for flag in FLAGS if flag != "-O3"), *flags, "-o", str(path),
         *map(str, SOURCES.glob("*.cpp"))]
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return kind, path, watcher


@pytest.mark.slow
@pytest.mark.parametrize("task", ["steps", "together"])
def test_nothing_is_found(watched: tuple[str, Path, str], task: str) -> None:
    kind, path, watcher = watched
    surroundings = {
        **os.environ,
        "LD_PRELOAD": watcher,
        "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",  # Python keeps what it has
        "TSAN_OPTIONS": "exitcode=66",
    }
    python = [sys.executable]
    if kind == "thread" and shutil.which("setarch"):  # it wants memory where it expects it
        python = ["setarch", "-R", *python]
    trial = _run([*python, "-c", "print('here')"], surroundings)
    if trial.stdout != "here\n":
        pytest.skip(f"The {kind} sanitizer does not run beneath Python here: {trial.stderr[:200]}")
    done = _run([*python, str(CHILD), task, str(path)], surroundings)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "done\n"


def _run(
    command: list[str], surroundings: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=surroundings, capture_output=True, text=True, check=False, timeout=280
    )
