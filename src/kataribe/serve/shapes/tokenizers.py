"""Tokenizers of the workspace: what there are, what they make of a text, and their comparison."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Incoming, Outgoing, Positive

MOST_TEXT = 10_000
"""Characters whose pieces are shown at once."""

TokenizerKind = Literal["bpe", "wordpiece", "unigram"]
_Name = Annotated[str, Field(min_length=1, max_length=128)]


class TokenizerShown(Outgoing):
    """One tokenizer. Null: its folder does not say."""

    name: str
    kind: str | None
    pieces: int | None
    corpus: str | None
    problem: str = Field(description="Why it cannot be opened; empty where it can.")


class TokenizerList(Outgoing):
    """By name, with the corpora on which others can be trained."""

    object: Literal["list"] = "list"
    data: list[TokenizerShown]
    corpora: list[str]


class CutText(Incoming):
    """Cut a text into pieces by several tokenizers."""

    names: Annotated[list[_Name], Field(min_length=1, max_length=12)]
    text: Annotated[str, Field(max_length=MOST_TEXT)]


class Piece(Outgoing):
    """One token of a text."""

    id: int
    piece: str = Field(description="As the vocabulary writes it.")
    text: str = Field(description="What it stands for; bytes as <E3 81>.")
    special: bool


class Pieces(Outgoing):
    """What one tokenizer makes of the text."""

    name: str
    bytes_per_token: float | None
    returns: bool = Field(description="The tokens give the very text back.")
    pieces: list[Piece]


class PiecesList(Outgoing):
    """In the order in which they were asked for."""

    object: Literal["list"] = "list"
    data: list[Pieces]


class CompareTokenizers(Incoming):
    """Train all kinds at several sizes on a corpus and measure them, as a job."""

    corpus: _Name
    kinds: Annotated[list[TokenizerKind], Field(min_length=1, max_length=3)]
    sizes: Annotated[list[Positive], Field(min_length=1, max_length=6)]
    text: Annotated[str, Field(max_length=1000)] = ""
