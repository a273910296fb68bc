"""`kataribe corpus list`: what corpora there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kataribe.cli import options


def list_corpora(as_json: options.Json = False) -> None:
    """List the corpora that are here."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, note, size, table
    from kataribe.make.text import list_corpora as names_in

    corpora = Workspace.locate().corpora
    found = [_summary(corpora, name) for name in names_in(corpora)]
    if as_json:
        emit_json(found)
        return
    if not found:
        note("No corpus is here yet. `kataribe corpus make NAME` makes one.")
        return
    rows = [
        (
            each["name"],
            f"{each['documents']:,}" if "documents" in each else "damaged",
            size(each["text_bytes"]) if "text_bytes" in each else "?",
            " ".join(each.get("languages", ["?"])[:4]),
            " ".join(each.get("sources", ["?"])),
        )
        for each in found
    ]
    table(("CORPUS", "DOCUMENTS", "TEXT", "LANGUAGES", "SOURCES"), rows)


def _summary(corpora: Path, name: str) -> dict[str, Any]:
    from kataribe.base.errors import FormatError
    from kataribe.make.text import open_corpus

    try:
        card = open_corpus(corpora / name).card
    except FormatError as error:
        return {"name": name, "problem": error.message}
    splits = card["splits"].values()
    return {
        "name": name,
        "made_at": card["made_at"],
        "sources": card["choices"]["sources"],
        "documents": sum(each["documents"] for each in splits),
        "text_bytes": sum(each["text_bytes"] for each in splits),
        "languages": list(card["splits"]["train"].get("languages", [card.get("kind", "?")])),
    }
