"""The commands of `kataribe models` together."""

from __future__ import annotations

import typer

from kataribe.cli.models import bring, fit, listing, pull, resident, rm, show

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, fetch, look at and load models.",
)
app.command("list")(listing.list_models)
app.command("pull")(pull.pull)
app.command("import")(bring.import_)
app.command("adopt")(bring.adopt)
app.command("show")(show.show)
app.command("fit")(fit.fit)
app.command("rm")(rm.rm)
app.command("load")(resident.load)
app.command("unload")(resident.unload)
app.command("ps")(resident.ps)
