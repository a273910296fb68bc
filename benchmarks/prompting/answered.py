"""What was answered so far: JSON lines, each written when it exists, read when a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.lines import Lines


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
    """A file of rows; see `Lines`."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._lines = Lines(path, head)
        self.path = path
        self.rows: dict[tuple[str, int], Row] = {}
        self.instruction: str | None = None
        for value in self._lines.found:
            self._read(value)

    def add(self, row: Row) -> None:
        """Keeps a row, on the disk first."""
        self._lines.write(asdict(row))
        self.rows[row.technique, row.place] = row

    def keep_instruction(self, instruction: str, told: Mapping[str, Any]) -> None:
        """Keeps what was searched for, with its figures, so that a search is made only once."""
        self._lines.write({"instruction": instruction, **told})
        self.instruction = instruction

    def _read(self, value: dict[str, Any]) -> None:
        if "instruction" in value:
            self.instruction = value["instruction"]
            return
        row = Row(**value)
        self.rows[row.technique, row.place] = row
