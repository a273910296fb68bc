"""`kataribe agent list`: the runs there are."""

from __future__ import annotations

import datetime as dt

from kataribe.cli import options


def list_runs(as_json: options.Json = False) -> None:
    """List runs, the one that changed last first."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.agent.kept import all_runs
    from kataribe.cli.output import emit_json, note, table

    found = all_runs(Workspace.locate())
    if as_json:
        emit_json([each.told() for each in found])
    elif found:
        rows = []
        for each in found:
            settled = sum(task.state != "waiting" for task in each.run.tasks)
            when = dt.datetime.fromtimestamp(each.changed).astimezone()
            far = f"{settled} of {len(each.run.tasks)} tasks"
            goal = " ".join(each.goal.split())[:70]
            rows.append((each.id, each.state, far, f"{when:%Y-%m-%d %H:%M}", goal))
        table(("RUN", "STATE", "PROGRESS", "CHANGED", "GOAL"), rows)
    else:
        note('There are no runs yet. Begin one: kataribe agent "GOAL"')
