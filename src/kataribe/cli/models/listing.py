"""`kataribe models list`: what models there are, here and to be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.run.catalog.catalog import Entry


def list_models(
    here: Annotated[bool, typer.Option("--here", help="Only those that are here already.")] = False,
    as_json: options.Json = False,
) -> None:
    """List the models that are here, and those that can be pulled by name."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, note, table
    from kataribe.run.catalog.catalog import Catalog

    entries = [e for e in Catalog(Workspace.locate()).entries() if e.installed or not here]
    if as_json:
        emit_json([summary(entry) for entry in entries])
        return
    if not entries:
        note("No model is here yet. `kataribe models list` shows those that can be pulled.")
        return
    rows = [_row(summary(entry)) for entry in entries]
    table(("MODEL", "STATE", "SIZE", "PARAMETERS", "LANGUAGES", "LICENCE"), rows)


def summary(entry: Entry) -> dict[str, Any]:
    """What the list says of a model; None where nobody knows."""
    told = entry.installed or entry.card
    assert told is not None  # an entry is here or has a card
    state = "pull" if entry.installed is None else "broken" if entry.problem else "here"
    card = entry.card
    return {
        "name": entry.name,
        "state": state,
        "title": told.title,
        "source": told.source,
        "family": told.family,
        "kind": told.kind,
        "languages": list(told.languages),
        "licence": told.licence,
        "terms": card.terms.url if card is not None and card.terms else None,
        "parameters": told.parameters,
        "context_length": told.context_length,
        "size": told.size,
        "size_estimate": card.download_bytes if entry.installed is None and card else None,
        "note": entry.problem or told.note,
    }


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    from kataribe.cli.output import size

    known, about = model["size"], model["size_estimate"]
    return (
        model["name"],
        model["state"],
        size(known) if known else f"about {size(about)}" if about else "?",
        count(model["parameters"]) if model["parameters"] else "?",
        " ".join(model["languages"]) or "?",
        model["licence"] or "?",
    )


def count(number: float) -> str:
    """Parameters as people say them: 135M, 1.5B."""
    return f"{number / 1e9:.3g}B" if number >= 999.5e6 else f"{number / 1e6:.3g}M"
