"""The commands of `kataribe prompts` together."""

from __future__ import annotations

import typer

from kataribe.cli.prompts import (
    compare,
    edit,
    history,
    improve,
    listing,
    new,
    rm,
    run,
    show,
    techniques,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keep prompts with variables and versions, run them, and find better ones.",
)
app.command("list")(listing.list_prompts)
app.command("show")(show.show)
app.command("new")(new.new)
app.command("edit")(edit.edit)
app.command("rename")(edit.rename)
app.command("diff")(compare.diff)
app.command("run")(run.run)
app.command("history")(history.history)
app.command("rm")(rm.rm)
app.command("restore")(rm.restore)
app.command("techniques")(techniques.techniques)
app.command("improve")(improve.improve)
