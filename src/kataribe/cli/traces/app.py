"""The commands of `kataribe traces` together."""

from __future__ import annotations

import typer

from kataribe.cli.traces import listing, show

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="See what requests have caused: calls of models and tools, steps, time, tokens, money.",
)
app.command("list")(listing.list_traces)
app.command("show")(show.show)
