"""The user's examples, read from a file: a question and its right answer on each line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError, InputError, StorageError
from kataribe.use.prompts.few_shot import Example

MOST = 100_000
"""Examples of one file."""

LARGEST = 256 * 1024**2
"""Bytes of one file."""


def read_examples(path: Path) -> tuple[Example, ...]:
    """The examples of a file of JSON lines: `{"question": "...", "answer": "..."}`.

    Raises `StorageError` for a file that cannot be read, and `FormatError` naming the line that is
    no example, and why.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise FormatError(
                f"{path} has more than {LARGEST:,} bytes. Examples are questions and short "
                "answers; give a part of it."
            )
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}. Check its name.") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not UTF-8 text. Convert it first.") from error
    found = [
        _example(line, f"Line {number} of {path}")
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]
    if not found:
        raise InputError(
            f'{path} has no examples. Write one a line: {{"question": "...", "answer": "..."}}',
            param="examples",
        )
    if len(found) > MOST:
        raise InputError(
            f"{path} has {len(found):,} examples; at most {MOST:,} are read.", param="examples"
        )
    return tuple(found)


def _example(line: str, where: str) -> Example:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is no JSON ({error}).") from error
    if not isinstance(value, dict):
        raise FormatError(f"{where} is no object with a question and an answer.")
    for name in ("question", "answer"):
        if not isinstance(value.get(name), str) or not value[name].strip():
            raise FormatError(f"{where} has no {name}, or one that is no text or empty.")
    unknown = [name for name in value if name not in ("question", "answer")]
    if unknown:
        raise FormatError(
            f"{where} has {unknown[0]!r:.60}, but an example has a question and an answer."
        )
    return Example(value["question"], value["answer"])
