"""The commands of `kataribe assistants` together."""

from __future__ import annotations

import typer

from kataribe.cli.assistants import checking, edit, learn, listing, new, rm, show, talk, tools

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make assistants out of recipes, talk with them, and test them.",
)
app.command("list")(listing.list_assistants)
app.command("show")(show.show)
app.command("new")(new.new)
app.command("edit")(edit.edit)
app.command("rm")(rm.rm)
app.command("chat")(talk.chat)
app.command("test")(checking.run_tests)
app.command("learn")(learn.learn)
app.command("tools")(tools.tools)
