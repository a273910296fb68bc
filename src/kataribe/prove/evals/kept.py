"""Answers kept while an evaluation goes on, one line each, so that a stopped one can go on.

The first line says what was asked of whom (`Asked`); every other one is an answer, with the kind
and the item of its question and its scores, for whoever wants to compute further. A line is
written at once and whole; half a line at the end (a power cut) is asked again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError, StorageError
from kataribe.base.messages import text_of
from kataribe.prove.evals.asking import SAMPLING, Answer
from kataribe.prove.evals.questions import Question
from kataribe.prove.evals.scores import SCORES

FORMAT = 1
_FIELDS = {"text": str, "ended": bool, "failure": str}


@dataclass(frozen=True)
class Asked:
    """What an evaluation asks of whom: answers of another one are no answers of this one.

    Attributes:
        model: The model's name.
        weights: What tells its weights from others under the same name.
        questions: A hash of all questions.
        max_tokens: Most tokens of an answer.
    """

    model: str
    weights: str
    questions: str
    max_tokens: int

    @classmethod
    def of(cls, model: str, weights: str, questions: Sequence[Question], max_tokens: int) -> Asked:
        """For these questions."""
        return cls(model, weights, _digest([each.key for each in questions]), max_tokens)

    @property
    def file_name(self) -> str:
        """A name that no other evaluation has."""
        plain = "".join(letter if letter.isalnum() else "-" for letter in self.model)
        return f"{plain[:60]}-{_digest(dataclasses.astuple(self))[:12]}.jsonl"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


class Kept:
    """The file of one model's answers; `kept` opens it."""

    def __init__(self, folder: Path, asked: Asked) -> None:
        """Reads what is there, and writes nothing; `begin` does.

        Raises `StorageError` where the file cannot be read, `FormatError` where it is damaged
        elsewhere than at its end.
        """
        self.path = folder / asked.file_name
        self._head = {"format": FORMAT, **dataclasses.asdict(asked)}
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        except OSError as error:
            raise _unwritten(self.path, error) from error
        self._half = len(lines[-1]) if lines else 0
        self.known: Mapping[str, Answer] = self._read(lines)

    def knows(self, questions: Sequence[Question]) -> bool:
        """Whether there is an answer to each of them."""
        return all(each.key in self.known for each in questions)

    def begin(self, *, anew: bool) -> None:
        """Makes the file ready for more answers; `StorageError` where that fails.

        Args:
            anew: Answers that are there do not count any more.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if anew or not self.known:
                self.known = {}
                self.path.write_text(json.dumps(self._head) + "\n", encoding="utf-8")
            elif self._half:  # of a line
                os.truncate(self.path, self.path.stat().st_size - self._half)
        except OSError as error:
            raise _unwritten(self.path, error) from error

    def add(self, question: Question, answer: Answer) -> None:
        """Writes an answer; `StorageError` where that fails."""
        scores = {
            name: 0.0 if answer.failure else score(answer.text, question.wanted)
            for name, score in SCORES.items()
        }
        row = {
            "key": question.key,
            "item": question.item,
            "kind": question.kind,
            "question": text_of(question.prompt[-1]),
            "wanted": question.wanted,
            **dataclasses.asdict(answer),
            **scores,
        }
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        except OSError as error:
            raise _unwritten(self.path, error) from error

    def _read(self, lines: list[bytes]) -> dict[str, Answer]:
        found: dict[str, Answer] = {}
        for number, line in enumerate(lines[:-1], 1):  # what follows the last end of a line is half
            try:
                row = json.loads(line)
                if number == 1:
                    if row != self._head:
                        raise ValueError
                    continue
                given = {name: row[name] for name in _FIELDS}
                # Answers that were kept before any could be left out have no such list.
                left_out = row.get("left_out", [])
                if not all(isinstance(given[name], kind) for name, kind in _FIELDS.items()):
                    raise ValueError
                if not isinstance(left_out, list) or not set(left_out) <= SAMPLING.keys():
                    raise ValueError
                found[str(row["key"])] = Answer(**given, left_out=tuple(left_out))
            except (ValueError, KeyError, TypeError):
                raise FormatError(
                    f"Line {number} of {self.path} is no kept answer of this evaluation. Remove "
                    "the file to begin anew."
                ) from None
        return found


def kept(folder: Path, asked: Sequence[Asked], questions: Sequence[Question]) -> list[Kept]:
    """What is kept of the answers of each model that one evaluation asks.

    A finished evaluation begins anew when it is asked for again, all of it at once; finished is
    one that has the answers of all of its models. So one that was stopped at its second model goes
    on there and asks the first one nothing.

    Raises `StorageError` and `FormatError` as `Kept` does, before any file is written.
    """
    found = [Kept(folder, each) for each in asked]
    anew = all(each.knows(questions) for each in found)
    for each in found:
        each.begin(anew=anew)
    return found


def _unwritten(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(
        f"Answers cannot be kept in {path}: {reason}. Free some space, or choose another folder "
        "(--results)."
    )
