r"""Prompt templates: words with named variables, a version (their hash), and what changed.

`{{name}}` stands for a variable; nothing is computed, so a template from a stranger can do nothing
but say words. A literal `{{` is written `\{{`; a single brace, and `}}`, are themselves.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from kataribe.base.errors import InputError

_PIECE = re.compile(r"\\\{\{|\{\{(?P<inside>[^{}\n]*)\}\}|\{\{")
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Template:
    """A text with variables; equal texts are equal templates.

    Raises `InputError` for a `{{` that begins no variable, with its line.
    """

    text: str

    def __post_init__(self) -> None:
        for found in _PIECE.finditer(self.text):
            if not _is_literal(found) and _name(found) is None:
                line = self.text.count("\n", 0, found.start()) + 1
                raise InputError(
                    f"Line {line} of the template has {found[0]!r}, which is no variable. A "
                    "variable is {{name}}: letters, digits and underscores, no digit first. "
                    "Write \\{{ for braces that are to stay.",
                    param="template",
                )

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables, each once, in the order in which they first stand."""
        names = [_name(found) for found in _PIECE.finditer(self.text)]
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @property
    def version(self) -> str:
        """sha256 of the text in UTF-8, in hexadecimal; the first 12 digits do for people."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def render(self, values: Mapping[str, str]) -> str:
        """The text with every variable replaced; a value is never read as a template again.

        Raises `InputError` that names every missing and every unknown variable, or a value that
        is no text.
        """
        self._check(values)

        def value(found: re.Match[str]) -> str:
            name = _name(found)
            return "{{" if name is None else values[name]

        return _PIECE.sub(value, self.text)

    def _check(self, values: Mapping[str, str]) -> None:
        wanted = self.variables
        missing = [name for name in wanted if name not in values]
        unknown = [name for name in values if name not in wanted]
        complaints = []
        if missing:
            complaints.append(f"no value for {_listed(missing)}")
        if unknown:
            complaints.append(f"a value for {_listed(unknown)}, which it does not have")
        if complaints:
            has = f"Its variables are {_listed(wanted)}." if wanted else "It has no variables."
            raise InputError(
                f"The template was given {' and '.join(complaints)}. {has}", param="variables"
            )
        for name in wanted:
            # Values come from JSON, too, where the annotation binds nobody.
            if not isinstance(values[name], str):
                kind = type(values[name]).__name__
                raise InputError(
                    f"The value of {name!r} is of type {kind}, but must be text.",
                    param="variables",
                )


def difference(old: Template, new: Template, *, context: int = 3) -> str:
    """What changed between two versions, as a unified diff; empty where nothing did.

    Args:
        old: The earlier version.
        new: The later one.
        context: Unchanged lines around each change.
    """
    lines = difflib.unified_diff(
        old.text.splitlines(),
        new.text.splitlines(),
        old.version[:12],
        new.version[:12],
        n=context,
        lineterm="",
    )
    told = "\n".join(lines)
    if not told and old != new:  # a diff of lines is blind to how lines end
        return f"--- {old.version[:12]}\n+++ {new.version[:12]}\nOnly the ends of lines differ."
    return told


def _is_literal(found: re.Match[str]) -> bool:
    return found[0].startswith("\\")


def _name(found: re.Match[str]) -> str | None:
    inside = found["inside"]
    name = "" if inside is None else inside.strip()
    return name if _NAME.fullmatch(name) else None


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(repr(name) for name in names)
