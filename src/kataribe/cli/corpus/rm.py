"""`kataribe corpus rm`: remove corpora."""

from __future__ import annotations

from typing import Annotated

import typer


def rm(
    names: Annotated[list[str], typer.Argument(metavar="CORPUS...", help="Corpora to remove.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove corpora; what was made from them stays."""
    import sys

    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import say
    from kataribe.make.text.corpus import find_corpus_folder, remove_corpus

    corpora = Workspace.locate().corpora
    for name in names:  # all of them, before the first one goes
        find_corpus_folder(corpora, name)
    asks = not yes and sys.stdin is not None and sys.stdin.isatty()
    if asks and not typer.confirm(f"Remove {', '.join(names)}?"):
        raise typer.Exit(1)
    for name in names:
        remove_corpus(corpora, name)
        say(f"{name} is removed.")
