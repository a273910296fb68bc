"""`kataribe corpus show`: how a corpus came to be, and what is in it."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def show(
    name: Annotated[str, typer.Argument(metavar="CORPUS", help="The corpus's name.")],
    samples: Annotated[
        bool, typer.Option("--samples/--no-samples", help="Show samples of what was dropped.")
    ] = True,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare the files with their checksums.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show a corpus's card: sources, choices, counts, and what was dropped and why."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.corpus.words import (
        chosen_languages,
        conversation_lines,
        dropped_lines,
        encodings_line,
        kept_lines,
        language_lines,
        unread_line,
    )
    from kataribe.cli.output import emit_json, say
    from kataribe.make.text.corpus import find_corpus

    corpus = find_corpus(Workspace.locate().corpora, name)
    if verify:
        corpus.verify()
    card = corpus.card
    if as_json:
        emit_json(card)
        return
    say(f"{name}: {corpus.path}, made {card['made_at']} in {card['seconds']} s")
    chosen = ", ".join(
        f"{key} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in card["choices"].items()
        if value not in ([], None)
    )
    say(f"choices: {chosen}")
    if "read" not in card:  # instruction data
        for line in conversation_lines(card):
            say(line)
        return
    read = card["read"]
    say(f"read: {read['files']:,} files, {read['bytes']:,} bytes, {read['documents']:,} texts")
    if (unread := unread_line(card)) is not None:
        say(unread)
    say(encodings_line(card) or "Encodings of the files: UTF-8.")
    for line in (*chosen_languages(card), *kept_lines(card), *language_lines(card)):
        say(line)
    if (leaks := card.get("leak_check")) is not None:  # instructions are split by name
        say(
            "leak check: no validation text in training; of "
            f"{leaks['windows_of_50']:,} windows of 50 characters "
            f"{leaks['windows_found_in_train']:,} occur there"
        )
    for line in dropped_lines(card, samples=samples):
        say(line)
    if verify:
        say("The files have the checksums of the card.")
