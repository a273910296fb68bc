"""`kataribe runs show`: one run, its curves and its samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import typer

from kataribe.cli import options

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60
CURVES = ("loss", "valid_loss", "bits_per_byte", "lr", "grad_norm", "tokens_per_second")


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its name.")],
    as_json: options.Json = False,
) -> None:
    """Show a run: what was expected, what came, curves, and what the model says."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, say
    from kataribe.cli.runs.listing import summary
    from kataribe.cli.train.training import expectation
    from kataribe.make.training.runs import find_run

    found = find_run(Workspace.locate().runs, run)
    plan, lines, said = found.plan, list(found.metrics()), list(found.samples())
    known = summary(found)
    if as_json:
        emit_json(
            {**known, "plan": plan, "result": found.result, "metrics": lines, "samples": said}
        )
        return
    for name in ("id", "name", "objective", "state", "problem", "model"):
        if known.get(name):
            say(f"{name:<18} {known[name]}")
    for words in expectation(plan) if "loop" in plan else []:
        say(words)
    for name in CURVES:
        values = [float(line[name]) for line in lines if line.get(name) is not None]
        if values:
            say(f"{name:<18} {sparkline(values)} {values[-1]:.5g}")
    latest = said[-1]["step"] if said else None
    for sample in said:
        if sample["step"] == latest:
            say(f"\nafter step {latest}: {sample['prompt']!r} goes on")
            say(sample["text"])


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Values as bars, the lowest to the highest; the mean of a stretch where there are more."""
    step = max(1, math.ceil(len(values) / width))
    means = [
        sum(values[at : at + step]) / len(values[at : at + step])
        for at in range(0, len(values), step)
    ]
    low, high = min(means), max(means)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((mean - low) * scale)] for mean in means)
