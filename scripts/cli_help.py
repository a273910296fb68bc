"""The help of every command as one Markdown page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from kataribe.cli import exits
from kataribe.cli.app import app

HEAD = """# The command line

Written by `make docs` from the commands themselves.

Words go to standard output, everything else to standard error; `--json` prints one JSON document
where a program would read it. A line that begins with `kataribe:` says what went wrong and what to
do; `--verbose` shows where it came from. Settings come from the flag, else from the environment
(`KATARIBE_*`), else from `kataribe.toml` in the workspace, else from the default.

| exit code | meaning |
|---|---|
"""


def page() -> str:
    """docs/cli.md."""
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in exits.MEANING.items())
    return HEAD + rows + "".join(_sections(get_command(app), ["kataribe"]))


def _sections(command: Any, path: list[str], above: Any = None) -> Iterator[str]:
    context = command.make_context(path[-1], [], parent=above, resilient_parsing=True)
    context.max_content_width = context.terminal_width = 90
    shown = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"\n## `{' '.join(path)}`\n\n```text\n{shown.strip()}\n```\n"
    for name, below in getattr(command, "commands", {}).items():
        yield from _sections(below, [*path, name], context)
