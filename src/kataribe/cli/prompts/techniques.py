"""`kataribe prompts techniques`: ways of asking, and where they come from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kataribe.cli import options


def techniques(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only this one, with its options.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the prompting techniques with their papers, from cheap to dear.

    Example: kataribe ask --technique self-consistency --option paths=5 "..."
    """
    from kataribe.cli.output import emit_json, say, table
    from kataribe.use.prompts.described import described
    from kataribe.use.prompts.registry import entry_of

    wanted = None if name is None else entry_of(name).name
    found = [each for each in described() if wanted in (None, each.name)]
    if as_json:
        emit_json(
            [
                {"name": each.name, "about": each.line, "paper": each.paper, "needs": each.needs}
                | {
                    "options": [
                        {"name": o.name, "schema": o.schema, "default": o.default, "about": o.about}
                        for o in each.options
                    ]
                }
                for each in found
            ]
        )
        return
    if wanted is None:
        table(
            ("NAME", "WHAT IT DOES", "NEEDS", "PAPER"),
            [(each.name, each.line, each.needs or "-", each.paper) for each in found],
        )
        return
    for each in found:
        say(f"{each.name}: {each.line}\n{each.paper}")
        for option in each.options:
            say(f"  {option.name} [{_default(option.default, option.needed)}]  {option.about}")


def _default(value: Any, needed: bool) -> str:
    if needed:
        return "needed"
    return '""' if value == "" else str(value)
