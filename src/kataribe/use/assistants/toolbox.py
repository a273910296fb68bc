"""Tools by the names that recipes and flags use, each with the options that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.lm import Tool
from kataribe.base.nearness import meant
from kataribe.use.agents.mcp.names import PREFIX
from kataribe.use.agents.tools.approvals import Approval, Approvals
from kataribe.use.agents.tools.calculator import calculate
from kataribe.use.agents.tools.clock import clock_tools
from kataribe.use.agents.tools.fetch import fetch_tool
from kataribe.use.agents.tools.files import FileRules, file_tools
from kataribe.use.agents.tools.function import function_tool
from kataribe.use.agents.tools.python import PythonTool
from kataribe.use.agents.tools.units import convert_units
from kataribe.use.agents.tools.web_search import web_search_tools
from kataribe.use.assistants.means import Means, at_home, documents_tool, label_tool, model_tool
from kataribe.use.assistants.recipe import DOCUMENTS, MODEL, Named


@dataclass(frozen=True, slots=True)
class Kind:
    """A tool, or some that belong together.

    Attributes:
        name: By which recipes ask for it.
        line: What it does.
        approval: Where neither recipe nor user says another: `always` for what harms nobody.
        make: Makes it of the stack, onto which goes what must be closed, and the means.
        reaches: It reads this machine's own files, or an address that the recipe chooses.
        is_model: It is a model itself, from which guards hide what they hide from models.
    """

    name: str
    line: str
    approval: Approval
    make: Callable[..., Sequence[Tool]]
    reaches: bool = False
    is_model: bool = False


NOTHING = Means()


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of one assistant, the user's word on each, and which are models themselves."""

    tools: tuple[Tool, ...]
    approvals: Approvals
    models: frozenset[str] = frozenset()


def open_toolbox(
    named: Iterable[Named],
    default: Approval,
    stack: ExitStack,
    remote: Mapping[str, Sequence[Tool]] | None = None,
    means: Means = NOTHING,
) -> Toolbox:
    """The tools that a recipe names; `stack` closes what they hold.

    A tool's approval is what the recipe says for it; else its own where that is `always`; else
    `default`. `remote` has the tools of MCP servers, by what the recipe calls them (see
    `remote.reach`), `means` what tools need. Raises `NotFoundError` for an unknown tool and
    `InputError` for an unknown option, both with near names, and for two tools of one name.
    """
    tools: list[Tool] = []
    words: dict[str, Approval] = {}
    models: set[str] = set()
    for each in named:
        word: Approval = each.approval or default
        if remote is not None and each.name in remote:
            made = remote[each.name]
        else:
            kind = kind_of(each.name)
            made = kind.make(stack, means, **_options(kind, each.options))
            word = each.approval or ("always" if kind.approval == "always" else default)
            models |= {tool.spec.name for tool in made if kind.is_model}
        for tool in made:
            if tool.spec.name in words:
                raise InputError(_twice(each, tool.spec.name), param="tools")
            words[tool.spec.name] = word
        tools += made
    return Toolbox(tuple(tools), Approvals(default, words), frozenset(models))


def check_tool(named: Named) -> None:
    """Raises what `open_toolbox` would of a recipe's tool and its options, and makes nothing."""
    kind = kind_of(named.name)
    options = _options(kind, named.options)
    if kind.make is _files:
        _folder(options["folder"], of_recipe=True)


def check_names(named: Sequence[Named]) -> Iterator[tuple[int, InputError]]:
    """Which of the tools, by their places, have the name of one before them."""
    known: set[tuple[str, str]] = set()
    for place, each in enumerate(named):
        # One that asks a model is called by that, where it has no name of its own.
        called = each.options.get("name") or each.options.get("model") or ""
        if (key := (each.name, str(called))) in known:
            yield place, InputError(_twice(each, each.name), param="tools")
        known.add(key)


def _twice(named: Named, tool: str) -> str:
    kind = KINDS.get(named.name)
    can = kind is not None and "name" in _parameters(kind)
    way = f" Give one of them the option name: {{name: {named.name}, options: {{name: ...}}}}"
    return f"The tool {tool} is named twice.{way if can else ''}"


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a tool: its name, `text` or `switch`, and whether it must be given."""

    name: str
    kind: str
    needed: bool


def options_of(kind: Kind) -> tuple[Option, ...]:
    """The options that a tool takes."""
    return tuple(
        Option(
            name,
            "switch" if str(parameter.annotation) == "bool" else "text",
            parameter.default is inspect.Parameter.empty,
        )
        for name, parameter in _parameters(kind).items()
    )


def kind_of(name: str) -> Kind:
    """The tool of that name; `NotFoundError` suggests near ones."""
    if name in KINDS:
        return KINDS[name]
    if name.startswith(PREFIX):
        raise NotFoundError(
            f"The tool {name!r:.80} is an MCP server's, and there are none here.", param="tools"
        )
    raise NotFoundError(f"There is no tool {name!r:.80}. {meant(name, KINDS)}", param="tools")


def _parameters(kind: Kind) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(kind.make).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _options(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    known = _parameters(kind)
    for name in given:
        if name not in known:
            hint = meant(name, known, there="It has")
            raise InputError(f"The tool {kind.name} has no option {name!r}. {hint}", param="tools")
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in given:
            raise InputError(f"The tool {kind.name} needs the option {name}.", param="tools")
        wanted = _TYPES[str(parameter.annotation)]
        if name in given and not isinstance(given[name], wanted):
            raise InputError(
                f"The tool {kind.name} has {name} {given[name]!r:.80}, but it must be a "
                f"{wanted.__name__}.",
                param="tools",
            )
    return dict(given)


_TYPES = {"str": str, "bool": bool}


def _calculator(*_: object) -> Sequence[Tool]:
    return (function_tool(calculate, name="calculator"),)


def _clock(*_: object) -> Sequence[Tool]:
    return clock_tools()


def _units(*_: object) -> Sequence[Tool]:
    return (function_tool(convert_units),)


def _python(stack: ExitStack, _: Means) -> Sequence[Tool]:
    made = PythonTool()
    stack.callback(made.close)
    return (made.tool,)


def _files(
    _: ExitStack, means: Means, *, folder: str, write: bool = False, name: str = ""
) -> Sequence[Tool]:
    place = _folder(folder, of_recipe=means.folder is not None)
    return file_tools(place, FileRules(write=write), name)


def _folder(said: str, *, of_recipe: bool) -> Path:
    """A folder of files: a recipe's is the same wherever its program was started."""
    path = at_home(said)
    if of_recipe and not path.is_absolute():
        raise InputError(
            f"The tool files has the folder {said!r:.200}, which is no whole path. Write one that "
            "begins with / or with ~/ (your own home folder).",
            param="tools",
        )
    return path


def _fetch(*_: object) -> Sequence[Tool]:
    return (fetch_tool(),)


def _search(*_: object, address: str) -> Sequence[Tool]:
    return web_search_tools(address)


def _model(
    _: ExitStack, means: Means, *, model: str, name: str = "", about: str = "", system: str = ""
) -> Sequence[Tool]:
    return (model_tool(means, model, name, about, system),)


def _classifier(
    _: ExitStack, means: Means, *, model: str, name: str = "", about: str = ""
) -> Sequence[Tool]:
    return (label_tool(means, model, name, about),)


def _documents(
    _: ExitStack,
    means: Means,
    *,
    folder: str = "",
    about: str = "",
    name: str = "",
    meaning: bool = False,
) -> Sequence[Tool]:
    return (documents_tool(means, folder, name, about, meaning=meaning),)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("calculator", "computes exactly", "always", _calculator),
        Kind("clock", "the time anywhere, days between dates, Japanese eras", "always", _clock),
        Kind("units", "converts units", "always", _units),
        Kind("python", "runs Python in a process without rights or network", "ask", _python),
        Kind("files", "lists, reads and searches the files of a folder, and writes them where "
             "`write` is true", "ask", _files, reaches=True),
        Kind("web-page", "fetches a public web page as text", "ask", _fetch),
        Kind("web-search", "searches the web through the SearXNG at `address`", "ask", _search,
             reaches=True),
        Kind(DOCUMENTS, "searches the documents under `knowledge`, or a folder; by meaning, too, "
             "where `meaning` is true", "always", _documents, reaches=True),
        Kind(MODEL, "asks another model, or an assistant, that is good at something", "always",
             _model, is_model=True),
        Kind("classifier", "has texts labelled by a model made for that", "always", _classifier,
             is_model=True),
    )
}  # fmt: skip
"""Every tool that a recipe can name."""
