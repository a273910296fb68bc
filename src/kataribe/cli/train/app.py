"""The commands of `kataribe train` together."""

from __future__ import annotations

import typer

from kataribe.cli.train import instruct, pretrain

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train models: from nothing, or further.",
)
app.command("pretrain")(pretrain.pretrain)
app.command("instruct")(instruct.instruct)
