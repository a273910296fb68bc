"""What is no speed beside peers: the engine under load, a cold process, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.inference import programs
from benchmarks.inference.record import Record
from benchmarks.inference.rounds import SINGLE

COMMAND = (sys.executable, "-m", "kataribe")


def engine(files: dict[str, Path], runs: int, record: Record) -> None:
    """Prefix reuse, 64 streams beside a long prompt, what company changes."""
    worker = programs.ours(files, cache=40960, context=4352)
    try:
        worker.ask("reuse", tokens=1000, new=32, salt=999)  # the first pays for once
        for count in range(runs):
            with record.round(f"engine {count + 1}", [worker.process.pid]):
                record.run("reuse", worker.ask("reuse", tokens=1000, new=32, salt=count + 1))
                task = {"count": 64, "new": 448, "tokens": 4000, "salt": count + 1}
                record.run("fairness", worker.ask("fairness", **task))
                task = {"count": 64, "tokens": 48, "new": 32, "salt": count + 1}
                record.run("batching", worker.ask("batching", **task))
    finally:
        worker.stop()


def cold(files: dict[str, Path], runs: int, record: Record) -> None:
    """Seconds from starting `kataribe ask` to the first byte of its answer, the first left out."""
    with tempfile.TemporaryDirectory(prefix="kataribe-bench-") as home:
        environ = {**os.environ, "KATARIBE_HOME": home}
        bring = [*COMMAND, "models", "import", str(files["shipped"]), "--name", "measured"]
        subprocess.run(bring, env=environ, check=True, stdout=subprocess.DEVNULL)
        question = "What is the capital of Japan?"
        ask = [*COMMAND, "ask", "--model", "measured", "--max-tokens", "8", question]
        with record.round("cold"):
            for count in range(runs + 1):
                seconds = _first_byte(ask, environ)
                if count:
                    record.run("ask", seconds)


def _first_byte(command: list[str], environ: dict[str, str]) -> float:
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise RuntimeError(f"{' '.join(command)} said nothing.")
        seconds = time.perf_counter() - start
        process.stdout.read()
    return seconds


def memory(files: dict[str, Path], runs: int, record: Record) -> None:
    """Resident bytes beyond those before loading, with room for 1,280 tokens, in new processes."""
    places = ("--parallel", 1, "--context", 1280)
    file = files["shipped"]
    starts = {
        programs.OURS: lambda: programs.ours(files, 1280, 1280),
        "llama.cpp, no flash": lambda: programs.llamacpp(file, *places, "--flash", 0),
        "llama.cpp, flash": lambda: programs.llamacpp(file, *places, "--flash", 1),
        "llama.cpp, flash, file read": lambda: programs.llamacpp(
            file, *places, "--flash", 1, "--load", 0
        ),
    }
    for count in range(runs):
        with record.round(f"memory {count + 1}"):
            for name, start in starts.items():
                worker = start()
                try:
                    for salt in range(2):
                        for task, values in SINGLE.values():
                            worker.ask(task, salt=salt, **values)
                    before = worker.ready["before"]["VmRSS"]
                    found = {
                        "program": name,
                        "loaded": worker.ready["after"]["VmRSS"] - before,
                        "worked": worker.ask("memory")["VmRSS"] - before,
                    }
                finally:
                    worker.stop()
                record.run("memory", found)
