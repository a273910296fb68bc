"""GSM8K's problems (Cobbe et al. 2021): which are asked, and worked examples from the others."""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import FormatError, InputError
from kataribe.use.prompts.answers import final_answer
from kataribe.use.prompts.few_shot import Example

_CALCULATED = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True)
class Problem:
    """A problem of the file.

    Attributes:
        place: Its line, from 1.
        question: What is asked.
        solution: Steps, and `#### number` on the last line.
        gold: That number in its normal form.
    """

    place: int
    question: str
    solution: str
    gold: str

    @property
    def worked(self) -> Example:
        """As an example: without the calculator's notes, the answer as techniques ask for it."""
        steps = _CALCULATED.sub("", self.solution).replace("####", "Answer:")
        return Example(self.question, steps)


def read_problems(path: Path) -> list[Problem]:
    """All problems of a file of JSON lines; `FormatError` names a line that is none."""
    found = []
    for place, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            question, solution = str(row["question"]), str(row["answer"])
        except (ValueError, KeyError, TypeError):
            raise FormatError(
                f"Line {place} of {path} is no problem. Each line is a JSON object with question "
                "and answer."
            ) from None
        gold = final_answer(solution, "number")
        if gold is None:
            raise FormatError(f"The answer on line {place} of {path} has no number.")
        found.append(Problem(place, question, solution, gold.normal))
    return found


def drawn(problems: list[Problem], count: int, seed: int) -> tuple[list[Problem], list[Problem]]:
    """The problems that are asked, always the same ones for a seed, and all others."""
    if not 0 < count < len(problems):
        raise InputError(
            f"{count} problems cannot be drawn from {len(problems)} with some left over for "
            "examples. Ask for fewer."
        )
    places = list(range(len(problems)))
    random.Random(seed).shuffle(places)
    return [problems[at] for at in places[:count]], [problems[at] for at in places[count:]]


def digest(path: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
