"""The commands of `kataribe models` together."""

from __future__ import annotations

import typer

from kataribe.cli.models import resident

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, fetch, look at and load models.",
)
app.command("load")(resident.load)
app.command("unload")(resident.unload)
app.command("ps")(resident.ps)
