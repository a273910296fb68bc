"""`kataribe corpus instructions`: questions and answers to tune on."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options


def instructions(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the data.")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="stdlib, stdlib:ja, manuals:SOURCE (debian:PACKAGE, a folder, ...) or pairs:FILE "
            "(en and ja); can be repeated [default: stdlib].",
        ),
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
    """Make instruction data: questions on Python's functions, on manual pages, or translations.

    Those on manual pages and of stdlib:ja are in Japanese. Whatever a question is about is either
    trained on or held out as a whole, and no answer is on both sides, unless it stands in the
    question.
    """
    from kataribe.base.workspace import Workspace
    from kataribe.cli.corpus.words import conversation_lines
    from kataribe.cli.output import emit_json, note, say
    from kataribe.make.text.corpus import check_name
    from kataribe.make.text.instructions import InstructionChoices, make_instructions

    workspace = Workspace.locate()
    choices = InstructionChoices(
        tuple(source or ["stdlib"]), valid_share, most, workspace.downloads / "text"
    )
    target = workspace.corpora / check_name(name)
    made = make_instructions(choices, target, replace_old=replace, report=note)
    if as_json:
        emit_json(made.card)
        return
    say(f"{name} is here: {made.path}")
    for line in conversation_lines(made.card):
        say(line)
