"""`kataribe agent run`: works towards a goal until it is reached or a limit is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kataribe.cli import options


def run(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="GOAL", help="What is to be reached.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Go on with this run, as it stands."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File for the result; its log is written beside it."),
    ] = None,
    model: options.Model = None,
    tools: options.Tools = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="TOOL.KEY=VALUE", help="For a tool; repeatable."),
    ] = None,
    approve: options.Approve = "ask",
    tasks: Annotated[int, typer.Option("--tasks", help="Most tasks of a list.")] = 12,
    steps: Annotated[
        int | None,
        typer.Option("--steps", help="Most plans, checks and replies of the model in all."),
    ] = None,
    tokens: options.Tokens = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Most minutes.")] = None,
    money: options.Money = None,
    local: options.Local = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Work towards a goal: it becomes a list of tasks, which are done, checked and revised.

    What happens is shown as it happens, and kept: after Ctrl-C, a crash or a limit, --resume goes
    on from the last finished step. Limits count for the whole run.

    Example: kataribe agent "Compare the three files" --tools files --option files.folder=notes
    """
    from kataribe.cli.agent.work import Wish, begin, go_on
    from kataribe.cli.way import Flags

    flags = Flags(None, option or (), None, (), tools or (), approve)
    seconds = None if minutes is None else minutes * 60
    wish = Wish(
        flags.within(steps, tokens, seconds, money),
        tasks=tasks,
        out=out,
        local=local,
        steps=not (quiet or as_json),
        as_json=as_json,
    )
    if resume is not None:
        go_on(resume, wish, model, words or ())
    else:
        begin(words or (), wish, model)
