"""Marked parts of pages in docs/ that a benchmark writes anew; what stands around them stays."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def put(page: Path, name: str, text: str) -> None:
    """Replaces what stands between the marks of `name`, or adds it with its marks at the end."""
    begin, end = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
    whole = page.read_text(encoding="utf-8")
    part = f"{begin}\n{text.strip()}\n{end}"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if found.search(whole):
        whole = found.sub(lambda _: part, whole, count=1)
    else:
        whole = f"{whole.rstrip()}\n\n{part}\n"
    page.write_text(whole, encoding="utf-8")


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
