"""Documents that clients send along: their words, between marks."""

from __future__ import annotations

import unicodedata

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.serve.asking import decoded
from kataribe.serve.shapes.responses import InputFile
from kataribe.store.attachments import clean_name

CLOSING = "\n</document>\n"
"""Behind a document's words."""

_WAY_OUT = "Send its words as text in UTF-8, or its pages as pictures to a model that sees."


def opening(*, title: str | None = None, context: str | None = None) -> str:
    """What stands before a document's words."""
    marks = (("title", title), ("context", context))
    head = [f"<{mark}>{text}</{mark}>" for mark, text in marks if text]
    return "\n".join(["<document>", *head, ""])


def file_words(file: InputFile, place: str) -> str:
    """A file's words between marks.

    Raises `UnsupportedError` naming the field for what is no text, or not sent along.
    """
    for field, what in (("file_id", "keeps no files"), ("file_url", "fetches no files")):
        if getattr(file, field) is not None:
            raise UnsupportedError(
                f"This server {what} for this call. Leave {field} out and send the file itself, "
                "as file_data.",
                param=f"{place}.{field}",
            )
    if not file.file_data:
        raise InputError(
            f"{place} has no file in it. Send its bytes in base64 as file_data.",
            param=f"{place}.file_data",
        )
    head, comma, data = file.file_data.partition(",")
    if not comma:
        head, data = "", head
    elif not (head.startswith("data:") and head.endswith(";base64")):
        raise InputError(
            f"{place}.file_data must be base64, or a data:TYPE;base64 URL.",
            param=f"{place}.file_data",
        )
    name = clean_name(file.filename) if file.filename else ""
    words = _text(decoded(data, f"{place}.file_data"), name or "The file", f"{place}.file_data")
    return f"{opening(title=name)}{words}{CLOSING}"


def _text(data: bytes, name: str, param: str) -> str:
    size = f"{name} ({len(data):,} bytes)"
    if not data:
        raise InputError(f"{name} is empty. Leave it out.", param=param)
    if data.startswith(b"%PDF-"):
        raise UnsupportedError(f"{size} is a PDF, which is not read here. {_WAY_OUT}", param=param)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnsupportedError(f"{size} is no text in UTF-8. {_WAY_OUT}", param=param) from None
    if any(unicodedata.category(each) == "Cc" for each in set(text) - set("\t\n\r\f\v\x1b")):
        raise UnsupportedError(
            f"{size} is no text: it has control characters. {_WAY_OUT}", param=param
        )
    return text
