"""`kataribe assistants new`: a recipe of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli.assistants.named import Name, open_book

_FRESH = """\
title: {{en: {name}, ja: {name}}}
about: {{en: '', ja: ''}}
system: |
  {system}
sampling: {{temperature: 0.7}}
guards: {{standard: true}}
starters: []
tests: []
"""


def new(
    name: Name,
    like: Annotated[
        str | None, typer.Option("--like", help="Begin with a copy of this assistant.")
    ] = None,
    system: Annotated[
        str, typer.Option("--system", "-s", help="What it is told before every conversation.")
    ] = "You are a helpful assistant. Answer in the language of the question.",
    file: Annotated[
        typer.FileText | None, typer.Option("--from", help="Take this recipe (- for stdin).")
    ] = None,
) -> None:
    """Make an assistant. What does not hold is refused, and nothing is written.

    Example: kataribe assistants new tutor --system "You teach mathematics. Never give the answer."
    """
    from kataribe.base.errors import InputError
    from kataribe.cli.output import note, say

    book = open_book()
    known = book.all()
    if name in known and known[name].own:
        raise InputError(
            f"There is an assistant {name} of yours already. Change it with: "
            f"kataribe assistants edit {name}",
            param="name",
        )
    if file is not None:
        text = file.read()
    elif like is not None:
        text = book.find(like).text
    else:
        text = _FRESH.format(name=name, system=system.replace("\n", "\n  "))
    kept = book.write(name, text)
    say(str(kept.path))
    note(f"Talk with it: kataribe assistants chat {name}")
