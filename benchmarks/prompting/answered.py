"""What was answered so far: JSON lines, each written when it exists, read when a run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError


@dataclass(frozen=True)
class Row:
    """One technique's reply to one problem.

    Attributes:
        technique: Who.
        place: Which problem, by its line.
        right: Whether its number is the wanted one.
        answer: That number; empty where there is none.
        gold: The wanted one.
        prompt_tokens: Of all inner calls together.
        completion_tokens: The same.
        cached_tokens: Of the prompt tokens, those that a cache had.
        seconds: From the question to the end.
        reason: Why the reply ended.
        failure: Why there is none.
        reply: Its words.
    """

    technique: str
    place: int
    right: bool
    answer: str
    gold: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    seconds: float
    reason: str
    failure: str
    reply: str


class Rows:
    """A file of rows under a head that says what was asked of whom."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        """Reads what is there; a line that was only half written is dropped.

        Raises `FormatError` for a file of another run.
        """
        self.path = path
        self.rows: dict[tuple[str, int], Row] = {}
        self.instruction: str | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        if lines[-1]:
            os.truncate(path, path.stat().st_size - len(lines[-1]))
        whole = [json.loads(line) for line in lines[:-1]]
        if whole and whole[0] != dict(head):
            raise FormatError(
                f"{path} has answers of another run: {whole[0]}. This one is {dict(head)}. Name "
                "another file (--answers)."
            )
        if not whole:
            self._write(dict(head))
        for value in whole[1:]:
            self._read(value)

    def add(self, row: Row) -> None:
        """Keeps a row, on the disk first."""
        self._write(asdict(row))
        self.rows[row.technique, row.place] = row

    def keep_instruction(self, instruction: str, told: Mapping[str, Any]) -> None:
        """Keeps what was searched for, with its figures, so that a search is made only once."""
        self._write({"instruction": instruction, **told})
        self.instruction = instruction

    def _read(self, value: dict[str, Any]) -> None:
        if "instruction" in value:
            self.instruction = value["instruction"]
            return
        row = Row(**value)
        self.rows[row.technique, row.place] = row

    def _write(self, value: Mapping[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
