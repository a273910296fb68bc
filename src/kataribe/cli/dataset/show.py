"""`kataribe dataset show`: a batch as it lies in memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.make.tokens.looking import Cell, ShownBatch


def show(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A corpus, or a file of JSON lines.")],
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", help="A tokenizer, a model, or a folder or file.")
    ],
    objective: Annotated[
        Literal["pretrain", "masked", "denoise", "chat", "classify", "tag", "embed"],
        typer.Option("--objective", help="What the batch is for."),
    ] = "pretrain",
    length: Annotated[int, typer.Option("--length", help="Places in a row.")] = 64,
    rows: Annotated[int, typer.Option("--rows", help="Rows in the batch.")] = 2,
    step: Annotated[int, typer.Option("--step", help="Which batch; counts from 0.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="The run's seed.")] = 0,
    too_long: Annotated[
        Literal["refuse", "drop", "cut"],
        typer.Option("--too-long", help="What becomes of examples longer than a row."),
    ] = "refuse",
    as_json: options.Json = False,
) -> None:
    """Print a batch: ids beside pieces beside what is taught, positions and documents."""
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import Waiting, emit_json
    from kataribe.cli.tokenizer.found import corpus_path, tokenizer_path
    from kataribe.make.tokens import load_tokenizer
    from kataribe.make.tokens.looking import BatchQuestion, look

    question = BatchQuestion(
        corpus_path(data), objective, length, rows, step, seed, too_long,
        Workspace.locate().datasets,
    )  # fmt: skip
    opened = load_tokenizer(tokenizer_path(tokenizer))
    with Waiting() as line:
        found = look(
            question, opened, lambda done, total: line.show(f"{100 * done // max(1, total)} %")
        )
    if as_json:
        emit_json(asdict(found))
        return
    _print(found)


def _print(found: ShownBatch) -> None:
    from kataribe.cli.output import note, say

    for side, rows in found.sides.items():
        for number, row in enumerate(rows):
            say(f"{side}, row {number}")
            _print_row(row)
    note(
        f"Padding takes {found.waste:.1%} of this batch. An epoch has {found.rows_in_all:,} rows; "
        f"after this batch {found.epoch:.2f} epochs are done."
    )


def _print_row(row: Sequence[Cell]) -> None:
    heads = ("PLACE", "ID", "PIECE", "TARGET", "TEACHES", "POSITION", "DOCUMENT")
    lines = [
        (
            str(place),
            str(cell.id),
            _seen(cell.text),
            "" if cell.target is None else str(cell.target),
            _seen(cell.says),
            str(cell.position),
            "padding" if cell.document < 0 else str(cell.document),
        )
        for place, cell in enumerate(row)
    ]
    if not sys.stdout.isatty():
        from kataribe.cli.output import table

        table(heads, lines)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from kataribe.cli.tokenizer.coloured import COLOURS, SPECIAL

    drawn = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for cell, line in zip(row, lines, strict=True):
        place, token, piece, target, teaches, position, document = line
        colour = SPECIAL if cell.special else COLOURS[max(0, cell.document) % len(COLOURS)]
        style = "dim" if cell.document < 0 else colour
        drawn.add_row(
            Text(place, "dim"), Text(token), Text(piece, style), Text(target, "bold green"),
            Text(teaches, "bold green"), Text(position), Text(document),
        )  # fmt: skip
    Console().print(drawn)


def _seen(text: str) -> str:
    """A text on one line: blanks, line ends and control characters to be seen."""
    shown = text.replace("\r", "␍").replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣")
    return "".join(each if each.isprintable() else f"<{ord(each):X}>" for each in shown)
