"""`kataribe runs resume`: go on with a run that was stopped, or begin one that waits."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its name.")],
    as_json: options.Json = False,
) -> None:
    """Go on with a run from its last checkpoint, to the very weights it would have had."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.train.training import carry_on
    from kataribe.make.training.processes import joined
    from kataribe.make.training.runs import find_run

    workspace = Workspace.locate()
    with joined():
        carry_on(workspace, find_run(workspace.runs, run), as_json=as_json)
