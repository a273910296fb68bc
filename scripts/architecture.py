"""Checks the plan of the house against the code; prints what breaks it.

The rules are DESIGN's: rooms import only what their row of `ROOMS` allows, imports hidden inside
functions and under `TYPE_CHECKING` counted alike (only the doors, `serve` and `cli`, may name the
types of any room); no cycle between modules; some modules never lead to torch; sizes, names and
handling of errors are as agreed. `check(root)` gives the complaints; tests feed it bad trees.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that it runs as a script, too

from scripts.house_rules import house_complaints  # noqa: E402
from scripts.imports import Import, Module, read_modules  # noqa: E402

# room: the rooms that it may import besides itself
ROOMS: Mapping[str, frozenset[str]] = {
    room: frozenset(allowed.split())
    for room, allowed in {
        "base": "",
        "files": "base",
        "sandbox": "base",
        "store": "base",
        "make.text": "base",
        "make.tokens": "base files",
        "make.model": "base files",
        "make.adapt": "base files make.model",
        "make.training": "base files make.text make.tokens make.model make.adapt",
        "run.catalog": "base files store",
        "run.inference": "base files make.tokens make.model make.adapt",
        "run.providers": "base",
        "use.prompts": "base store",
        "use.guards": "base",
        "use.chats": "base store",
        "use.knowledge": "base store sandbox make.text use.prompts",
        "use.agents": "base store sandbox use.prompts",
        "use.media": "base",
        "use.assistants": "base store use.prompts use.guards use.knowledge use.agents use.media",
        "prove.evals": "base store sandbox use.prompts",
        "prove.ops": "base store",
        "prove.ladder": "base store prove.evals prove.ops",
        "serve": "base store",
    }.items()
}
ROOMS = {**ROOMS, "cli": frozenset(ROOMS), "__main__": frozenset({"cli"})}
PLAN = "ROOMS in scripts/architecture.py"
WINGS = frozenset({"make", "run", "use", "prove"})
NAMES_TYPES_OF_ANY_ROOM = frozenset({"serve", "cli"})

# Modules (or whole rooms) from which no chain of imports leads to torch.
TORCH_FREE = (
    "base",
    "files",
    "sandbox",
    "store",
    "make.text",
    "make.tokens",
    "make.model.configs",
    "make.model.families",
    "make.model.weights.checkpoint",
    "run.catalog",
    "run.inference",
    "run.providers",
    "serve",
)
# Inside those, what computes with torch.
WITH_TORCH = frozenset(
    {
        "run.inference.attention",
        "run.inference.attention_view",
        "run.inference.embedding.runner",
        "run.inference.kv_cache",
        "run.inference.states",
        "run.inference.runner",
        "run.inference.source_attention",
        "run.inference.source_runner",
        "run.inference.torch_load",
    }
)
# Imports inside functions that only run where torch is wanted: from, to.
ON_REQUEST = frozenset(
    {
        ("run.inference.load", "run.inference.torch_load"),
        ("run.inference.embedding.load", "run.inference.embedding.runner"),
    }
)
# What runs the code of strangers: a program of its own, behind walls where nothing of ours is.
RUNS_CODE = frozenset({"sandbox.interpreter"})
LEADS_TO_TORCH = ("torch", "transformers", "safetensors.torch", "accelerate", "peft")


def room_of(module: str) -> str:
    """The room that a module (`run.catalog.card`, without `kataribe.`) belongs to."""
    first, _, rest = module.partition(".")
    if first in WINGS and rest:
        return f"{first}.{rest.partition('.')[0]}"
    return first


def check(root: Path) -> list[str]:
    """Everything in `root/src/kataribe` that breaks the plan, one line each."""
    modules = read_modules(root / "src" / "kataribe")
    complaints = [*_table_complaints(), *_unknown_rooms(modules), *_forbidden_imports(modules)]
    complaints += _cycles(modules)
    complaints += _torch(modules)
    complaints += house_complaints(root)
    return sorted(complaints)


def _table_complaints() -> Iterator[str]:
    done: set[str] = set()
    waiting = dict(ROOMS)
    while waiting:
        ready = [room for room, allowed in waiting.items() if allowed <= done]
        if not ready:
            yield f"the table of rooms has a cycle among {', '.join(sorted(waiting))}"
            return
        done.update(ready)
        for room in ready:
            del waiting[room]


def _unknown_rooms(modules: Mapping[str, Module]) -> Iterator[str]:
    for name, module in modules.items():
        if name in ("", *WINGS):
            for found in module.imports:
                yield f"{module.path}:{found.line}: {found.target}: keep a wing's door empty"
        elif room_of(name) not in ROOMS:
            yield f"{module.path}:1: {room_of(name)} is no room of the plan ({PLAN})"


def _forbidden_imports(modules: Mapping[str, Module]) -> Iterator[str]:
    for name, module in modules.items():
        room = room_of(name)
        allowed = ROOMS.get(room, frozenset())
        for found in module.imports:
            if found.target in RUNS_CODE:
                yield f"{module.path}:{found.line}: {found.target} is a program, not to be imported"
            if found.target is None and name in RUNS_CODE:
                continue
            if found.target is None:
                yield f"{module.path}:{found.line}: imports a computed name; nobody can check that"
                continue
            if found.outside or found.target in ("", *WINGS):
                continue
            target = room_of(found.target)
            if target == room or target in allowed:
                continue
            if target == "cli":
                yield f"{module.path}:{found.line}: only __main__ may import cli"
            elif not (found.types_only and room in NAMES_TYPES_OF_ANY_ROOM):
                yield f"{module.path}:{found.line}: {room} may not import {target} ({found.target})"


def _cycles(modules: Mapping[str, Module]) -> Iterator[str]:
    graph = {
        name: sorted({i.target for i in module.imports if not i.outside and i.target in modules})
        for name, module in modules.items()
    }
    for component in _components({n: [t for t in ts if t != n] for n, ts in graph.items()}):
        if len(component) > 1:
            circle = ", ".join(sorted(component))
            yield f"{modules[min(component)].path}:1: these import each other in a circle: {circle}"


def _components(graph: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Strongly connected components (Tarjan 1972), with a stack of our own."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_nodes: list[str] = []
    for start in graph:
        if start in index:
            continue
        index[start] = low[start] = len(index)
        open_nodes.append(start)
        path = [(start, iter(graph[start]))]
        while path:
            node, edges = path[-1]
            step = next(edges, None)
            if step is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = open_nodes.index(node)
                    yield open_nodes[cut:]
                    del open_nodes[cut:]
            elif step not in index:
                index[step] = low[step] = len(index)
                open_nodes.append(step)
                path.append((step, iter(graph[step])))
            elif step in open_nodes:
                low[node] = min(low[node], index[step])


def is_torch_free(name: str) -> bool:
    """Whether the plan says that importing this module does not bring torch in."""
    listed = any(name == free or name.startswith(f"{free}.") for free in TORCH_FREE)
    return listed and name not in WITH_TORCH


def _torch(modules: Mapping[str, Module]) -> Iterator[str]:
    for name in modules:
        if is_torch_free(name):
            chain = _way_to_torch(name, modules)
            if chain:
                yield f"{modules[name].path}:1: leads to torch: {' -> '.join(chain)}"


def _way_to_torch(start: str, modules: Mapping[str, Module]) -> list[str] | None:
    """The shortest chain of imports from a module to torch, those for types alone left out."""
    waiting = [[start]]
    seen = {start}
    while waiting:
        chain = waiting.pop(0)
        for found in _runtime_imports(chain[-1], modules):
            target = found.target or ""
            if found.outside:
                if any(target == name or target.startswith(f"{name}.") for name in LEADS_TO_TORCH):
                    return [*chain, target]
            elif target in modules and target not in seen:
                seen.add(target)
                waiting.append([*chain, target])
    return None


def _runtime_imports(name: str, modules: Mapping[str, Module]) -> Iterator[Import]:
    for found in modules[name].imports:
        waits = (name, found.target) in ON_REQUEST and _is_inside(modules[name], found.line)
        if not found.types_only and not waits:
            yield found
    above = name.rpartition(".")[0]
    if above in modules:  # importing a module runs its package's __init__
        yield Import(above, line=1, outside=False, types_only=False)


def _is_inside(module: Module, line: int) -> bool:
    """Whether a line belongs to a function, so that it does not run at import."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.lineno < line <= (node.end_lineno or node.lineno)
        for node in ast.walk(module.tree)
    )


def main() -> int:
    """Prints the complaints about this tree."""
    complaints = check(ROOT)
    print("\n".join(complaints) or "The house stands as planned.")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
