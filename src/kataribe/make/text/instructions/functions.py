"""Functions of the standard library with what their docstrings say, read without running them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kataribe.make.text.encoding import decode
from kataribe.make.text.pages import charset_of
from kataribe.make.text.sources import open_source

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|approx|resp)\.$", re.IGNORECASE)
_NO_SENTENCE = re.compile(r">>>|^\w+\(.*\)\s*->|https?://|^(?:usage|deprecated|see |todo)|::|\*\*")
_LONGEST_SOURCE = 700
"""Characters of a body that fits into a question beside its answer in a short context."""
_LONGEST_BODY = 25
"""Lines of a body; longer ones are not even written out, which is what takes the time."""
_LETTER_OR_TICK = re.compile(r"[A-Z`\"']")


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a function."""

    name: str
    """Its name, with `*` or `**` before one that takes what is left."""
    default: str | None
    """The default as it is written, or None."""


@dataclass(frozen=True, slots=True)
class Function:
    """A public function or method that says what it does."""

    module: str
    """The module, such as `json.decoder`."""
    name: str
    """Its name in the module: `dedent`, `Path.exists`."""
    arguments: tuple[Argument, ...]
    """Its parameters without `self` and `cls`."""
    sentence: str
    """The first sentence of its docstring, with a full stop."""
    source: str | None
    """Its code without the docstring, when it is short."""

    @property
    def qualified(self) -> str:
        """`textwrap.dedent`."""
        return f"{self.module}.{self.name}"

    @property
    def signature(self) -> str:
        """`textwrap.wrap(text, width=70, **kwargs)`."""
        shown = [a.name if a.default is None else f"{a.name}={a.default}" for a in self.arguments]
        return f"{self.qualified}({', '.join(shown)})"


def stdlib_functions() -> Iterator[Function]:
    """The documented public functions of the standard library, module by module."""
    for file in open_source("stdlib", Path(), lambda _: None).files:
        parts = file.label.removeprefix("stdlib/").removesuffix(".py").split("/")
        if parts[-1] == "__init__":
            parts.pop()
        if not parts or any(part.startswith("_") or "-" in part for part in parts):
            continue
        data = file.path.read_bytes()
        found = decode(data, charset_of(data))
        if found is not None:
            yield from functions_of(found.text, ".".join(parts))


def functions_of(source: str, module: str) -> Iterator[Function]:
    """The documented public functions and methods of a module's source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _function(node, module, node.name)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from _function(inner, module, f"{node.name}.{inner.name}")


def _function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, module: str, name: str
) -> Iterator[Function]:
    sentence = first_sentence(ast.get_docstring(node) or "")
    if node.name.startswith("_") or sentence is None:
        return
    source = _body(node)
    yield Function(module, name, tuple(_arguments(node.args)), sentence, source)


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """A function's code without its docstring, comments and decorators, when it is short."""
    code = node.body[1:]
    if not code or (code[-1].end_lineno or 0) - code[0].lineno > _LONGEST_BODY:
        return None
    bare = type(node)(
        name=node.name,
        args=node.args,
        body=code,
        decorator_list=[],
        returns=node.returns,
        lineno=node.lineno,
    )
    source = ast.unparse(bare)
    return source if len(source) <= _LONGEST_SOURCE else None


def _arguments(given: ast.arguments) -> Iterator[Argument]:
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults))
    for argument, default in zip(plain, [*defaults, *given.defaults], strict=True):
        if argument.arg not in ("self", "cls"):
            yield Argument(argument.arg, None if default is None else ast.unparse(default))
    if given.vararg:
        yield Argument(f"*{given.vararg.arg}", None)
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield Argument(argument.arg, None if default is None else ast.unparse(default))
    if given.kwarg:
        yield Argument(f"**{given.kwarg.arg}", None)


def first_sentence(docstring: str) -> str | None:
    """The first sentence of a docstring, or None when it has none that can stand alone."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    end = len(paragraph)
    for match in _SENTENCE_END.finditer(paragraph):
        if not _ABBREVIATION.search(paragraph[: match.end()]):
            end = match.end()
            break
    sentence = paragraph[:end].strip()
    words = sentence.split()
    usable = 3 <= len(words) <= 40 and len(sentence) <= 250 and sentence.isascii()
    if not usable or _NO_SENTENCE.search(sentence.lower()) or not _LETTER_OR_TICK.match(sentence):
        return None
    return sentence if sentence[-1] in ".!?" else f"{sentence.rstrip(':;,')}."
