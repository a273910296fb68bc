"""`kataribe assistants edit`: changes a recipe in the user's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import typer

from kataribe.cli.assistants.named import Name, open_book


def edit(name: Name) -> None:
    """Change a recipe in your editor ($VISUAL or $EDITOR).

    One that comes with Kataribe becomes your own by it. What does not hold is said and opened
    again with all that was typed, until it holds or you leave it.
    """
    from kataribe.base.errors import KataribeError
    from kataribe.cli.output import note

    book = open_book()
    text = before = book.find(name).text
    while True:
        changed = _edited(text)
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


def _edited(text: str) -> str:
    """The text after the user's editor has had it; raises `InputError` where there is none."""
    from kataribe.base.errors import InputError

    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*words, str(path)], check=False)  # noqa: S603 - their own choice
        except OSError as error:
            raise InputError(
                f"The editor {words[0]!r} does not start: {error.strerror}. Name yours in EDITOR."
            ) from error
        if done.returncode:
            raise InputError(f"The editor {words[0]!r} ended with {done.returncode}.")
        return path.read_text(encoding="utf-8")
