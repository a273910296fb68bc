"""`kataribe runs list`: what was trained here, and what is being trained."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.make.training.runs import RunFolder


def list_runs(as_json: options.Json = False) -> None:
    """List training runs, the newest first."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, note, table
    from kataribe.make.training import runs

    found = [summary(run) for run in runs.list_runs(Workspace.locate().runs)]
    if as_json:
        emit_json(found)
    elif not found:
        note("Nothing was trained here yet. `kataribe train pretrain --help` says how to begin.")
    else:
        rows = [_row(each) for each in found]
        table(("RUN", "OBJECTIVE", "STATE", "STEP", "LOSS", "BITS/BYTE", "BEGUN"), rows)


def summary(run: RunFolder) -> dict[str, Any]:
    """What the list says of a run; a broken folder says its problem."""
    from kataribe.base.errors import KataribeError
    from kataribe.make.training.runs import steps_to_come

    last: dict[str, Any] = {}
    try:
        info, plan = run.info, run.plan
        for line in run.metrics():
            last |= line
    except KataribeError as error:
        return {"id": run.id, "state": "broken", "problem": error.message}
    return {
        "id": run.id,
        "name": info.name,
        "objective": info.objective,
        "state": info.state,
        "problem": info.problem,
        "created_at": info.created_at,
        "model": info.model,
        "steps": steps_to_come(plan, last),
        **{
            name: last.get(name)
            for name in (
                "step", "tokens", "time", "loss", "lr", "grad_norm", "tokens_per_second",
                "valid_loss", "bits_per_byte",
            )
        },
    }  # fmt: skip


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    if run["state"] == "broken":
        return run["id"], "?", f"broken: {run['problem']}", "", "", "", ""
    begun = dt.datetime.fromtimestamp(run["created_at"]).astimezone()
    return (
        run["id"],
        run["objective"],
        run["state"],
        f"{run['step'] or 0}/{run['steps'] or '?'}",
        decimal(run["loss"]),
        decimal(run["bits_per_byte"]),
        f"{begun:%Y-%m-%d %H:%M}",
    )


def decimal(value: float | None) -> str:
    """A figure with four digits after the point, or nothing."""
    return "" if value is None else f"{value:.4f}"
