"""`kataribe models import` and `adopt`: take in what lies on this machine already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kataribe.cli import options
from kataribe.cli.models.pull import Name, tell_here


def import_(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A GGUF file, or a folder with config.json.")
    ],
    name: Name = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link to the files instead of copying them.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Take in a model of your own: a GGUF file or a Hugging Face folder."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.models.progress import PullBar
    from kataribe.cli.opening import open_catalog

    with PullBar(str(path)) as bar:
        found = open_catalog(Workspace.locate()).import_(path, bar, as_name=name, link=link)
    tell_here(found, as_json=as_json)


def adopt(
    reference: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="One of those listed without it.")
    ] = None,
    name: Name = None,
    as_json: options.Json = False,
) -> None:
    """Link a model that Hugging Face, Ollama or LM Studio keeps here; without MODEL, list them."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.models.progress import PullBar
    from kataribe.cli.opening import open_catalog
    from kataribe.cli.output import emit_json, note, size, table

    catalog = open_catalog(Workspace.locate())
    if reference is not None:
        with PullBar(reference) as bar:
            found = catalog.adopt(reference, bar, as_name=name)
        tell_here(found, as_json=as_json)
        return
    models = catalog.adoptable()
    if as_json:
        keys = ("reference", "origin", "name", "size")
        emit_json([{key: getattr(model, key) for key in keys} for model in models])
    elif models:
        rows = [(model.reference, model.name, size(model.size)) for model in models]
        table(("MODEL", "NAME HERE", "SIZE"), rows)
    else:
        note("Nothing to adopt: no models of Hugging Face, Ollama or LM Studio lie here.")
