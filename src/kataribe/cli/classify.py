"""`kataribe classify`: texts to labels, or to labelled spans."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kataribe.cli import options

_SHOWN = 5
"""Labels of a text that a person sees, the likeliest first."""


def classify(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model of labels; `kataribe models list`.")
    ],
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="Texts; without any, each line of standard input."),
    ] = None,
    local: options.Local = False,
    as_json: options.Json = False,
) -> None:
    """Label texts with a classifier, or spans in them with a tagger.

    Example: kataribe classify --model my-topics "The train is late again"
    """
    from kataribe.base.settings import load_settings
    from kataribe.cli.encoding import classify_texts, given_texts
    from kataribe.cli.output import emit_json

    words = given_texts(texts or ())
    found = classify_texts(load_settings(), model, words, local=local)
    if as_json:
        data = [{"text": text, **one} for text, one in zip(words, found, strict=True)]
        emit_json({"model": model, "data": data})
        return
    for text, one in zip(words, found, strict=True):
        _show(text, one)


def _show(text: str, found: dict[str, Any]) -> None:
    from kataribe.cli.output import say

    say(text)
    if "spans" in found:
        for span in found["spans"]:
            say(f"  {span['score']:.3f}  {span['label']:<12} {span['text']}")
        if not found["spans"]:
            say("  (nothing labelled)")
        return
    ranked = sorted(found["labels"].items(), key=lambda item: -item[1])
    for name, score in ranked[:_SHOWN]:
        say(f"  {score:.3f}  {name}")
    if len(ranked) > _SHOWN:
        say(f"  ... and {len(ranked) - _SHOWN} less likely")
