"""`kataribe doctor`: what this machine has, what is wrong, and what to do about it."""

from __future__ import annotations

import typer

from kataribe.cli import options


def doctor(as_json: options.Json = False) -> None:
    """Look this machine over: what works, what does not, and what to do.

    Ends with code 1 when something has to be mended, with 0 when all is well or only could be
    better.
    """
    from kataribe.cli.checks import all_checks
    from kataribe.cli.output import emit_json, say

    signs = {"ok": "ok  ", "warn": "note", "fail": "FAIL"}
    checks = []
    for check in all_checks():
        checks.append(check)
        if not as_json:
            say(f"{signs[check.state]}  {check.name:<12} {check.found}")
            if check.advice:
                say(f"{'':<19}-> {check.advice}")
    if as_json:
        emit_json([check.as_dict() for check in checks])
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)
