"""`kataribe embed`: texts to vectors, and how near they are to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.base.encoders import EmbedKind

_SHOWN = 6
"""Numbers of a vector that a person sees."""
_COMPARED = 12
"""Texts up to which their likeness is shown as a table."""


def embed(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="Texts; without any, each line of standard input."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model of vectors [default: e5-small].")
    ] = None,
    query: Annotated[
        bool, typer.Option("--query", help="The texts are questions (for models that tell).")
    ] = False,
    passage: Annotated[
        bool, typer.Option("--passage", help="The texts are what answers questions.")
    ] = False,
    local: options.Local = False,
    as_json: options.Json = False,
) -> None:
    """Turn texts into vectors, and show how near they are to each other.

    A text of more tokens than the model reads is an error; nothing is cut.

    Example: kataribe embed --json "The cat sleeps" "猫が寝ている"
    """
    from kataribe.base.errors import InputError
    from kataribe.base.settings import load_settings
    from kataribe.cli.encoding import EMBEDDER, embed_texts, given_texts
    from kataribe.cli.output import emit_json

    if query and passage:
        raise InputError("--query and --passage exclude each other; give one of them.")
    kind: EmbedKind | None = "query" if query else "passage" if passage else None
    name = model or EMBEDDER
    words = given_texts(texts or ())
    vectors, tokens = embed_texts(load_settings(), name, words, kind, local=local)
    if as_json:
        data = [{"text": t, "embedding": v} for t, v in zip(words, vectors, strict=True)]
        emit_json({"model": name, "kind": kind, "tokens": tokens, "data": data})
        return
    _show(words, vectors)


def _show(texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
    from kataribe.cli.output import say

    for place, (text, vector) in enumerate(zip(texts, vectors, strict=True), start=1):
        numbers = " ".join(f"{value:+.4f}" for value in vector[:_SHOWN])
        say(f"{place:>3}  {numbers} ... ({len(vector)} numbers)  {text[:60]}")
    if not 2 <= len(vectors) <= _COMPARED:
        return
    say("\nLikeness (cosine):")
    for place, one in enumerate(vectors, start=1):
        row = " ".join(f"{_cosine(one, other):.3f}" for other in vectors)
        say(f"{place:>3}  {row}")


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    lengths = sum(a * a for a in one) * sum(b * b for b in other)
    return float(product / lengths**0.5) if lengths else 0.0
