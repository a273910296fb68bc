"""One document of a corpus, and how it lies in a line of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kataribe.base.errors import FormatError

UNKNOWN = "und"
"""The language of a text that nobody can tell (BCP 47's "undetermined")."""
CODE = "code"
"""The "language" of source code, whatever its comments are written in."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text and where it came from."""

    id: str
    """Names it in messages and samples; unique in its corpus."""
    text: str
    """The text itself, normalised when it comes from a corpus."""
    source: str
    """The source that it was read from, as it was named: `stdlib`, `debian:python3-doc`, a path."""
    language: str
    """An ISO 639-1 code, `code`, or `und`."""


def to_line(document: Document) -> bytes:
    """One line of JSON in UTF-8, with its newline. Lone surrogates become escapes."""
    fields = {
        "id": document.id,
        "text": document.text,
        "source": document.source,
        "language": document.language,
    }
    try:
        line = json.dumps(fields, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(fields).encode("utf-8")
    return line + b"\n"


def from_line(line: bytes, where: str) -> Document:
    """The document of a line; what is not there but for the text gets a default.

    `where` names file and line. Raises `FormatError` when it is no JSON object with a "text".
    """
    try:
        fields: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{where} is not JSON ({error}). Make the corpus again, or mend the line."
        ) from None
    text = fields.get("text") if isinstance(fields, dict) else None
    if not isinstance(text, str):
        has = ", ".join(sorted(fields)[:10]) if isinstance(fields, dict) else type(fields).__name__
        raise FormatError(
            f'{where} has no string in its field "text" (it has: {has}). `kataribe corpus make '
            "--field NAME` makes a corpus from another field."
        )
    return Document(
        id=str(fields.get("id", where)),
        text=text,
        source=str(fields.get("source", where.rpartition(":")[0])),
        language=str(fields.get("language", UNKNOWN)),
    )
