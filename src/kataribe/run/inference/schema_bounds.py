"""How large a schema, expression or grammar from strangers may be, before it is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kataribe.base.errors import ConstraintError
from kataribe.run.inference.expressions import expanded_length

MOST_CHARACTERS = 256 * 1024
_MOST_GRAMMAR = 64 * 1024
_MOST_PATTERN = 4096  # 10,000 optional letters take 10 s and 1.5 GB until the compiler gives up
_MOST_EXPANDED = 50_000
_MOST_TOGETHER = 8  # patterns that must hold at once: time doubles with each; 50 never end
_MOST_DEPTH = 64
MOST_KEYS = 1000  # in one object: compiling takes the square of it; 2,000 take 0.4 s
_MOST_REFERENCES = 1000  # a chain of 20,000 overflows the compiler's stack
_MOST_RULES = 1000
_MOST_NODES = 50_000


class Bounds:
    """Counts what makes a schema expensive; `ConstraintError` names count and limit."""

    def __init__(self) -> None:
        self._nodes = 0
        self._references = 0
        self._together = 0

    def visit(self, value: Any, depth: int = 1) -> None:
        """Counts a schema, or what stands in it at a depth."""
        _check_most("The JSON schema", "levels", depth, _MOST_DEPTH)
        self._nodes += 1
        _check_most("The JSON schema", "values", self._nodes, _MOST_NODES)
        if isinstance(value, Mapping):
            _check_most("An object of the JSON schema", "keys", len(value), MOST_KEYS)
            self._references += "$ref" in value
            _check_most("The JSON schema", "references", self._references, _MOST_REFERENCES)
            self._visit_patterns(value)
            for part in value.values():
                self.visit(part, depth + 1)
        elif isinstance(value, list | tuple):
            for part in value:
                self.visit(part, depth + 1)

    def _visit_patterns(self, value: Mapping[str, Any]) -> None:
        for key in ("pattern", "patternProperties"):
            held = value.get(key)
            for pattern in held if isinstance(held, Mapping) else [held]:
                if isinstance(pattern, str):
                    check_pattern("pattern", pattern)
        branches = value.get("allOf")
        if isinstance(branches, list | tuple):
            self._together += max(0, len(branches) - 1)
            _check_most("The JSON schema", "allOf branches", self._together, _MOST_TOGETHER)


def check_grammar(grammar: str) -> None:
    """Raises `ConstraintError` for a stranger's grammar with too much in it."""
    check_length("grammar", grammar, _MOST_GRAMMAR)
    _check_most("The grammar", "rules", grammar.count(":"), _MOST_RULES)
    _check_most("The grammar", "intersections (&)", grammar.count("&"), _MOST_TOGETHER)
    if "allOf" in grammar:
        raise ConstraintError(
            "A schema inside a grammar may not use allOf. Give it as a JSON schema, or write the "
            "combined one."
        )


def check_length(what: str, text: str, most: int) -> None:
    """Raises `ConstraintError` for a text of more than `most` characters."""
    if len(text) > most:
        raise ConstraintError(
            f"The {what} has {len(text)} characters, but may have {most}. Make it shorter."
        )


def check_pattern(what: str, pattern: str) -> None:
    """Raises `ConstraintError` for an expression that is long, or long when written out.

    Also for one that ends in a lone backslash: the compiler drops that, and takes what is left.
    """
    check_length(what, pattern, _MOST_PATTERN)
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise ConstraintError(
            f"The {what} {pattern[-60:]!r} ends in a backslash that escapes nothing. Write two for "
            "a backslash, or leave it out."
        )
    letters = expanded_length(pattern)
    if letters > _MOST_EXPANDED:
        raise ConstraintError(
            f"The {what} stands for {letters} letters when its repetitions are written out, but "
            f"may stand for {_MOST_EXPANDED}. Repeat less."
        )


def _check_most(what: str, things: str, count: int, most: int) -> None:
    if count > most:
        raise ConstraintError(
            f"{what} has {count} {things} or more, but may have {most}. Make it smaller."
        )
