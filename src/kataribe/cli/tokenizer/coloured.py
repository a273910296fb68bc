"""Pieces of a text, each on a colour of its own, so that one sees where they end."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from kataribe.make.tokens.shown import ShownPiece

COLOURS = ("black on cyan", "black on yellow", "black on green", "black on magenta")
SPECIAL = "bold white on red"


def visible(piece: ShownPiece) -> str:
    """A piece's text with its line ends and tabs to be seen."""
    shown = piece.text.replace("\r", "␍").replace("\n", "⏎").replace("\t", "⇥")
    return "".join(
        each if each.isprintable() or each == " " else f"<{ord(each):X}>" for each in shown
    )


def print_pieces(pieces: Sequence[ShownPiece]) -> None:
    """In a terminal side by side in colours; down a pipe one line each: id, piece, text."""
    from kataribe.cli.output import say

    if not sys.stdout.isatty():
        for each in pieces:
            say(f"{each.id}\t{each.piece}\t{json.dumps(each.text, ensure_ascii=False)}")
        return
    from rich.console import Console

    Console().print(coloured(pieces))


def coloured(pieces: Sequence[ShownPiece]) -> Text:
    """The pieces as one coloured line, broken where the text breaks."""
    from rich.text import Text

    line = Text()
    for index, each in enumerate(pieces):
        line.append(visible(each), SPECIAL if each.special else COLOURS[index % len(COLOURS)])
        if each.text.endswith("\n"):
            line.append("\n")
    return line
