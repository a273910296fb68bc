"""The Berkeley function-calling leaderboard's data and its own judge, from its package.

Patil et al. 2025, "The Berkeley Function Calling Leaderboard". The package stands in an environment
of its own and is never imported here: `checking.py` runs over there and is asked line by line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.inference.peers import CACHE
from kataribe.base.errors import FormatError
from kataribe.base.lm import ToolSpec
from kataribe.base.messages import Message, text_message

HERE = Path(__file__).parent
REQUIREMENT = "bfcl-eval==2026.3.23"
SETS = ("parallel", "live_simple")
"""Those that the project may learn from; the others are kept for judging."""

_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
"""Names of Python's types in the data, as JSON Schema has them; `any` is a string to the judge."""


@dataclass(frozen=True)
class Question:
    """A question that wants one or more calls.

    Attributes:
        kind: Its set.
        id: Its name there.
        messages: What is asked.
        tools: The functions with their schemas as JSON Schema.
        functions: The functions as the data has them, for the judge.
        wanted: The calls that count as right, for the judge.
    """

    kind: str
    id: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    functions: Sequence[dict[str, Any]]
    wanted: Sequence[dict[str, Any]]


def environment() -> Path:
    """The Python that has the package, in an environment of its own; made when missing."""
    home = CACHE / "bfcl"
    python, marker = home / "bin" / "python", home / ".complete"
    if not marker.exists():
        print(f"making an environment: {REQUIREMENT}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        # What it depends on is for hosted models and their clients; data and judge need none of it.
        pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", REQUIREMENT]
        subprocess.run(pip, check=True)
        marker.touch()
    return python


def data_folder(python: Path) -> Path:
    """Where the package keeps its data."""
    told = [str(python), "-c", "import bfcl_eval; print(bfcl_eval.__path__[0])"]
    found = subprocess.run(told, check=True, capture_output=True, text=True).stdout.strip()
    return Path(found) / "data"


def questions(folder: Path, kinds: Sequence[str]) -> list[Question]:
    """All questions of some sets, in their order.

    Raises `FormatError` where a question has no answer, or more than one turn.
    """
    return [question for kind in kinds for question in _set(folder, kind)]


def _set(folder: Path, kind: str) -> list[Question]:
    name = f"BFCL_v4_{kind}.json"
    answers = {row["id"]: row["ground_truth"] for row in _rows(folder / "possible_answer" / name)}
    found = []
    for row in _rows(folder / name):
        if row["id"] not in answers or len(row["question"]) != 1:
            raise FormatError(f"{row['id']} of {name} has no answer, or more than one turn.")
        said = [text_message(each["role"], each["content"]) for each in row["question"][0]]
        tools = tuple(map(tool_of, row["function"]))
        found.append(
            Question(kind, row["id"], tuple(said), tools, row["function"], answers[row["id"]])
        )
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def tool_of(function: dict[str, Any]) -> ToolSpec:
    """A function of the data as a tool."""
    parameters = json_schema(function["parameters"])
    return ToolSpec(function["name"], function.get("description", ""), parameters)


def json_schema(told: dict[str, Any]) -> dict[str, Any]:
    """A schema of the data in JSON Schema's words; `optional` means nothing there and goes."""
    schema = {key: value for key, value in told.items() if key != "optional"}
    if isinstance(schema.get("type"), str):
        schema["type"] = _TYPES.get(schema["type"], schema["type"])
    if "properties" in schema:
        schema["properties"] = {
            name: json_schema(part) for name, part in schema["properties"].items()
        }
    if isinstance(schema.get("items"), dict):
        schema["items"] = json_schema(schema["items"])
    return schema


class Judge:
    """The package's own comparison of calls with those that are wanted; close it in the end."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), str(HERE / "checking.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def verdict(self, question: Question, calls: Sequence[tuple[str, Any]]) -> str:
        """Why these calls are wrong, by the kind of error; empty where they are right."""
        task = {
            "functions": question.functions,
            "calls": [{name: arguments} for name, arguments in calls],
            "wanted": question.wanted,
            "set": question.kind,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The judge broke off at {question.id}.")
        told: str = json.loads(line)
        return told

    def close(self) -> None:
        """Ends the other process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
