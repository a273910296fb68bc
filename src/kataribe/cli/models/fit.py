"""`kataribe models fit`: will it run here, and how fast."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def fit(
    name: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model's name, or its source as for pull.")
    ],
    ctx: options.Context = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, float32, bfloat16, int8 or int4.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say what memory, disk and speed to expect here, before the download.

    After a run it also says how far off that was. Ends with code 1 when the model does not fit.
    """
    import dataclasses

    from kataribe.base.settings import load_settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.fit_words import fit_words
    from kataribe.cli.output import emit_json, say
    from kataribe.cli.shelf import computes_natively
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.catalog.fit import Wish

    settings = load_settings(ctx=ctx, precision=precision)
    budget = None if settings.memory is None else int(settings.memory * 2**30)
    wish = Wish(settings.precision, settings.ctx, budget, native=computes_natively(settings))
    found = Catalog(Workspace.locate()).fit(name, wish)
    if as_json:
        told = dataclasses.asdict(found)
        for key, estimate in (("memory", found.memory), ("full", found.full)):
            if estimate is not None:
                told[key] |= {"needed": estimate.needed, "total": estimate.total}
        emit_json(told)
    else:
        for line in fit_words(found):
            say(line)
    if found.verdict == "does_not_fit":
        raise typer.Exit(1)
