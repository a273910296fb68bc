"""Texts of a user's own that an export is compared on: the first ones of a file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from kataribe.base.errors import InputError, StorageError

MOST_PROMPTS = 16
"""Texts that are compared: each takes about a second with a model of 135 M parameters."""
MOST_BYTES = 1 << 20
"""Of one text; a longer one fits no model's context."""


def read_texts(path: Path) -> tuple[str, ...]:
    """Texts to compare on: the `text` of each line of a .jsonl, the paragraphs of any other file.

    Reads only as far as the first `MOST_PROMPTS` of them go: the file may be a whole corpus.

    Raises `InputError` for a file without any, for a line that is none and for a text beyond
    `MOST_BYTES`, `StorageError` for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = _json_texts(path, file) if path.suffix == ".jsonl" else _paragraphs(path, file)
            stripped = (text.strip() for text in found)
            texts = tuple(itertools.islice(filter(None, stripped), MOST_PROMPTS))
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    if not texts:
        raise InputError(f"{path} holds no text to compare on.", param="texts")
    return texts


def _lines(path: Path, file: BinaryIO) -> Iterator[str]:
    """Lines as JSON lines have them: only a line feed ends one, and U+2028 or U+0085 do not."""
    for number in itertools.count(1):
        line = file.readline(MOST_BYTES + 1)
        if not line:
            return
        if len(line) > MOST_BYTES:
            raise _too_long(path, f"Line {number}")
        yield line.decode("utf-8")


def _json_texts(path: Path, file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(_lines(path, file), 1):
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line)
            text = value["text"]
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                f'Line {number} of {path} is no object with a "text".', param="texts"
            ) from None
        yield text


def _paragraphs(path: Path, file: BinaryIO) -> Iterator[str]:
    """What stands between blank lines."""
    held: list[str] = []
    size = 0
    for line in _lines(path, file):
        if line.strip():
            held.append(line)
            size += len(line.encode())
            if size > MOST_BYTES:
                raise _too_long(path, "A paragraph")
        else:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


def _too_long(path: Path, what: str) -> InputError:
    return InputError(
        f"{what} of {path} has more than {MOST_BYTES:,} bytes. Give shorter texts, with blank "
        "lines between them or each as a line of JSON.",
        param="texts",
    )
