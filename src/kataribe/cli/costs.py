"""`kataribe costs`: what answers used, by day and model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.prove.ops.trace_store import By, Cost

_FIELDS = ("day", "model", "user")


def costs(
    by: Annotated[
        str, typer.Option("--by", help="What has a line of its own: day, model, user.")
    ] = "day,model",
    days: Annotated[
        int, typer.Option("--days", min=1, max=3660, help="So many days back, today's too.")
    ] = 30,
    as_json: options.Json = False,
) -> None:
    """Show the tokens, calls and money that answers have used, the newest day first.

    Money is in US dollars, by the prices of the hosts; models of this machine cost none. A line
    with `+` holds calls whose price nobody knows.
    """
    import datetime as dt

    from kataribe.base.workspace import Workspace
    from kataribe.cli.metering import trace_store
    from kataribe.cli.output import emit_json, note, table

    wanted = _wanted(by)
    first = dt.datetime.now().astimezone().date() - dt.timedelta(days=days - 1)
    since = dt.datetime.combine(first, dt.time()).astimezone().timestamp()
    store = trace_store(Workspace.locate())
    found = store.costs(wanted, since)
    if as_json:
        emit_json([_told(cost, wanted) for cost in found])
        return
    if not found:
        note("Nothing was used in these days.")
        return
    heads = (*(each.upper() for each in wanted), "CALLS", "READ", "CACHED", "DRAWN", "DOLLARS")
    table(heads, [_row(cost, wanted) for cost in found])
    lost = store.lost()
    if lost:
        note(f"{lost:,} spans came faster than they could be written; what they used is counted.")


def _wanted(by: str) -> list[By]:
    from kataribe.base.errors import InputError

    given = [each.strip() for each in by.split(",")]
    for each in given:
        if each not in _FIELDS:
            raise InputError(f"--by has {each!r:.80}; there are {', '.join(_FIELDS)}.", param="by")
    return [each for each in _FIELDS if each in given]  # type: ignore[misc]


def _told(cost: Cost, wanted: list[By]) -> dict[str, Any]:
    used = cost.used
    return {
        **{each: getattr(cost, each) for each in wanted},
        "calls": used.steps,
        "prompt_tokens": used.prompt_tokens,
        "cached_tokens": used.cached_tokens,
        "completion_tokens": used.completion_tokens,
        "dollars": used.dollars,
        "unpriced": used.unpriced,
    }


def _row(cost: Cost, wanted: list[By]) -> tuple[str, ...]:
    used = cost.used
    return (
        *(getattr(cost, each) or "-" for each in wanted),
        f"{used.steps:,}",
        f"{used.prompt_tokens:,}",
        f"{used.cached_tokens:,}",
        f"{used.completion_tokens:,}",
        f"{used.dollars:.6f}{'+' if used.unpriced else ''}",
    )
