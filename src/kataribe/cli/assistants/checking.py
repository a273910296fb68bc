"""`kataribe assistants test`: whether its replies are what the recipe says they must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kataribe.cli import options
from kataribe.cli.assistants.named import Name, open_book

if TYPE_CHECKING:
    from kataribe.use.assistants.testing import Checked


def run_tests(name: Name, local: options.Local = False, json: options.Json = False) -> None:
    """Ask the questions under `tests:` and look at the replies. Exit code 1 when one fails."""
    import asyncio

    from kataribe.base.errors import InputError
    from kataribe.base.lm import LM
    from kataribe.base.settings import load_settings
    from kataribe.cli.answering import open_lm
    from kataribe.cli.output import emit_json, say
    from kataribe.use.assistants.testing import run_checks

    checks = open_book().find(name).recipe().tests
    if not checks:
        raise InputError(
            f"The recipe of {name} has no tests. Add some: kataribe assistants edit {name}",
            param="tests",
        )

    async def run(lm: LM) -> list[Checked]:
        found = []
        async for one in run_checks(lm, checks):
            found.append(one)
            if not json:
                say(_line(one))
        return found

    with open_lm(load_settings(model=name), local=local) as lm:
        found = asyncio.run(run(lm))
    if json:
        emit_json(
            [{"ask": one.check.ask, "reply": one.reply, "failed": one.failed} for one in found]
        )
    failed = sum(bool(one.failed) for one in found)
    if not json:
        say(f"{len(found) - failed} of {len(found)} hold.")
    if failed:
        raise typer.Exit(1)


def _line(one: Checked) -> str:
    if not one.failed:
        return f"ok     {one.check.ask}"
    why = "; ".join(one.failed)
    return f"failed {one.check.ask}\n       {why}\n       it said: {one.reply[:300]}"
