"""The commands of `kataribe corpus` together."""

from __future__ import annotations

import typer

from kataribe.cli.corpus import instructions, listing, make, rm, show

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make text to train on from files, archives and named sources, and look at it.",
)
app.command("make")(make.make)
app.command("instructions")(instructions.instructions)
app.command("instructions")(instructions.instructions)
app.command("list")(listing.list_corpora)
app.command("show")(show.show)
app.command("rm")(rm.rm)
