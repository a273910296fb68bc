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
        item: What it is about, as the data say (`item`): questions about one thing are no
            independent tries. Where they do not, what is asked in the same words is one item.
        key: A hash of the line, by which kept answers are found again.
    """

    prompt: tuple[Message, ...]
    wanted: str
    kind: str = ""
    item: str = ""
    key: str = ""


def read_questions(path: Path, most: int | None = None) -> list[Question]:
    """The questions of a file of JSON lines, or of what a folder holds out (`valid.jsonl`).

    Args:
        path: Lines `{"messages": [...]}`, the assistant last; `kind` and `item` beside them where
            it is known.
        most: Most of them; which is told by the hash of each, so that it is always the same.

    Raises:
        NotFoundError: There is no such file.
        FormatError: A line is no conversation that ends with the assistant, or there is none.
    """
    file = path / HELD_OUT if path.is_dir() else path
    try:
        lines = [line for line in file.read_bytes().splitlines() if line.strip()]
    except FileNotFoundError:
        raise NotFoundError(
            f"There are no questions at {file}. `kataribe corpus list` shows what is here, and "
            "`kataribe corpus instructions NAME` makes some."
        ) from None
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error}.") from error
    if not lines:
        raise FormatError(f"{file} is empty; there is nothing to ask.")
    numbered = list(enumerate(lines, 1))
    if most is not None:
        numbered = sorted(sorted(numbered, key=_hash)[:most])
    return [_question(line, f"Line {number} of {file}") for number, line in numbered]


def _hash(numbered: tuple[int, bytes]) -> str:
    return _digest(numbered[1])


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


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
    kind, item = (str(row.get(name) or "") for name in ("kind", "item"))
    wanted = str(row["messages"][-1]["content"])
    same = _digest(json.dumps(row["messages"][:-1], sort_keys=True).encode())
    return Question(tuple(messages[:-1]), wanted, kind, item or same, _digest(line))


def _messages(rows: Any) -> Iterator[Message]:
    for row in rows:
        if row["role"] not in ("system", "user", "assistant") or not isinstance(
            row["content"], str
        ):
            raise ValueError
        yield text_message(row["role"], row["content"])
