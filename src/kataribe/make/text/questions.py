"""Questions about Python functions, with their answers: what instruction tuning learns from.

Every answer follows from the source alone, so it is true; some are there to be copied out of the
question (names, parameters), and some must be said in words of one's own (what it does).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

MOST_SIGNATURE = 120
"""Characters; longer ones are left out."""
MOST_SUMMARY = 160
_SENTENCE = re.compile(r"(.+?[.!?])(?=\s|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of somebody's module, as much of it as questions need."""

    module: str
    """Dotted name of its module."""
    name: str
    """Its own name."""
    signature: str
    """Its first line, `def` and colon among it."""
    parameters: tuple[str, ...]
    """Names of its parameters, `self` and `cls` left out."""
    summary: str
    """The first sentence of its docstring."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer."""

    kind: str
    """What is asked for: `purpose`, `parameters`, `count` or `name`."""
    question: str
    """As a person writes it."""
    answer: str
    """As the model should."""


def functions_of(module: str, source: str) -> Iterator[Function]:
    """The public functions and methods with a docstring; nothing where the source is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        summary = _summary(ast.get_docstring(node))
        if node.name.startswith("_") or summary is None:
            continue
        signature = f"def {node.name}({ast.unparse(node.args)}):"
        if len(signature) <= MOST_SIGNATURE:
            yield Function(module, node.name, signature, _parameters(node.args), summary)


def _summary(docstring: str | None) -> str | None:
    """The first sentence, on one line; None where there is none that stands for itself."""
    first = " ".join((docstring or "").strip().split("\n\n")[0].split())
    found = _SENTENCE.match(first)
    text = found[1] if found else ""
    return text if 12 <= len(text) <= MOST_SUMMARY and " " in text else None


def _parameters(arguments: ast.arguments) -> tuple[str, ...]:
    every = [*arguments.posonlyargs, *arguments.args]
    every += [each for each in (arguments.vararg,) if each is not None]
    every += arguments.kwonlyargs
    every += [each for each in (arguments.kwarg,) if each is not None]
    return tuple(each.arg for each in every if each.arg not in ("self", "cls"))


def _english(function: Function) -> Iterator[Exchange]:
    code = f"```python\n{function.signature}\n```"
    named = [f"`{name}`" for name in function.parameters]
    listed = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
    yield Exchange(
        "purpose",
        f"What does the function `{function.name}` of the module `{function.module}` do?",
        function.summary,
    )
    yield Exchange(
        "parameters",
        f"Which parameters does this function take?\n{code}",
        f"It takes {listed}." if named else "It takes no parameters.",
    )
    yield Exchange(
        "count", f"How many parameters does this function take?\n{code}", f"{len(named)}"
    )
    yield Exchange("name", f"What is the name of this function?\n{code}", f"`{function.name}`")


def _japanese(function: Function) -> Iterator[Exchange]:
    code = f"```python\n{function.signature}\n```"
    named = "、".join(f"`{name}`" for name in function.parameters)
    yield Exchange(
        "parameters",
        f"この関数の引数は何ですか。\n{code}",
        f"引数は{named}です。" if named else "引数はありません。",
    )
    yield Exchange(
        "count",
        f"この関数の引数はいくつありますか。\n{code}",
        f"{len(function.parameters)}個です。",
    )
    yield Exchange("name", f"この関数の名前は何ですか。\n{code}", f"名前は`{function.name}`です。")


WORDINGS: Mapping[str, Callable[[Function], Iterator[Exchange]]] = {
    "en": _english,
    "ja": _japanese,
}
"""Languages in which questions are asked; summaries are in the source's own, so `ja` has none."""
