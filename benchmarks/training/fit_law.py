"""Fits the law of `make.training.scaling` on the runs of law_runs.py, and says how far it is off.

    python benchmarks/training/fit_law.py benchmarks/training/law_runs.jsonl

Every run is predicted by a law that was fitted without any run on its text: from the text alone,
and after a pilot, for which every smaller run on the same text stands once. Prints a table and the
constants for `LAW`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kataribe.make.training.pilot import LEAST_TOKENS
from kataribe.make.training.scaling import SURE, Point, Run, fit
from kataribe.make.training.text_level import TextLevel

PILOT_SHARE = 0.45
"""Runs with at most this share of another's work stand for its pilot."""


def read(path: Path) -> list[Run]:
    """The table of runs."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        level = row["level"]
        found.append(
            Run(
                row["tokenizer"],
                TextLevel(
                    tuple(level["tokens"]), tuple(level["bits_per_byte"]), level["recalling"],
                    level["letters"], level["bytes_per_token"], level["unique"],
                ),
                Point(row["parameters"], row["trained_tokens"], row["steps"]),
                row["bits_per_byte"],
            )
        )  # fmt: skip
    return found


def pilots(run: Run, runs: Sequence[Run]) -> list[Run]:
    """Smaller runs on the same text."""
    work = run.point.parameters * run.point.tokens
    return [
        other
        for other in runs
        if other.text == run.text
        and other.point.tokens >= LEAST_TOKENS
        and other.point.parameters * other.point.tokens <= PILOT_SHARE * work
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    runs = read(parser.parse_args().runs)
    off, alone, inside = [], [], []
    print("| text | parameters | tokens | found | from the text alone | pilot | after it |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for run in sorted(runs, key=lambda each: (each.text, each.point.parameters, each.point.tokens)):
        law = fit([other for other in runs if other.text != run.text], "the other texts")
        said = law.expected(run.level, run.point) / run.bits_per_byte - 1
        alone.append(said)
        head = (
            f"| {run.text} | {run.point.parameters:,} | {run.point.tokens:,} "
            f"| {run.bits_per_byte:.3f} | {said:+.1%} "
        )
        small = pilots(run, runs)
        for pilot in small:
            moved = law.moved(run.point, [pilot], "a pilot")
            bits, low, high = moved.interval(run.level, run.point)
            off.append(bits / run.bits_per_byte - 1)
            inside.append(low <= run.bits_per_byte <= high)
            told = f"{pilot.point.parameters:,} x {pilot.point.tokens:,}"
            print(f"{head}| {told} | {off[-1]:+.1%} |")
        if not small:
            print(f"{head}| | |")
    for name, errors in (("from the text alone", alone), ("after a pilot", off)):
        size = np.abs(errors)
        print(f"{name}: {len(size)} predictions, mean {size.mean():.1%}, largest {size.max():.1%}, "
              f"{np.mean(size <= 0.05):.0%} within 5 %")  # fmt: skip
    print(f"within intervals of {SURE} standard deviations: {np.mean(inside):.0%}")
    print("factors:", tuple(round(each, 4) for each in fit(runs, "all").factors))


if __name__ == "__main__":
    main()
