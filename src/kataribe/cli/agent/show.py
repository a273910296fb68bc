"""`kataribe agent show`: a run's tasks, its log, and what it gave."""

from __future__ import annotations

from kataribe.cli import options
from kataribe.cli.agent.kept import Id


def show(run: Id, as_json: options.Json = False) -> None:
    """Show a run: its tasks and log on standard error, what it gave on standard output."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.agent.kept import find_run
    from kataribe.cli.output import emit_json, note, say

    found = find_run(Workspace.locate(), run)
    log = found.run.outcome().log
    if as_json:
        emit_json({**found.told(), "log": list(log), "text": found.text})
        return
    note(f"{found.id}, {found.state}: {found.goal}")
    for line in log:
        note(f"  {line}")
    if found.text:
        say(found.text)
