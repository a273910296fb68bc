"""`kataribe runs compare`: runs beside each other."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kataribe.cli import options


def compare(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two runs or more.")],
    as_json: options.Json = False,
) -> None:
    """Compare runs: curves of held-out text, where they ended, and which settings differ."""
    from kataribe.base.errors import InputError
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, say, table
    from kataribe.cli.runs.listing import decimal, summary
    from kataribe.cli.runs.show import sparkline
    from kataribe.make.training.runs import find_run

    if len(names) < 2:
        raise InputError("One run cannot be compared; name two or more.")
    found = [find_run(Workspace.locate().runs, name) for name in names]
    known = [summary(run) for run in found]
    differing = settings_that_differ([run.plan for run in found])
    if as_json:
        emit_json({"runs": known, "differing": differing})
        return
    rows = []
    for run, about in zip(found, known, strict=True):
        curve = [line["valid_loss"] for line in run.metrics() if line.get("valid_loss") is not None]
        rows.append((
            run.id, str(about["step"]), decimal(about["loss"]), decimal(about["valid_loss"]),
            decimal(about["bits_per_byte"]), f"{about['tokens_per_second'] or 0:,.0f}",
            sparkline(curve, 20) if curve else "",
        ))  # fmt: skip
    table(("RUN", "STEP", "LOSS", "HELD OUT", "BITS/BYTE", "TOKENS/S", "CURVE"), rows)
    for name, values in differing.items():
        say(f"{name}: {' | '.join(str(value) for value in values)}")


def settings_that_differ(plans: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Settings of the loop, the model and the data that are not the same in all plans."""
    from kataribe.make.training.config import flatten

    flat = [
        flatten({part: plan.get(part, {}) for part in ("loop", "model", "data")}) for plan in plans
    ]
    names = sorted({name for each in flat for name in each})
    return {
        name: [each.get(name) for each in flat]
        for name in names
        if any(each.get(name) != flat[0].get(name) for each in flat)
    }
