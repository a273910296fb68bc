"""Everything that a person chooses about a corpus, as one value."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError
from kataribe.make.text.filters import chosen_filters
from kataribe.make.text.normalise import Normal
from kataribe.make.text.raw import PIECE
from kataribe.make.text.signatures import rows_per_band
from kataribe.make.text.sources import STDLIB

_LANGUAGE = re.compile(r"[a-z]{2,4}")


@dataclass(frozen=True, slots=True)
class CorpusChoices:
    """What goes into a corpus and what is done to it. Raises `InputError` for a wrong value."""

    sources: tuple[str, ...] = (STDLIB,)
    """`stdlib`, `debian:PACKAGE`, `hf:OWNER/NAME[:CONFIG][@SPLIT][#COLUMN]`, or paths of files
    and folders."""
    field: str = "text"
    """The field of JSON lines and the column of Parquet that holds the text."""
    languages: tuple[str, ...] = ()
    """Languages to keep (`ja`, `en`, `code`, `und`, ...); empty keeps all."""
    normal: Normal = dataclasses.field(default_factory=Normal)
    """How texts are normalised."""
    filters_off: tuple[str, ...] = ()
    """Quality filters to leave out, or `all`."""
    near: float = 0.8
    """Estimated Jaccard similarity of 8-character windows from which two texts are near
    duplicates."""
    keep_duplicates: bool = False
    """Keep exact and near duplicates; they still go to the same side of the split."""
    valid: tuple[str, ...] = ()
    """A validation set of one's own: paths of files or folders; then nothing else is split off."""
    valid_share: float = 0.05
    """Share of the documents that is split off for validation, by the hash of their text."""
    valid_bytes: int = 10_000_000
    """Most bytes of text split off for validation; more would only make training poorer."""
    most_bytes: int | None = None
    """Stop after so many bytes of kept text, taken evenly from all sources; None reads
    everything. The card tells what was left unread."""
    piece: int = PIECE
    """Most characters of a document; longer ones become several."""
    cache: Path | None = None
    """Where fetched sources are kept; None keeps them beside the corpus while it is made."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("A corpus needs a source; `stdlib` is always there.", param="source")
        if not 0 < self.valid_share < 1:
            raise InputError(
                f"The share for validation is {self.valid_share}; it lies between 0 and 1, and "
                "0.05 is usual.",
                param="valid_share",
            )
        for name, value, least in (
            ("piece", self.piece, 1000),
            ("valid_bytes", self.valid_bytes, 1),
            ("most_bytes", self.most_bytes, 1),
        ):
            if value is not None and value < least:
                raise InputError(f"{name} is {value}; the least is {least}.", param=name)
        for language in self.languages:
            if not _LANGUAGE.fullmatch(language):
                raise InputError(
                    f"{language!r} is no language; write codes such as ja, en, code or und.",
                    param="language",
                )
        chosen_filters(self.filters_off)
        rows_per_band(self.near)

    def as_card(self) -> dict[str, Any]:
        """The choices as the card keeps them."""
        return {
            "sources": list(self.sources),
            "field": self.field,
            "languages": list(self.languages),
            "unicode": self.normal.unicode,
            "line_ends": self.normal.line_ends,
            "controls": self.normal.controls,
            "trailing": self.normal.trailing,
            "filters_off": list(self.filters_off),
            "near": self.near,
            "keep_duplicates": self.keep_duplicates,
            "valid": list(self.valid),
            "valid_share": self.valid_share,
            "valid_bytes": self.valid_bytes,
            "most_bytes": self.most_bytes,
            "piece": self.piece,
        }
