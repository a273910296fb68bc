"""The techniques as pages and commands show them: papers, needs, and options with their kinds."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from kataribe.use.prompts.registry import TECHNIQUES, Entry

PAPERS: Mapping[str, str] = {
    "zero-shot": 'Brown et al. 2020, "Language models are few-shot learners"',
    "few-shot": 'Brown et al. 2020, "Language models are few-shot learners"',
    "chain-of-thought": (
        'Wei et al. 2022, "Chain-of-thought prompting elicits reasoning in large language models"; '
        'Kojima et al. 2022, "Large language models are zero-shot reasoners"'
    ),
    "self-consistency": (
        'Wang et al. 2023, "Self-consistency improves chain of thought reasoning in language '
        'models"'
    ),
    "generated-knowledge": (
        'Liu et al. 2022, "Generated knowledge prompting for commonsense reasoning"'
    ),
    "tree-of-thoughts": (
        'Yao et al. 2023, "Tree of thoughts: deliberate problem solving with large language models"'
    ),
    "retrieval": (
        'Lewis et al. 2020, "Retrieval-augmented generation for knowledge-intensive NLP tasks"'
    ),
    "chaining": 'Wang et al. 2023, "Plan-and-solve prompting"; Wu et al. 2022, "AI chains"',
    "react": 'Yao et al. 2023, "ReAct: synergizing reasoning and acting in language models"',
}
"""Where each technique comes from."""

NEEDS: Mapping[str, str] = {"few-shot": "examples", "retrieval": "documents", "react": "tools"}
"""What a technique cannot work without, beside a model."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a technique.

    Attributes:
        name: By which it is given.
        schema: What it may be, as a JSON schema.
        needed: It has no default.
        default: What it is otherwise.
        about: What it does, in a sentence or two.
    """

    name: str
    schema: Mapping[str, Any]
    needed: bool
    default: Any
    about: str


@dataclass(frozen=True, slots=True)
class Described:
    """A technique.

    Attributes:
        name: By which it is asked for.
        line: What it does.
        paper: Where it comes from.
        needs: What it cannot work without (`NEEDS`); empty for a model alone.
        options: In the order of its dataclass.
    """

    name: str
    line: str
    paper: str
    needs: str
    options: tuple[Option, ...]


def described() -> tuple[Described, ...]:
    """All techniques, from cheap to dear."""
    return tuple(
        Described(
            entry.name,
            entry.line,
            PAPERS[entry.name],
            NEEDS.get(entry.name, ""),
            tuple(_options(entry)),
        )
        for entry in TECHNIQUES.values()
    )


def _options(entry: Entry) -> list[Option]:
    whole = TypeAdapter(entry.options).json_schema()
    needed = whole.get("required", [])
    about = attributes_of(entry.options)
    found = []
    for name, schema in whole.get("properties", {}).items():
        plain = {key: value for key, value in schema.items() if key not in ("title", "default")}
        default = schema.get("default")
        found.append(Option(name, _inlined(plain, whole), name in needed, default, about[name]))
    return found


def _inlined(schema: Any, whole: Mapping[str, Any]) -> Any:
    """The schema with what it refers to in its place, so that it stands alone."""
    if isinstance(schema, list):
        return [_inlined(each, whole) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    return {key: _inlined(value, whole) for key, value in schema.items()}


def attributes_of(shape: type[Any]) -> dict[str, str]:
    """What the docstring of a dataclass says of each attribute, as one line each."""
    lines = inspect.getdoc(shape) or ""
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines.partition("Attributes:")[2].splitlines():
        if line.startswith("    ") and not line.startswith("     ") and ":" in line:
            name, _, rest = line.strip().partition(": ")
            found[name] = [rest]
        elif name and line.strip():
            found[name].append(line.strip())
    return {key: " ".join(words) for key, words in found.items()}
