"""The habits of the house, file by file: sizes, names, handling of errors, nothing left undone."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

LONGEST_FUNCTION = 60
P90_FUNCTION = 35
LONGEST_FILE = 400
LONGEST_EXAMPLE = 40
MOST_PARAMETERS = 7
NO_NAMES = re.compile(r"(.*_)?(utils?|helpers?|common|misc|managers?)")
EDGES = ("cli", "serve")  # where an unexpected error may be caught, to be told to somebody
UNDONE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
BARE = re.compile(r"#\s*(type:\s*ignore|noqa)\s*(?![\[:\w])")


def house_complaints(root: Path) -> Iterator[str]:
    """What breaks the habits in `root`, one line each."""
    package = root / "src" / "kataribe"
    lengths: list[int] = []
    for path in _sources(root):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, filename=str(path))
        where = path.relative_to(root)
        yield from _file_complaints(where, text, tree)
        if where.parts[0] == "tests":
            continue
        yield from _function_complaints(where, tree, lengths)
        if package in path.parents:
            inside = path.relative_to(package)
            yield from _package_complaints(where, tree, edge=inside.parts[0] in EDGES)
            if inside.parts[0] != "cli":
                yield from _work_at_import(where, tree)
    if lengths and (p90 := sorted(lengths)[int(0.9 * (len(lengths) - 1))]) > P90_FUNCTION:
        yield f"src: one function in ten has {p90} lines or more; at most {P90_FUNCTION}"


def _sources(root: Path) -> Iterator[Path]:
    for folder in ("src", "scripts", "examples", "benchmarks", "tests"):
        yield from sorted((root / folder).rglob("*.py"))


def _file_complaints(where: Path, text: str, tree: ast.Module) -> Iterator[str]:
    limit = LONGEST_EXAMPLE if where.parts[0] == "examples" else LONGEST_FILE
    lines = text.count("\n")
    if lines > limit and where.parts[0] != "tests":
        yield f"{where}:1: {lines} lines; at most {limit}"
    if any(NO_NAMES.fullmatch(part) for part in where.with_suffix("").parts):
        yield f"{where}:1: the name says nothing; name it for what it is"
    for line, comment in _comments(text):
        if UNDONE.search(comment):
            yield f"{where}:{line}: leaves work undone: {comment}"
        if BARE.search(comment):
            yield f"{where}:{line}: ignores everything; name the rule: {comment}"
    if where.parts[0] == "src" and ast.get_docstring(tree) is None:
        yield f"{where}:1: has no docstring, from which the map of the house is drawn"


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _function_complaints(where: Path, tree: ast.Module, lengths: list[int]) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        spot = f"{where}:{node.lineno}"
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if where.parts[0] == "src":
            lengths.append(length)
        if length > LONGEST_FUNCTION:
            yield f"{spot}: {node.name} has {length} lines; at most {LONGEST_FUNCTION}"
        names = [argument.arg for argument in _parameters(node)]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > MOST_PARAMETERS and not _is_command(where, node):
            yield f"{spot}: {node.name} takes {count} parameters; at most {MOST_PARAMETERS}"


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _is_command(where: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command's parameters are its flags, so there may be more of them.

    Each is `Annotated[...]` on the spot, or one of the shared ones of `cli/options.py`.
    """
    annotations = [argument.annotation for argument in _parameters(node)]
    flags = ("Annotated[", "options.")
    return where.parts[:3] == ("src", "kataribe", "cli") and all(
        annotation is not None and ast.unparse(annotation).startswith(flags)
        for annotation in annotations
    )


def _package_complaints(where: Path, tree: ast.Module, *, edge: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
            yield f"{where}:{node.lineno}: leaves work undone: NotImplementedError"
        if edge:
            continue
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _goes_on(node):
            yield f"{where}:{node.lineno}: catches everything; only {' and '.join(EDGES)} may"
        if isinstance(node, ast.Call) and _suppresses_all(node):
            yield f"{where}:{node.lineno}: suppresses everything; only {' and '.join(EDGES)} may"


def _suppresses_all(call: ast.Call) -> bool:
    named = ast.unparse(call.func).rpartition(".")[2] == "suppress"
    return named and any(_is_broad(argument) for argument in call.args)


def _is_broad(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_broad(each) for each in kind.elts)
    return kind is None or ast.unparse(kind) in ("Exception", "BaseException")


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Cleaning up and raising again hides nothing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _work_at_import(where: Path, tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        call = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
        if call or isinstance(node, ast.For | ast.While | ast.With):
            yield f"{where}:{node.lineno}: works at import: {ast.unparse(node).splitlines()[0]}"
