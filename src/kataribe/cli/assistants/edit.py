"""`kataribe assistants edit`: changes a recipe in the user's own editor."""

from __future__ import annotations

import typer

from kataribe.cli.assistants.named import Name, open_book


def edit(name: Name) -> None:
    """Change a recipe in your editor ($VISUAL or $EDITOR).

    One that comes with Kataribe becomes your own by it. What does not hold is said and opened
    again with all that was typed, until it holds or you leave it.
    """
    from kataribe.base.errors import KataribeError
    from kataribe.cli.editor import edited
    from kataribe.cli.output import note

    book = open_book()
    text = before = book.find(name).text
    while True:
        changed = edited(text, "recipe.yaml")
        if changed == before:
            note("Nothing was changed.")
            return
        text = changed
        try:
            kept = book.write(name, text)
        except KataribeError as error:
            note(error.message)
            if not typer.confirm("Open it again?", default=True, err=True):
                raise
            continue
        note(f"{kept.path} is written.")
        return
