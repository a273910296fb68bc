"""`kataribe tokenizer show`: a tokenizer's card, and what it makes of a text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from kataribe.cli import options


def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A tokenizer, a model, or a folder or file.")
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="Show the pieces of this text.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show a tokenizer, or the pieces of a text, each in a colour."""
    from kataribe.cli.output import emit_json, say
    from kataribe.cli.tokenizer.coloured import print_pieces
    from kataribe.cli.tokenizer.found import tokenizer_path
    from kataribe.make.tokens import load_tokenizer
    from kataribe.make.tokens.shown import shown_pieces

    path = tokenizer_path(name)
    tokenizer = load_tokenizer(path)
    if text is None:
        known = _about(name, path.is_dir() and (path / "tokenizer.json").is_file(), path, tokenizer)
        if as_json:
            emit_json(known)
            return
        for field, value in known.items():
            if value not in (None, "", [], {}):
                say(f"{field:<14} {value if not isinstance(value, list) else ' '.join(value)}")
        return
    ids = tokenizer.encode_texts([text])[0]
    pieces = shown_pieces(tokenizer, ids)
    returns = tokenizer.decode(ids) == text
    if as_json:
        emit_json(
            {
                "text": text,
                "tokens": len(ids),
                "bytes": len(text.encode()),
                "round_trip": returns,
                "pieces": [asdict(each) for each in pieces],
            }
        )
        return
    print_pieces(pieces)
    _note(len(text.encode()), len(ids), returns)


def _note(size: int, count: int, returns: bool) -> None:
    from kataribe.cli.output import note

    note(f"{count} tokens for {size} bytes ({size / max(1, count):.2f} bytes a token)")
    if not returns:
        note("The text does not come back exactly from these tokens.")


def _about(name: str, folder: bool, path: Any, tokenizer: Any) -> dict[str, Any]:
    from kataribe.make.tokens.fingerprint import tokenizer_sha256
    from kataribe.make.tokens.train import read_card

    card = read_card(path) if folder else {}
    plan = card.get("plan", {})
    special = sorted(tokenizer.special_ids)
    return {
        "name": name,
        "path": str(path),
        "kind": plan.get("kind"),
        "pieces": tokenizer.vocab_size,
        "special": tokenizer.pieces(special[:12]) + (["..."] if len(special) > 12 else []),
        "chat_template": tokenizer.chat_template is not None,
        "llama.cpp": card.get("ggml_pre"),
        "corpus": card.get("corpus"),
        "documents": card.get("documents"),
        "text_bytes": card.get("text_bytes"),
        "used_bytes": card.get("used_bytes"),
        "seconds": card.get("seconds"),
        "sha256": tokenizer_sha256(tokenizer),
    }
