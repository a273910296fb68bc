"""The commands of `kataribe tokenizer` together."""

from __future__ import annotations

import typer

from kataribe.cli.tokenizer import compare, listing, show, train

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train tokenizers, compare them, and look at what they make of a text.",
)
app.command("train")(train.train)
app.command("compare")(compare.compare)
app.command("show")(show.show)
app.command("list")(listing.list_tokenizers)
