"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Model: TypeAlias = Annotated[
    str | None, typer.Option("--model", "-m", help="Model to ask [default: KATARIBE_MODEL].")
]
System: TypeAlias = Annotated[
    str | None, typer.Option("--system", "-s", help="What the model is told before the chat.")
]
Temperature: TypeAlias = Annotated[
    float | None,
    typer.Option("--temperature", "-t", help="0 takes the likeliest token; up to 2."),
]
TopP: TypeAlias = Annotated[
    float | None, typer.Option("--top-p", help="Only the likeliest tokens up to this probability.")
]
MaxTokens: TypeAlias = Annotated[
    int | None, typer.Option("--max-tokens", "-n", help="Most tokens of a reply.")
]
Seed: TypeAlias = Annotated[int | None, typer.Option("--seed", help="Makes a reply repeatable.")]
Local: TypeAlias = Annotated[
    bool, typer.Option("--local", help="Load the model here, even when a server runs.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Context: TypeAlias = Annotated[
    int | None, typer.Option("--ctx", help="Context in tokens [default: the model's own].")
]
Threads: TypeAlias = Annotated[
    int | None, typer.Option("--threads", help="Processor threads [default: all cores].")
]
Technique: TypeAlias = Annotated[
    str | None,
    typer.Option("--technique", help="How to ask; see `kataribe prompts techniques`."),
]
Options: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="For the technique, or as NAME.KEY=VALUE for a tool or a guard; repeatable.",
    ),
]
Examples: TypeAlias = Annotated[
    Path | None,
    typer.Option("--examples", help='JSON lines: {"question": "...", "answer": "..."}.'),
]
Documents: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--documents",
        help="Text file or folder to search, for retrieval or the tool documents; repeatable.",
    ),
]
Tools: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        metavar="NAME,...",
        help="What the model may use; see `kataribe assistants tools`.",
    ),
]
Approve: TypeAlias = Annotated[
    str,
    typer.Option("--approve", help="Tools that need consent: ask, always or never let them run."),
]
Guards: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--guards",
        metavar="NAME,...",
        help="Checks on what comes in and goes out, such as standard (docs/guards.md).",
    ),
]
Steps: TypeAlias = Annotated[
    int | None, typer.Option("--steps", help="Most calls of models in all.")
]
Tokens: TypeAlias = Annotated[
    int | None, typer.Option("--tokens", help="Most tokens in all, read and drawn.")
]
Seconds: TypeAlias = Annotated[float | None, typer.Option("--seconds", help="Most seconds.")]
Money: TypeAlias = Annotated[
    float | None, typer.Option("--money", help="Most US dollars; the model's price must be known.")
]
Quiet: TypeAlias = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only the answer, without its steps.")
]
McpFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--file",
        help="A file with mcpServers, such as another program's [default: mcp.json of the "
        "workspace].",
        dir_okay=False,
    ),
]
PromptName: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="The prompt; without a version the newest.")
]
PromptOwner: TypeAlias = Annotated[
    str | None, typer.Option("--user", help="Whose prompts, where people have accounts.")
]
VersionNote: TypeAlias = Annotated[
    str, typer.Option("--note", help="What is new in this version, in a line.")
]
Variables: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="NAME=VALUE", help="A variable's value; repeatable."),
]
VariableFiles: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--var-file", metavar="NAME=FILE", help="A value out of a file; repeatable."),
]
