"""`kataribe agent rm`: deletes a run's journal."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli.agent.kept import Id


def rm(
    run: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run for good, with its log and what it found. Files that it wrote stay."""
    from kataribe.base.errors import UnavailableError
    from kataribe.base.workspace import Workspace
    from kataribe.cli.agent.kept import find_run
    from kataribe.cli.output import note
    from kataribe.use.agents.turns import FolderTurns

    workspace = Workspace.locate()
    found = find_run(workspace, run)
    if found.is_working:
        raise UnavailableError(f"A process works on {found.id} now. Stop it first.")
    if not yes:
        typer.confirm(f"Delete the run {found.id} ({found.goal[:60]})?", abort=True, err=True)
    FolderTurns(workspace.agents).forget(found.id)
    note(f"{found.id} is deleted.")
