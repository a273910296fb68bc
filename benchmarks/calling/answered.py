"""What was answered so far, and what is wrong with the form of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema

from benchmarks.calling.bfcl import Question
from benchmarks.lines import Lines
from kataribe.base.lm import ToolSpec
from kataribe.run.inference.argument_schemas import arguments_of

FAULTS = ("no call", "no JSON", "unknown name", "breaks the schema", "failed")
"""What makes an answer malformed, the first that is found: nothing that can be read as a call; a
call whose arguments are no JSON object; one of a function that was not offered; one whose arguments
break its schema, or that names arguments which the schema does not have; no answer at all."""


@dataclass(frozen=True)
class Row:
    """One reply.

    Attributes:
        arm: How it was written.
        kind: The question's set.
        id: The question.
        calls: Name and arguments of each call, as they were written.
        text: Its words.
        reason: Why it ended.
        prompt_tokens: Of the prompt.
        cached_tokens: Those of them that a cache had.
        completion_tokens: Written.
        seconds: From the question to the end, beside others.
        failure: Why there is none.
    """

    arm: str
    kind: str
    id: str
    calls: Sequence[Sequence[str]]
    text: str
    reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float
    failure: str = ""


class Rows:
    """A file of rows; see `Lines`."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._lines = Lines(path, head)
        self.path = path
        self.rows: dict[tuple[str, str], Row] = {}
        for value in self._lines.found:
            row = Row(**value)
            self.rows[row.arm, row.id] = row

    def add(self, row: Row) -> None:
        """Keeps a row, on the disk first."""
        self._lines.write(asdict(row))
        self.rows[row.arm, row.id] = row


def generous(row: Row) -> Row:
    """The answer with calls that stand in its words without the marks of the model's template.

    An application gets such a call where the reply begins with it (`run.inference.bare_calls`);
    elsewhere among the words it gets a text, and only who means well can still see the call. So
    both readings are told, and holding is compared with the better one.
    """
    return row if row.calls or row.failure else replace(row, calls=tuple(_in_words(row.text)))


def _in_words(text: str) -> Iterator[tuple[str, str]]:
    """Objects with a name and arguments, in order, alone or in lists; what is cut has no end."""
    reader, at = json.JSONDecoder(), 0
    while (at := _opening(text, at)) >= 0:
        try:
            value, at = reader.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and isinstance(each.get("name"), str):
                arguments = each.get("arguments", each.get("parameters"))
                if arguments is not None:
                    yield each["name"], json.dumps(arguments, ensure_ascii=False)


def _opening(text: str, start: int) -> int:
    found = [at for sign in "{[" if (at := text.find(sign, start)) >= 0]
    return min(found, default=-1)


def fault(row: Row, question: Question) -> str:
    """Which of `FAULTS` an answer has; empty for one that is well formed."""
    if row.failure:
        return "failed"
    if not row.calls:
        return "no call"
    found = faults(row, question)
    return next((each for each in FAULTS if each in found), "")


def faults(row: Row, question: Question) -> list[str]:
    """The fault of each call of an answer; empty for a call that is well formed."""
    tools = {tool.name: tool for tool in question.tools}
    return [_fault(name, arguments, tools) for name, arguments in row.calls]


def meant(row: Row) -> list[tuple[str, Any]]:
    """The calls with their arguments as values; those that cannot be read are without."""
    return [(name, _value(arguments) or {}) for name, arguments in row.calls]


def _fault(name: str, arguments: str, tools: Mapping[str, ToolSpec]) -> str:
    value = _value(arguments)
    if value is None:
        return "no JSON"
    if name not in tools:
        return "unknown name"
    schema = arguments_of(tools[name])
    try:
        jsonschema.validate(value, schema)
    except jsonschema.ValidationError:
        return "breaks the schema"
    known = schema.get("properties", {})
    return "breaks the schema" if set(value) - set(known) else ""


def _value(arguments: str) -> dict[str, Any] | None:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
