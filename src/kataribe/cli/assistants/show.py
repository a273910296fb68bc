"""`kataribe assistants show`: a recipe as it stands."""

from __future__ import annotations

from kataribe.cli.assistants.named import Name, open_book


def show(name: Name) -> None:
    """Print an assistant's recipe.

    Example: kataribe assistants show translator > mine.yaml
    """
    from kataribe.cli.output import say

    say(open_book().find(name).text, end="")
