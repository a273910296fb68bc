"""`kataribe assistants tools`: what a recipe can name under `tools:`."""

from __future__ import annotations

from kataribe.cli import options


def tools(json: options.Json = False) -> None:
    """List the tools that recipes can name, and which of them run without being asked for."""
    from kataribe.cli.output import emit_json, table
    from kataribe.use.assistants.toolbox import KINDS

    if json:
        emit_json(
            [{"name": k.name, "about": k.line, "approval": k.approval} for k in KINDS.values()]
        )
        return
    table(
        ("NAME", "APPROVAL", "WHAT IT DOES"),
        [(kind.name, kind.approval, kind.line) for kind in KINDS.values()],
    )
