"""The commands of `kataribe dataset` together."""

from __future__ import annotations

import typer

from kataribe.cli.dataset import show

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Look at the batches that a model learns from.",
)


@app.callback()
def dataset() -> None:
    """Look at the batches that a model learns from."""


app.command("show")(show.show)
