"""`kataribe models show`: everything known of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.run.catalog.catalog import Entry


def show(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")],
    as_json: options.Json = False,
) -> None:
    """Show a model's card: source, licence, size, checksums."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.models.listing import count
    from kataribe.cli.output import emit_json, say, size
    from kataribe.run.catalog.catalog import Catalog

    known = _everything(Catalog(Workspace.locate()).show(name))
    if as_json:
        emit_json(known)
        return
    in_words = {
        "size": size,
        "size_estimate": size,
        "parameters": count,
        "context_length": "{:,} tokens".format,
    }
    if known["size"]:
        del known["size_estimate"]  # the true one stands there
    for field, value in known.items():
        if value in (None, "", []):
            continue
        if field == "files":
            for file in value:
                say(f"{'file':<15} {file['name']} ({size(file['size'])})")
                say(f"{'':<15} sha256 {file['sha256']}")
            continue
        shown = in_words[field](value) if field in in_words else value
        say(f"{field:<15} {', '.join(value) if isinstance(value, list) else shown}")


def _everything(entry: Entry) -> dict[str, Any]:
    from dataclasses import asdict

    from kataribe.cli.models.listing import summary

    known = summary(entry)
    if entry.installed is not None:
        known |= {
            "installed": entry.installed.installed,
            "revision": entry.installed.revision,
            "adopted_from": entry.installed.adopted_from,
            "files": [asdict(file) for file in entry.installed.files],
        }
    elif entry.card is not None and entry.card.sha256:
        known["sha256"] = entry.card.sha256
    return known
