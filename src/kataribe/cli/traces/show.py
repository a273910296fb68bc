"""`kataribe traces show`: one request as a tree of what it has caused."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The trace's id, or its first digits.")],
    as_json: options.Json = False,
) -> None:
    """Show what a request has caused: who asked whom, how long, what it used.

    What was asked and answered is not kept. With --json each span has the fields of OpenTelemetry.
    """
    from kataribe.base.workspace import Workspace
    from kataribe.cli.metering import trace_store
    from kataribe.cli.output import emit_json, say
    from kataribe.cli.traces.spans import as_mapping
    from kataribe.prove.ops.ledger import lines, trees

    spans = trace_store(Workspace.locate()).trace(id_)
    if as_json:
        emit_json([as_mapping(span) for span in spans])
        return
    say(f"trace {spans[0].trace}")
    for line in lines(trees(spans)):
        say(line)
