"""What runs were expected to give, and what came: at least six of different sizes and times.

Every run is `kataribe train pretrain` in a process of its own; plan.json holds what it said before
its first step, result.json what it measured. The workspace begins without any run: what a run is
expected to give may rest on those before it in this list, and on no others. The same runs make the
scaling plot.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.inference.record import Record
from benchmarks.training.workspace import Place
from kataribe.make.model.families import config_from_hf
from kataribe.make.training.dial import training_flops

LIMITS = {"bits_per_byte": 0.05, "seconds": 0.15, "memory_bytes": 0.15}
"""Wanted: how far what came may lie from what was said."""
LEAST = 6


@dataclass(frozen=True)
class Run:
    """What one run is asked for.

    Attributes:
        minutes: The dial's, or None.
        size: Parameters, where no time is given.
        tokens: To learn from, in millions, where no time is given.
    """

    minutes: float | None = None
    size: str | None = None
    tokens: float | None = None

    def words(self, share: float) -> list[object]:
        """Flags of the command, with times and tokens made shorter."""
        if self.minutes is not None:
            return ["--minutes", f"{self.minutes * share:g}"]
        assert self.size is not None
        assert self.tokens is not None
        return ["--size", self.size, "--tokens", max(1024, round(self.tokens * share * 1e6))]

    @property
    def name(self) -> str:
        """In the report."""
        if self.minutes is not None:
            return f"{self.minutes:g} minutes"
        return f"{self.size}, {self.tokens:g} M tokens"


RUNS = (
    Run(minutes=1),
    Run(size="1M", tokens=4),
    Run(minutes=3),
    Run(size="3M", tokens=3),
    Run(size="8M", tokens=3),
    Run(minutes=8),
    Run(size="20M", tokens=1.5),
)


def measure(count: int, share: float, place: Place, record: Record) -> None:
    """The first `count` runs, one after the other."""
    place.prepare()
    for kept in (place.workspace.runs, place.workspace.models):
        shutil.rmtree(kept, ignore_errors=True)
    for number, one in enumerate(RUNS[:count]):
        with record.round(one.name):
            run, found = place.pretrain(f"prediction-{number}", *one.words(share))
            plan = run.plan
            model = config_from_hf(plan["model"]["config"])
            operations = training_flops(model, plan["data"]["context"]) * found["tokens"]
            names = ("parameters", "tokens", "seconds", "memory_bytes", "bits_per_byte")
            told = {
                "asked": one.name,
                "expected": plan["prediction"],
                "found": {name: found.get(name) for name in names},
                "operations": operations,
                "law": plan["prediction"].get("law"),
                "compile": plan["loop"]["work"]["compile"],
            }
            record.run("predicted", told)


def off(run: dict[str, Any], name: str) -> float | None:
    """What came over what was said, less 1; None where one of both is not there."""
    expected, found = run["expected"].get(name), run["found"].get(name)
    return None if not expected or found is None else found / expected - 1


def missed(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Which limits were not kept, in words; a figure that was not said or did not come is one."""
    found = []
    for run in runs:
        for name, limit in LIMITS.items():
            value = off(run, name)
            if value is None:
                lacks = "measured" if run["expected"].get(name) else "predicted"
                found.append(f"{run['asked']}: {name} was not {lacks}")
            elif abs(value) > limit:
                found.append(f"{run['asked']}: {name} {value:+.1%}")
    return found + ([f"only {len(runs)} runs of {LEAST}"] if len(runs) < LEAST else [])
