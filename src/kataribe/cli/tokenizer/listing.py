"""`kataribe tokenizer list`: what tokenizers there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kataribe.cli import options


def list_tokenizers(as_json: options.Json = False) -> None:
    """List the tokenizers that are here."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, note, size, table

    folder = Workspace.locate().tokenizers
    names = sorted(each.parent.name for each in folder.glob("[!.]*/tokenizer.json"))
    found = [_summary(folder / name) for name in names]
    if as_json:
        emit_json(found)
        return
    if not found:
        note("No tokenizer is here yet. `kataribe tokenizer train NAME CORPUS` makes one.")
        return
    rows = [
        (
            each["name"],
            each["kind"] or "?",
            f"{each['pieces']:,}" if each["pieces"] else each["problem"] or "?",
            each["corpus"] or "?",
            size(each["text_bytes"]) if each["text_bytes"] else "?",
        )
        for each in found
    ]
    table(("TOKENIZER", "KIND", "PIECES", "CORPUS", "TEXT"), rows)


def _summary(path: Path) -> dict[str, Any]:
    from kataribe.base.errors import FormatError
    from kataribe.make.tokens.train import read_card

    card: dict[str, Any] = {}
    problem = None
    try:
        card = read_card(path)
    except FormatError as error:
        problem = error.message
    return {
        "name": path.name,
        "kind": card.get("plan", {}).get("kind"),
        "pieces": card.get("pieces"),
        "corpus": card.get("corpus"),
        "text_bytes": card.get("text_bytes"),
        "problem": problem,
    }
