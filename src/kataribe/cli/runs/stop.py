"""`kataribe runs stop`: have a running training end at its next step."""

from __future__ import annotations

from typing import Annotated

import typer


def stop(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its name.")],
) -> None:
    """Ask a run to end after its step; it writes a checkpoint and can go on later."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import say
    from kataribe.make.training.runs import find_run

    found = find_run(Workspace.locate().runs, run)
    found.ask_to_stop()
    say(f"{found.id} ends after its step. Go on with: kataribe runs resume {found.id}")
