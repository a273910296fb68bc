"""The rounds: every program does every task in turn, so that a disturbance meets all alike."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.inference.peers import Worker, environment

Figures = dict[tuple[str, str], list[float]]
"""(line, program) -> one figure per round."""

OURS = "kataribe"
SINGLE = {
    "prefill of 512 tokens": ("prefill", {"tokens": 512}),
    "one stream at 128 tokens": ("decode", {"tokens": 128, "new": 48}),
    "one stream at 1,024 tokens": ("decode", {"tokens": 1024, "new": 48}),
}
STREAMS = "16 streams, 128 + 64 tokens each"


def start_single(files: dict[str, Path]) -> dict[str, Worker]:
    """One slot each, room for 1,280 tokens; llama.cpp in every format with and without flash."""
    workers = {OURS: Worker.start(sys.executable, "ours.py", "--model", files["shipped"])}
    workers.update(_llamacpp(files, "--parallel", 1, "--context", 1280))
    workers["transformers"] = _transformers(files)
    return workers


def start_streams(files: dict[str, Path]) -> dict[str, Worker]:
    """16 slots of 512 tokens each."""
    workers = {
        OURS: Worker.start(
            sys.executable, "ours.py", "--model", files["shipped"], "--cache", 8192,
            "--context", 512,
        )
    }  # fmt: skip
    workers.update(_llamacpp(files, "--parallel", 16, "--context", 512))
    workers["transformers"] = _transformers(files)
    return workers


def _llamacpp(files: dict[str, Path], *options: object) -> dict[str, Worker]:
    python = environment("llamacpp")
    return {
        f"llama.cpp {kind} flash={flash}": Worker.start(
            python, "peer_llamacpp.py", "--model", files[kind], "--flash", flash, *options
        )
        for kind in ("shipped", "q4_0", "bf16")
        for flash in (0, 1)
    }


def _transformers(files: dict[str, Path]) -> Worker:
    python = environment("transformers")
    return Worker.start(python, "peer_transformers.py", "--folder", files["folder"])


def run_rounds(
    workers: dict[str, Worker], tasks: dict[str, tuple[str, dict[str, Any]]], rounds: int
) -> Figures:
    """`rounds` figures of every program for every line, after one round that is thrown away."""
    figures: Figures = defaultdict(list)
    for count in range(rounds + 1):
        names = list(workers)
        names = names[count % len(names) :] + names[: count % len(names)]
        for line, (task, values) in tasks.items():
            for name in names:
                rate = workers[name].ask(task, salt=7 * count + 3, **values)["rate"]
                if count:
                    figures[line, name].append(rate)
        print(f"round {count} of {rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
    return figures


def memory_growth(workers: dict[str, Worker]) -> dict[str, float]:
    """Resident bytes now beyond those before the model was loaded, after all rounds."""
    return {
        name: worker.ask("memory")["VmRSS"] - worker.ready["before"]["VmRSS"]
        for name, worker in workers.items()
    }


def engine_figures(files: dict[str, Path], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Prefix reuse, 64 streams beside a long prompt, what company changes: ours alone."""
    worker = Worker.start(
        sys.executable, "ours.py", "--model", files["shipped"], "--cache", 40960, "--context", 4352
    )
    found: dict[str, list[dict[str, float]]] = {"reuse": [], "fairness": []}
    for count in range(rounds):
        found["reuse"].append(worker.ask("reuse", tokens=1000, new=32, salt=count + 1))
        found["fairness"].append(
            worker.ask("fairness", count=64, new=160, tokens=4000, head_start=3.0, salt=count + 1)
        )
    found["batching"] = [worker.ask("batching", count=64, tokens=48, new=32, salt=1)]
    worker.stop()
    return found


def cold_ask(home: Path, rounds: int) -> list[float]:
    """Seconds from starting `kataribe ask` to the first byte of its answer."""
    found = []
    command = [sys.executable, "-m", "kataribe", "ask", "What is the capital of Japan?"]
    for _ in range(rounds):
        start = time.perf_counter()
        with subprocess.Popen(
            command,
            env={**os.environ, "KATARIBE_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            if not process.stdout.read(1):
                raise RuntimeError(f"{' '.join(command)} said nothing.")
            found.append(time.perf_counter() - start)
            process.stdout.read()
    return found
