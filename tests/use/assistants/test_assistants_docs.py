"""Every recipe that the documentation shows is one."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from kataribe.use.assistants.looking import look
from kataribe.use.assistants.recipe import Recipe

ROOT = Path(__file__).resolve().parents[3]
_BLOCK = re.compile(r"```ya?ml\n(?P<fenced>(?s:.*?))```|(?<=\n\n)(?P<set_in>(?: {4}.*\n|\n)+)")
_FIELD = re.compile(rf"(?:{'|'.join(Recipe.model_fields)}):(?:\s|$)", re.MULTILINE)


def recipes() -> list[tuple[str, str]]:
    """Blocks that begin with a field of a recipe, with where they stand."""
    found = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            said = textwrap.dedent(block["fenced"] or block["set_in"])
            if _FIELD.match(said):
                line = text.count("\n", 0, block.start()) + 1
                found.append((f"{page.name}:{line}", said))
    return found


def test_recipes_are_found() -> None:
    pages = [where.partition(":")[0] for where, _ in recipes()]
    assert pages.count("assistants.md") >= 2
    assert "mcp.md" in pages


@pytest.mark.parametrize(("where", "text"), recipes())
def test_a_recipe_in_the_documentation_is_read_without_a_problem(where: str, text: str) -> None:
    problems = look(text, where).problems
    # Which MCP servers there are is known only where somebody has some.
    assert [each for each in problems if "is an MCP server's" not in each.message] == []


def test_a_recipe_that_does_not_hold_would_be_seen() -> None:
    assert look("model: x\nguards: {language: {expect: ja}}\n", "x").problems
