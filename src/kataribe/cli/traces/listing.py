"""`kataribe traces list`: the newest requests, and what each has caused."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.prove.ops.trace_store import Trace

SHOWN = 12
"""Digits of an id in the table."""


def list_traces(
    most: Annotated[
        int, typer.Option("--most", min=1, max=10_000, help="How many, from the newest on.")
    ] = 20,
    as_json: options.Json = False,
) -> None:
    """List the newest requests: who answered, how long, what it used, how it ended."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.metering import trace_store
    from kataribe.cli.output import emit_json, note, table
    from kataribe.cli.traces.spans import as_mapping

    found = trace_store(Workspace.locate()).traces(most)
    if as_json:
        emit_json([{**as_mapping(each.root), "spans": each.spans} for each in found])
    elif not found:
        note("Nothing was answered here yet.")
    else:
        heads = ("TRACE", "BEGAN", "NAME", "SPANS", "SECONDS", "TOKENS", "DOLLARS", "ENDED")
        table(heads, [_row(each) for each in found])


def _row(trace: Trace) -> tuple[str, ...]:
    root = trace.root
    began = dt.datetime.fromtimestamp(root.began).astimezone()
    return (
        root.trace[:SHOWN],
        f"{began:%Y-%m-%d %H:%M:%S}",
        root.name,
        f"{trace.spans:,}",
        f"{root.whole:.2f}",
        f"{root.total.prompt_tokens + root.total.completion_tokens:,}",
        f"{root.total.dollars:.6f}{'+' if root.total.unpriced else ''}",
        root.error or root.reason,
    )
