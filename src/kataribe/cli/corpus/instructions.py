"""`kataribe corpus instructions`: questions and answers to tune on."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def instructions(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the data.")],
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="stdlib, or pairs:FILE with en and ja [default: stdlib]."),
    ] = None,
    valid_share: Annotated[
        float, typer.Option("--valid-share", help="Share of the items to hold out.")
    ] = 0.05,
    most: Annotated[
        int | None, typer.Option("--most", help="Most conversations of each source.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace data of this name.")] = False,
    as_json: options.Json = False,
) -> None:
    """Make instruction data: questions about Python's functions, or translations."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.corpus.words import conversation_lines
    from kataribe.cli.output import emit_json, say
    from kataribe.make.text.corpus import check_name
    from kataribe.make.text.instructions import InstructionChoices, make_instructions

    choices = InstructionChoices(tuple(source or ["stdlib"]), valid_share, most)
    target = Workspace.locate().corpora / check_name(name)
    made = make_instructions(choices, target, replace_old=replace)
    if as_json:
        emit_json(made.card)
        return
    say(f"{name} is here: {made.path}")
    for line in conversation_lines(made.card):
        say(line)
