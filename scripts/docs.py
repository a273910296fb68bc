"""Writes the pages that are drawn from the code; `--check` says which of them are stale.

The map of the house in README.md comes from the docstrings of `src/kataribe`. Run by `make docs`.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that it runs as a script, too

from scripts import architecture  # noqa: E402

PACKAGE = ROOT / "src" / "kataribe"
BEGIN = "<!-- map: written by `make docs` -->\n"
END = "<!-- end of map -->\n"


def house_map() -> str:
    """The tree of `src/kataribe`: each folder and file with the first line of its docstring."""
    lines = ["src/kataribe/"]
    for path, depth in _tree(PACKAGE, 1):
        indent = "  " * depth
        name = f"{path.name}/" if path.is_dir() else path.name
        source = path / "__init__.py" if path.is_dir() else path
        lines.append(f"{indent}{name:<{26 - 2 * depth}} {_first_line(source)}".rstrip())
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _tree(folder: Path, depth: int) -> Iterator[tuple[Path, int]]:
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    folders = [path for path in folder.iterdir() if (path / "__init__.py").is_file()]
    for path in [*sorted(folders), *sorted(files)]:
        yield path, depth
        if path.is_dir():
            yield from _tree(path, depth + 1)


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".:")


def readme() -> str:
    """README.md with the map as the tree is now."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"README.md has lost its marks {BEGIN.strip()} and {END.strip()}.")
    return f"{before}{begin}\n{house_map()}\n{end}{after}"


def map_complaints() -> list[str]:
    """What is wrong with the READMEs' maps."""
    japanese = (ROOT / "README.ja.md").read_text(encoding="utf-8")
    folders = (path for path, _ in _tree(PACKAGE, 1) if path.is_dir())
    rooms = sorted(folder.relative_to(PACKAGE).as_posix() for folder in folders)
    complaints = [
        f"README.ja.md: the map lacks `{room}/`."
        for room in rooms
        if room.replace("/", ".") in {*architecture.ROOMS, *architecture.WINGS}
        if f"`{room}/`" not in japanese
    ]
    if readme() != (ROOT / "README.md").read_text(encoding="utf-8"):
        complaints.append("README.md: the map of the house is stale; run `make docs`.")
    return complaints


def command_line() -> str:
    """docs/cli.md."""
    from scripts.cli_help import page

    return page()


def api() -> str:
    """docs/openapi.json, from which the studio's types are made."""
    from kataribe.serve.app import openapi_document

    return json.dumps(openapi_document(), indent=2, ensure_ascii=False) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "README.md": readme,
    "docs/cli.md": command_line,
    "docs/openapi.json": api,
}


def main() -> int:
    """Writes the stale pages, or with `--check` names them."""
    checking = "--check" in sys.argv[1:]
    stale = 0
    for name, draw in PAGES.items():
        path, text = ROOT / name, draw()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        print(f"{name} is stale; run `make docs`." if checking else f"Wrote {name}.")
        if not checking:
            path.write_text(text, encoding="utf-8")
    return 1 if checking and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
