"""The commands of `kataribe runs` together."""

from __future__ import annotations

import typer

from kataribe.cli.runs import compare, listing, plan, resume, show, stop

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, look at, compare, stop and go on with training runs.",
)
app.command("list")(listing.list_runs)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("plan")(plan.plan)
app.command("stop")(stop.stop)
app.command("resume")(resume.resume)
