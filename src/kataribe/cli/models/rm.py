"""`kataribe models rm`: remove models from the workspace."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def rm(
    names: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Models to remove.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: options.Json = False,
) -> None:
    """Remove models; what they link to elsewhere stays."""
    import sys

    from kataribe.base.errors import NotFoundError
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, say, size
    from kataribe.run.catalog.catalog import Catalog

    catalog = Catalog(Workspace.locate())
    found = [catalog.resolve(name) for name in names]  # all of them, before the first one goes
    for name in found:
        if not catalog.is_installed(name):
            raise NotFoundError(f"{name} is not here, so it cannot be removed.", param="model")
    asks = not yes and sys.stdin is not None and sys.stdin.isatty()
    if asks and not typer.confirm(f"Remove {', '.join(found)}?", err=as_json):
        raise typer.Exit(1)
    removed = []
    try:
        for name in found:
            freed = catalog.frees(name)
            card = catalog.remove(name)
            removed.append({"name": name, "size": card.size, "freed": freed})
            if not as_json:
                say(f"{name} is removed ({size(card.size)}).")
    finally:  # also where one of them cannot go
        if as_json and removed:
            emit_json({"removed": removed})
