"""`python -m benchmarks.embedding`: rounds in turn, ratios with their spread.

Every variant answers each round, in an order that is drawn anew, so that a slow moment of the
machine meets all alike. A ratio is of one round; the median and the range of all rounds are told.
Seconds of all processors together (`cpu`) hardly feel what else runs on the machine.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.embedding.texts import texts
from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"
REQUIREMENTS = ["torch==2.13.0", "transformers==5.23", "sentence-transformers==6.2.0"]
PEERS = {
    f"sentence-transformers {dtype}, {batch} a batch": (dtype, "torch", str(batch))
    for dtype in ("float32", "bfloat16")
    for batch in (8, 32)
}
OURS = {"kataribe bfloat16": "bfloat16", "kataribe float32": "float32"}


@dataclass
class Variant:
    """One measured program and its figures, one of each kind for a round."""

    name: str
    process: subprocess.Popen[str]
    first: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def read(self) -> dict[str, Any]:
        """The next line of figures."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended without figures.")
        found: dict[str, Any] = json.loads(line)
        return found

    def send(self, line: str) -> None:
        """One line to the program."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def measure(self) -> None:
        """One pass over all texts."""
        self.send("")
        found = self.read()
        self.seconds.append(found["seconds"])
        self.cpu.append(found["cpu"])


def environment() -> Path:
    """The Python of the peer's own virtual environment, made when missing."""
    home = CACHE / "bench" / "sentences"
    python, marker = home / "bin" / "python", home / ".complete"
    if not marker.exists():
        print(f"making an environment: {' '.join(REQUIREMENTS)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS]
        subprocess.run(pip, check=True)
        marker.touch()
    return python


def start(name: str, command: list[str], words: str) -> Variant:
    """The program with its model loaded and the texts embedded once."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=(CACHE / "bench" / "embedding.log").open("a"),
    )  # fmt: skip
    variant = Variant(name, process)
    variant.send(words)
    variant.first = variant.read()
    return variant


def main() -> None:
    """Measures and tells."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--texts", type=int, default=512)
    asked.add_argument("--rounds", type=int, default=7)
    options = asked.parse_args()
    folder = str(Catalog(Workspace(CACHE / "kataribe")).path_of("e5-small"))
    words = json.dumps(texts(options.texts))
    peer = str(environment())
    commands = {name: [peer, str(HERE / "peer.py"), folder, *how] for name, how in PEERS.items()}
    commands |= {
        name: [sys.executable, str(HERE / "ours.py"), folder, how] for name, how in OURS.items()
    }
    variants = [start(name, command, words) for name, command in commands.items()]
    try:
        for number in range(options.rounds):
            for variant in random.Random(number).sample(variants, len(variants)):
                variant.measure()
    finally:
        for variant in variants:
            assert variant.process.stdin is not None
            variant.process.stdin.close()
            variant.process.wait(60)
    report(variants, options.texts)


def report(variants: list[Variant], count: int) -> None:
    """A table of rates, and ours against each peer."""
    reference = np.asarray(variants[0].first["vectors"])
    print("| variant | texts/s | texts per processor second | least cosine to the first |")
    print("|---|---|---|---|")
    for variant in variants:
        rate, per_cpu = (
            statistics.median(count / value for value in values)
            for values in (variant.seconds, variant.cpu)
        )
        cosine = (np.asarray(variant.first["vectors"]) * reference).sum(axis=1).min()
        print(f"| {variant.name} | {rate:.1f} | {per_cpu:.1f} | {cosine:.5f} |")
    mine = next(variant for variant in variants if variant.name in OURS)
    for other in variants:
        if other.name in OURS:
            continue
        for what in ("seconds", "cpu"):
            pairs = zip(getattr(other, what), getattr(mine, what), strict=True)
            ratios = sorted(theirs / ours for theirs, ours in pairs)
            print(
                f"{mine.name} against {other.name}, {what}: {statistics.median(ratios):.2f}x "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )


if __name__ == "__main__":
    main()
