"""`kataribe runs plan`: measure what to expect of a run that waits, without training it."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def plan(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its name.")],
    as_json: options.Json = False,
) -> None:
    """Say what to expect of a run that waits: parameters, tokens, time, memory, bits per byte."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, note, say
    from kataribe.cli.train.training import expectation
    from kataribe.make.training.preparing import prepare
    from kataribe.make.training.runs import find_run

    workspace = Workspace.locate()
    found = find_run(workspace.runs, run)
    made = prepare(workspace, found, say=note)
    if as_json:
        emit_json({"run": found.id, **(made.get("prediction") or {})})
        return
    for words in expectation(made):
        say(words)
    say(f"Begin it with: kataribe runs resume {found.id}")
