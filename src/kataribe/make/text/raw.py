"""A text as it was read, before anything is decided about it, and what readers need to know."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from kataribe.make.text.tally import Tally

PIECE = 500_000
"""Most characters of a document; a longer text becomes several, cut between paragraphs."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One text as its file holds it."""

    id: str
    """The file's label, with `:LINE` for a line of JSON and `#N` for the Nth piece."""
    text: str
    """The text, decoded but not normalised."""
    source: str
    """The source's name, as it was asked for."""
    code: bool = False
    """Whether the file is source code."""
    language: str | None = None
    """The language that the file itself tells, if it does."""
    whole: str = ""
    """The id of the long text that this is a piece of; empty for a whole text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read."""

    source: str
    """The source's name, put into every text."""
    tally: Tally = dataclasses.field(default_factory=Tally)
    """Where everything that happens is counted."""
    field: str = "text"
    """The field of JSON lines, or the column of Parquet, that holds the text."""
    piece: int = PIECE
    """Most characters of a document."""
