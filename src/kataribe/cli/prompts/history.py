"""`kataribe prompts history`: which version has answered what."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf, when

if TYPE_CHECKING:
    from kataribe.store.prompt_answers import Answer


def history(
    name: options.PromptName,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Most answers.")] = 20,
    user: options.PromptOwner = None,
    as_json: options.Json = False,
) -> None:
    """Show what a prompt, or one version of it, was answered with, newest first."""
    from kataribe.cli.output import emit_json, note, table

    with open_shelf(user) as shelf:
        shown = shelf.find(name)
        number = shown.version.number if "@" in name else None
        found = shelf.library.answers(shelf.owner, shown.prompt.id, number=number, limit=limit)
    if as_json:
        emit_json([{**dataclasses.asdict(each), "prompt": shown.prompt.name} for each in found])
    elif found:
        rows = [
            (
                f"{shown.prompt.name}@{each.number}",
                when(each.created_at),
                each.model,
                _asked(each),
                " ".join(each.text.split())[:60],
            )
            for each in found
        ]
        table(("VERSION", "WHEN", "MODEL", "ASKED WITH", "ANSWER"), rows)
    else:
        note(f"{shown.prompt.name} has answered nothing yet.")


def _asked(answer: Answer) -> str:
    given = [f"{name}={' '.join(value.split())[:20]}" for name, value in answer.given.items()]
    how = [] if answer.technique is None else [str(answer.technique["name"])]
    return ", ".join([*how, *given]) or "-"
