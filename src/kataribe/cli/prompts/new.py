"""`kataribe prompts new`: a prompt of one's own."""

from __future__ import annotations

import sys
from typing import Annotated, TypeAlias

import typer

from kataribe.cli import options
from kataribe.cli.prompts.kept import open_shelf

Words: TypeAlias = Annotated[
    str | None, typer.Option("--text", help="What it says; {{name}} is a variable.")
]
File: TypeAlias = Annotated[
    typer.FileText | None, typer.Option("--from", help="Take the text of this file (- for stdin).")
]


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.")],
    text: Words = None,
    file: File = None,
    note: options.VersionNote = "",
    user: options.PromptOwner = None,
) -> None:
    """Make a prompt: from --text, a file, what is piped in, or in your editor.

    Example: kataribe prompts new translate --text "Translate into {{language}}: {{text}}"
    """
    from kataribe.cli import output

    with open_shelf(user) as shelf:
        shown = shelf.library.create(
            shelf.owner, name, given_text(text, file, "", f"{name[:50]}.txt"), note
        )
    output.say(shown.name)
    variables = ", ".join(shown.version.variables) or "none"
    output.note(f"Variables: {variables}. Run it: kataribe prompts run {shown.prompt.name}")


def given_text(text: str | None, file: typer.FileText | None, before: str, name: str) -> str:
    """What a command was given as a prompt's text.

    Raises `InputError` for two texts at once. Without any, and with nobody at the terminal, what
    is piped in counts; else the editor opens with the text of `before`.
    """
    from kataribe.base.errors import InputError
    from kataribe.cli.editor import edited
    from kataribe.cli.given import check_text, piped_text

    if text is not None and file is not None:
        raise InputError("--text and --from both say what the prompt says. Give one.", param="text")
    if text is not None:
        return check_text(text, "The prompt")
    if file is not None:
        return str(file.read())
    piped = piped_text()
    if piped:
        return piped
    if not _has_terminal():
        raise InputError(
            "A prompt needs words. Give them with --text or --from, or pipe them in.", param="text"
        )
    return edited(before, name.replace("/", "_"))


def _has_terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
