"""All that is wrong with a recipe, each with its place, before anybody asks it.

`read_recipe` ends at the first fault; a page shows all of them beside their fields. Beyond names
and ranges, this looks at what the parts know without a model: options of techniques, tools and
guards, regular expressions, and circles of assistants.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic_core import PydanticSerializationError

from kataribe.base.errors import FormatError, InputError, KataribeError, UnsupportedError
from kataribe.base.events import Event
from kataribe.base.lm import Capabilities, Request
from kataribe.use.assistants.means import knowledge_faults
from kataribe.use.assistants.recipe import (
    Recipe,
    faults_of,
    read_node,
    read_plain,
)
from kataribe.use.assistants.router import ANY
from kataribe.use.assistants.toolbox import check_names, check_tool
from kataribe.use.guards.settings import guards_of
from kataribe.use.prompts.registry import entry_of, read_options

MOST_PROBLEMS = 50
"""Of one recipe; whoever has more begins with these."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a recipe.

    Attributes:
        place: The steps to the field, as in `sampling.temprature`; empty for the whole.
        message: What is wrong, what it may be, near names.
        line: Of the text, counted from 1; None where the place stands nowhere in it.
    """

    place: str
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """What a recipe's text says.

    Attributes:
        recipe: None where it cannot be read.
        fields: The same as plain JSON values, without what is as usual; None with it.
        problems: In the order of their places; empty where it holds.
    """

    recipe: Recipe | None
    fields: dict[str, Any] | None
    problems: tuple[Problem, ...]


Check: TypeAlias = Callable[[Recipe], None]
"""Raises what else is wrong with a recipe."""


def look(text: str, where: str, *more: Check) -> Looked:
    """Reads a recipe; `more` checks raise what else is wrong with one that can be read."""
    recipe: Recipe | None = None
    fields: dict[str, Any] | None = None
    faults: list[KataribeError] = []
    try:
        value = read_plain(text, where)
        faults += faults_of(value, where)
        if not faults:
            found = Recipe.model_validate(dict(value))
            fields = plain_fields(found, where)
            recipe = found
    except KataribeError as error:
        faults.append(error)
    if recipe is not None:
        faults += parts_faults(recipe)
        for check in more:
            with _collecting(faults):
                check(recipe)
    lines = _Lines(text)
    problems = (
        Problem(error.param or "", error.message, lines.of(error.param or ""))
        for error in faults[:MOST_PROBLEMS]
    )
    return Looked(recipe, fields, tuple(problems))


def plain_fields(recipe: Recipe, where: str) -> dict[str, Any]:
    """A recipe as JSON values; `FormatError` where YAML says what JSON cannot."""
    try:
        plain: dict[str, Any] = recipe.model_dump(mode="json", exclude_defaults=True)
        json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()
    except (PydanticSerializationError, ValueError, RecursionError, TypeError) as error:
        raise FormatError(
            f"{where} holds a value that is no text, number, list or mapping ({error})."
        ) from None
    return plain


def parts_faults(recipe: Recipe) -> list[KataribeError]:
    """What techniques, tools, guards and patterns find wrong, with the places in the recipe."""
    faults: list[KataribeError] = []
    for check in (_technique, _tools, knowledge_faults, _guards, _patterns):
        faults += check(recipe)
    return faults


def _technique(recipe: Recipe) -> Iterator[KataribeError]:
    named = recipe.technique
    if named is None:
        return
    try:
        entry = entry_of(named.name)
    except KataribeError as error:
        yield _at("technique.name", error)
        return
    acts = entry.name == "react"
    if acts and not recipe.tools:
        yield InputError("The technique react acts with tools; name some.", param="tools")
    if not acts and recipe.tools:
        yield InputError(
            f"The technique {entry.name} uses no tools. Leave out the tools, or take react.",
            param="technique.name",
        )
    try:
        read_options(entry.name, named.options)
    except KataribeError as error:
        place = "technique.options"
        yield _at(f"{place}.{error.param}" if error.param else place, error)


def _tools(recipe: Recipe) -> Iterator[KataribeError]:
    for number, twice in check_names(recipe.tools):
        yield _at(f"tools.{number}", twice)
    for number, tool in enumerate(recipe.tools):
        try:
            check_tool(tool)
        except KataribeError as error:
            yield _at(f"tools.{number}", error)


def _guards(recipe: Recipe) -> Iterator[KataribeError]:
    for name, value in recipe.guards.items():
        place = f"guards.{name}"
        if name == "standard":
            if not isinstance(value, bool):
                message = f"guards.standard is {value!r:.80}, but it must be true or false."
                yield InputError(message, param=place)
            continue
        try:
            guards_of({name: value}, judge=_Nobody())
        except KataribeError as error:
            inside = isinstance(value, dict) and error.param in value
            yield _at(f"{place}.{error.param}" if inside else place, error)


def _patterns(recipe: Recipe) -> Iterator[KataribeError]:
    found = []
    if recipe.router is not None:
        file = recipe.router.learned
        if file and Path(file).name != file:
            message = (
                f"router.learned is {file!r}, but it must be the name of a file beside the recipe."
            )
            yield InputError(message, param="router.learned")
        found += [
            (f"router.rules.{number}.pattern", rule.pattern)
            for number, rule in enumerate(recipe.router.rules)
        ]
    found += [(f"tests.{number}.matches", test.matches) for number, test in enumerate(recipe.tests)]
    for place, pattern in found:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            message = f"{place} is {pattern!r:.80}, which is no regular expression: {error}."
            yield InputError(message, param=place)


def _at(place: str, error: KataribeError) -> InputError:
    return InputError(error.message, param=place)


@contextlib.contextmanager
def _collecting(faults: list[KataribeError]) -> Iterator[None]:
    try:
        yield
    except KataribeError as error:
        faults.append(error)


class _Nobody:
    """Stands where a guard wants a judge; nobody asks it."""

    name = "nobody"
    capabilities: Capabilities = ANY

    def stream(self, request: Request) -> AsyncIterator[Event]:
        del request
        raise UnsupportedError("Nobody answers here.")


class _Lines:
    """Where in a text its places stand."""

    def __init__(self, text: str) -> None:
        self._node: yaml.Node | None = None
        self._broken: int | None = None
        try:
            self._node = read_node(text, "")
        except KataribeError as error:
            mark = getattr(error.__cause__, "problem_mark", None)
            self._broken = None if mark is None else mark.line + 1

    def of(self, place: str) -> int | None:
        """The line of a place, or of the nearest part of its way that stands there."""
        if self._node is None:
            return self._broken
        node, line = self._node, None
        for step in place.split("."):
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return line


def _child(node: yaml.Node, step: str) -> tuple[int, yaml.Node] | None:
    """A step down: the line where it begins, and what is there."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == step:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and step.isdecimal() and int(step) < len(node.value):
        child = node.value[int(step)]
        return child.start_mark.line + 1, child
    return None
