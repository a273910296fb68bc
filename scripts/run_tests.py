"""`python scripts/run_tests.py [pytest's options]`: the tests, some files at a time.

Many of them wait for browsers, servers and processes that are killed, so there are half as many
workers again as cores; and a machine may lend its cores to others at any moment. So a few tests
(`FEW`) that fail are run again, alone, and have to pass `AGAIN` times in a row; what they are is
the last thing said, because a test that fails now and then shows a fault, of its own or of the
program. Anything else that fails, fails at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache", "v", "cache", "lastfailed")
TESTS_FAILED = 1  # pytest's exit code for that, and for nothing else
BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")  # in the order of tests/conftest.py
SLOWEST = ("--durations=25", "--durations-min=5")
WORKERS = min(8, max(2, (os.cpu_count() or 2) * 3 // 2))
FEW = 3
AGAIN = 3


def main(options: list[str]) -> int:
    """The exit code."""
    code = pytest("-n", str(WORKERS), *BY_FILE, *SLOWEST, "--cache-clear", *options)
    failed = sorted(json.loads(FAILED.read_text())) if code == TESTS_FAILED else []
    if not 0 < len(failed) <= FEW:
        return code
    for time in range(1, AGAIN + 1):
        print(f"\n{len(failed)} failed: alone, time {time} of {AGAIN}", flush=True)
        if code := pytest(*failed):
            return code
    print(f"\nFailed beside others, passed {AGAIN} times alone:", *failed, sep="\n  ", flush=True)
    return 0


def pytest(*arguments: str) -> int:
    """Runs it; both workers must collect alike, so the order of sets is fixed."""
    command = [sys.executable, "-m", "pytest", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
