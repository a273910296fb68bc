"""Which module imports which: read from the source, so that hidden imports count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

PACKAGE = "kataribe"

_IMPORTERS = ("import_module", "__import__")
"""What imports by name: fine when called with the name written out, a computed import otherwise."""

_HIDDEN = ("exec", "eval", "runpy", "pkgutil", "sys.modules")
"""What runs or finds modules out of sight: a computed import wherever it stands."""


@dataclass(frozen=True)
class Import:
    """One import. `target` is a module of ours without `kataribe.`, or an `outside` one.

    `types_only` says that it stands under `if TYPE_CHECKING`. A target of None is computed.
    """

    target: str | None
    line: int
    outside: bool
    types_only: bool


@dataclass(frozen=True)
class Module:
    """A source file with its tree and its imports, those inside functions included."""

    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]


def read_modules(package: Path) -> dict[str, Module]:
    """The modules of a package by name (`run.catalog.card`; the package itself is '')."""
    files = {_name(path, package): path for path in sorted(package.rglob("*.py"))}
    modules = {}
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        is_package = path.name == "__init__.py"
        found = tuple(_imports(tree, name, is_package, frozenset(files)))
        modules[name] = Module(path.relative_to(package.parents[1]), tree, found)
    return modules


def _name(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(
    tree: ast.AST, module: str, is_package: bool, known: frozenset[str], types_only: bool = False
) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            for child in node.body:
                holder = ast.Module([child], [])
                yield from _imports(holder, module, is_package, known, types_only=True)
            for child in node.orelse:
                yield from _imports(ast.Module([child], []), module, is_package, known, types_only)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _import(alias.name, node.lineno, types_only)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(node, module, is_package, known, types_only)
        elif isinstance(node, ast.Call) and _name_of(node.func) in _IMPORTERS:
            yield _dynamic(node, types_only)
            node = ast.Tuple([*node.args, *(keyword.value for keyword in node.keywords)])
        elif _is_hidden(node):
            yield Import(None, node.lineno, outside=True, types_only=types_only)
        yield from _imports(node, module, is_package, known, types_only)


def _from(
    node: ast.ImportFrom, module: str, is_package: bool, known: frozenset[str], types_only: bool
) -> Iterator[Import]:
    base = node.module or ""
    if node.level:
        steps = [PACKAGE, *(module.split(".") if module else [])]
        up = node.level - 1 if is_package else node.level
        base = ".".join([*steps[: len(steps) - up], *([base] if base else [])])
    for alias in node.names:
        whole = f"{base}.{alias.name}"
        renamed = alias.name in _IMPORTERS and alias.asname not in (None, alias.name)
        if renamed or whole in _HIDDEN:
            yield Import(None, node.lineno, outside=True, types_only=types_only)
        is_submodule = whole.removeprefix(f"{PACKAGE}.") in known
        inside = base == PACKAGE or base.startswith(f"{PACKAGE}.")
        yield _import(base if inside and not is_submodule else whole, node.lineno, types_only)


def _import(name: str, line: int, types_only: bool) -> Import:
    if name.partition(".")[0] in _HIDDEN or name.startswith("."):
        return Import(None, line, outside=True, types_only=types_only)
    if name == PACKAGE or name.startswith(f"{PACKAGE}."):
        ours = name.removeprefix(PACKAGE).removeprefix(".")
        return Import(ours, line, outside=False, types_only=types_only)
    return Import(name, line, outside=True, types_only=types_only)


def _dynamic(node: ast.Call, types_only: bool) -> Import:
    argument = node.args[0] if node.args else None
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return _import(argument.value, node.lineno, types_only)
    return Import(None, node.lineno, outside=True, types_only=types_only)


def _is_hidden(node: ast.AST) -> TypeGuard[ast.Name | ast.Attribute]:
    """Whether a name reaches modules in a way that the source does not show."""
    if isinstance(node, ast.Name):
        return node.id in _IMPORTERS or node.id in _HIDDEN
    if not isinstance(node, ast.Attribute):
        return False
    return node.attr in _IMPORTERS or f"{_name_of(node.value)}.{node.attr}" in _HIDDEN


def _name_of(expression: ast.expr) -> str:
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def _is_type_checking(test: ast.expr) -> bool:
    return _name_of(test) == "TYPE_CHECKING"
