"""Questions with the answers that are wanted, out of chat data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError, NotFoundError, StorageError
from kataribe.base.messages import Message, text_message

HELD_OUT = "valid.jsonl"


@dataclass(frozen=True)
class Question:
    """A conversation up to the assistant's last turn, and what that turn should be.

    Attributes:
        prompt: Everything before.
        wanted: The turn.
        kind: What sort of question it is, where the data say it.
    """

    prompt: tuple[Message, ...]
    wanted: str
    kind: str = ""


def read_questions(path: Path, most: int | None = None) -> list[Question]:
    """The questions of a file of JSON lines, or of what a folder holds out (`valid.jsonl`).

    Args:
        path: Lines `{"messages": [...]}`, the assistant last.
        most: Most of them; which is told by the hash of each, so that it is always the same.

    Raises:
        NotFoundError: There is no such file.
        FormatError: A line is no conversation that ends with the assistant, or there is none.
    """
    file = path / HELD_OUT if path.is_dir() else path
    try:
        lines = [line for line in file.read_bytes().splitlines() if line.strip()]
    except FileNotFoundError:
        raise NotFoundError(f"There are no questions at {file}.") from None
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error}.") from error
    if not lines:
        raise FormatError(f"{file} is empty; there is nothing to ask.")
    numbered = list(enumerate(lines, 1))
    if most is not None:
        numbered = sorted(sorted(numbered, key=_hash)[:most])
    return [_question(line, f"Line {number} of {file}") for number, line in numbered]


def _hash(numbered: tuple[int, bytes]) -> bytes:
    return hashlib.blake2b(numbered[1], digest_size=8).digest()


def _question(line: bytes, where: str) -> Question:
    try:
        row: Any = json.loads(line)
        messages = list(_messages(row["messages"]))
        roles = [message.role for message in messages]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FormatError(
            f'{where} is no conversation; it has to look like {{"messages": [{{"role": "user", '
            '"content": "..."}, {"role": "assistant", "content": "..."}]}.'
        ) from None
    if len(messages) < 2 or roles[-1] != "assistant":
        raise FormatError(f"{where} does not end with the assistant's answer to a question.")
    kind = row.get("kind", "")
    wanted = str(row["messages"][-1]["content"])
    return Question(tuple(messages[:-1]), wanted, kind if isinstance(kind, str) else "")


def _messages(rows: Any) -> Iterator[Message]:
    for row in rows:
        if row["role"] not in ("system", "user", "assistant") or not isinstance(
            row["content"], str
        ):
            raise ValueError
        yield text_message(row["role"], row["content"])
