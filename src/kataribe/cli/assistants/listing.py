"""`kataribe assistants list`: who there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kataribe.cli import options
from kataribe.cli.assistants.named import open_book

if TYPE_CHECKING:
    from kataribe.use.assistants.book import Kept


def list_assistants(json: options.Json = False) -> None:
    """List the assistants: those that come with Kataribe, and your own.

    Each is asked for by its name like a model.

    Example: kataribe ask --model translator "お世話になっております。"
    """
    from kataribe.cli.output import emit_json, table

    found = [_told(kept) for kept in open_book().all().values()]
    if json:
        emit_json(found)
        return
    rows = [
        (
            each["name"],
            "yours" if each["own"] else "ready",
            ", ".join(each["models"]) or "default",
            each["problem"] or each["about"],
        )
        for each in found
    ]
    table(("NAME", "", "MODEL", "ABOUT"), rows)


def _told(kept: Kept) -> dict[str, Any]:
    from kataribe.base.errors import KataribeError

    head: dict[str, Any] = {"name": kept.name, "own": kept.own, "problem": ""}
    try:
        recipe = kept.recipe()
    except KataribeError as error:
        return {**head, "problem": error.message, "title": kept.name, "about": "", "models": []}
    return {
        **head,
        "title": recipe.title.in_language("en") or kept.name,
        "about": recipe.about.in_language("en"),
        "models": list(recipe.models()),
        "technique": recipe.technique.name if recipe.technique else None,
        "tools": [tool.name for tool in recipe.tools],
        "memory": recipe.memory,
        "guards": sorted(name for name, value in recipe.guards.items() if value is not False),
    }
