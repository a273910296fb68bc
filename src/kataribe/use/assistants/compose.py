"""A recipe becomes an `LM`, for as long as a block lasts.

From the inside out: the model, lent for the block; what it is told and how it draws; facts about
the person; an agent's loop or a technique; a router, where there is one, which lends all of this
when it has chosen a model; guards around all of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kataribe.base.encoders import Embedder
from kataribe.base.errors import InputError, NotFoundError, SettingsError
from kataribe.base.lm import LM, Tool
from kataribe.base.messages import ToolCallPart
from kataribe.use.agents.calling import Approval
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.memory import Facts, Recall, Remember, Remembering
from kataribe.use.agents.tools.calling import call_tool
from kataribe.use.agents.turns import MemoryTurns, Turns
from kataribe.use.agents.working import AgentLimits
from kataribe.use.assistants.in_text import Either, InText
from kataribe.use.assistants.instructed import Instructed
from kataribe.use.assistants.learned import load_learned
from kataribe.use.assistants.means import (
    LendClassifier,
    Means,
    documents_search,
    knowledge_faults,
)
from kataribe.use.assistants.recipe import Limit, Recipe
from kataribe.use.assistants.remote import Announced, reach
from kataribe.use.assistants.router import Lend, Router
from kataribe.use.assistants.toolbox import Toolbox, open_toolbox
from kataribe.use.guards.guarded import Guarded
from kataribe.use.guards.settings import STANDARD, guards_of
from kataribe.use.prompts.registry import Parts, technique
from kataribe.use.prompts.retrieval import Search

if TYPE_CHECKING:
    from kataribe.use.agents.mcp.servers import Servers

MEMORY_TOKENS = 400
"""Most of a system text that facts about a person may take."""


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around assistants and is not in their recipes.

    Attributes:
        lend: Gives models, and other assistants, by name.
        default: The model of recipes that name none.
        folder: Where recipes lie, for what they name beside them, documents among it.
        facts: What is remembered about people; None where nothing is.
        embedder: For choosing examples and passages by what they mean.
        turns: Where turns wait that need somebody's consent.
        limited: Holds an `LM` to limits; None where nobody counts.
        servers: MCP servers, whose tools recipes may name; None where there are none.
        metered: Counts a tool's calls; None where nobody does.
        classifiers: Gives models of labels by name; None where there are none.
        about: What an assistant is for, in a line; None where nobody knows.
    """

    lend: Lend
    default: str
    folder: Path
    facts: Facts | None = None
    embedder: Embedder | None = None
    turns: Turns | None = None
    limited: Callable[[LM, Limit], LM] | None = None
    servers: Servers | None = None
    metered: Callable[[Tool], Tool] | None = None
    classifiers: LendClassifier | None = None
    about: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class _Equipped:
    """What a recipe names beside models: the tools, its documents, and what could not be had."""

    box: Toolbox
    search: Search | None
    problems: tuple[str, ...]


@asynccontextmanager
async def composed(name: str, recipe: Recipe, around: Around) -> AsyncIterator[LM]:
    """The assistant called `name`, as long as the block lasts.

    Raises what is wrong with the recipe when it is tried (a technique's option, a tool's folder, a
    guard's range), always with the assistant's name before it, and what lending a model raises.
    """
    if around.turns is None:  # one place for all turns of the block
        around = replace(around, turns=MemoryTurns())
    with ExitStack() as stack:
        with _named(name):
            made = await _equipped(recipe, around, stack)
        if recipe.router is not None:
            with _named(name):
                lm = _routed(name, recipe, around, made)
                lm = _finished(name, lm, recipe, around, made)
            yield lm
            return
        async with around.lend(recipe.model or around.default) as lent:
            with _named(name):
                lm = _acting(name, lent, recipe, around, made)
                lm = _finished(name, lm, recipe, around, made)
            yield lm


async def _equipped(recipe: Recipe, around: Around, stack: ExitStack) -> _Equipped:
    for fault in knowledge_faults(recipe):
        raise fault
    reached = await reach(recipe.tools, around.servers, stack)
    search = documents_search(recipe.knowledge, around.folder) if recipe.knowledge else None
    means = Means(
        around.lend,
        around.classifiers,
        around.about,
        knowledge=search,
        embedder=around.embedder,
        folder=around.folder,
    )
    box = open_toolbox(recipe.tools, recipe.approval, stack, reached.tools, means)
    return _Equipped(box, search, reached.problems)


def _finished(name: str, lm: LM, recipe: Recipe, around: Around, made: _Equipped) -> LM:
    if made.problems:
        lm = Announced(lm, made.problems)
    if around.limited is not None and recipe.limits != Limit():
        lm = around.limited(lm, recipe.limits)
    chosen = dict(recipe.guards)
    if chosen.pop("standard", False):
        chosen = {**STANDARD, **chosen}
    guards, policy = guards_of(chosen, judge=lm)
    return Guarded(lm, guards, policy, name=name)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What is wrong inside is said with the assistant's name."""
    try:
        yield
    except (InputError, NotFoundError, SettingsError) as error:
        raise InputError(f"The assistant {name}: {error.message}", param=error.param) from error


def _routed(name: str, recipe: Recipe, around: Around, made: _Equipped) -> LM:
    """The router over models that each act in their own way: with native calls, or in text."""

    @asynccontextmanager
    async def lend(model: str) -> AsyncIterator[LM]:
        async with around.lend(model) as lm:
            with _named(name):
                acting = _acting(name, lm, recipe, around, made)
            yield acting

    router = _router(name, recipe, around, lend)
    _acting(name, router, recipe, around, made)  # what is wrong with it is said before it is asked
    return router


def _router(name: str, recipe: Recipe, around: Around, lend: Lend) -> LM:
    assert recipe.router is not None
    file = recipe.router.learned
    if file and Path(file).name != file:
        raise InputError(
            f"router.learned is {file!r}, but it must be the name of a file beside the recipe.",
            param="router.learned",
        )
    learned = load_learned(around.folder / file) if file else None
    return Router(name, recipe.router, lend, learned=learned)


def _acting(name: str, lm: LM, recipe: Recipe, around: Around, made: _Equipped) -> LM:
    """A model as the recipe says: told, drawing, remembering, with tools or a technique."""
    lm = Instructed(lm, recipe.system, recipe.sampling.sampling())
    tools: tuple[Tool, ...] = made.box.tools
    words: dict[str, Approval] = dict(made.box.approvals.tools)
    if recipe.memory and around.facts is not None:
        lm = Remembering(lm, around.facts, _roughly, MEMORY_TOKENS)
        memory = (Remember(around.facts, name), Recall(around.facts))
        words |= dict.fromkeys((tool.spec.name for tool in memory), "always")
        if lm.capabilities.tools:
            tools = (*tools, *memory)
    if around.metered is not None:
        tools = tuple(around.metered(tool) for tool in tools)
    named = recipe.technique
    if named is not None and named.name.replace("_", "-") != "react":
        if made.box.tools:
            raise InputError(
                f"the technique {named.name} uses no tools. Leave out the tools, or take react.",
                param="technique",
            )
        parts = Parts(embedder=around.embedder, search=made.search)
        return technique(named.name, lm, named.options, parts)
    if not tools:
        if named is not None and not made.problems:
            raise InputError("the technique react acts with tools; name some.", param="tools")
        return lm

    def in_text() -> LM:
        return InText(lm, _unasked(tools, words), named.options if named else {})

    if named is None and lm.capabilities.tools:
        return Either(Agent(lm, tools, call_tool, _options(recipe, around, words)), in_text)
    return in_text()


def _options(recipe: Recipe, around: Around, words: Mapping[str, Approval]) -> AgentOptions:
    def approve(call: ToolCallPart) -> Approval:
        return words.get(call.name, recipe.approval)

    limits = recipe.limits
    steps = limits.steps or AgentLimits().steps
    return AgentOptions(
        approve=approve,
        limits=AgentLimits(steps=steps, tokens=limits.tokens, seconds=limits.seconds),
        turns=around.turns or MemoryTurns(),
    )


def _unasked(tools: Sequence[Tool], words: Mapping[str, Approval]) -> tuple[Tool, ...]:
    """The tools that run without asking: acting in plain text has no place for a consent."""
    free = tuple(tool for tool in tools if words.get(tool.spec.name) == "always")
    kept = [tool.spec.name for tool in tools if tool not in free]
    if kept:
        raise InputError(
            f"{', '.join(kept)} may run only with consent, but this model acts in plain text, "
            "which has no place to ask for it. Set approval: always for them, or take a model "
            "that calls tools.",
            param="tools",
        )
    return free


def _roughly(text: str) -> int:
    """Tokens of a text, by its bytes: what a hosted model counts is not known here."""
    return max(1, len(text.encode("utf-8", "replace")) // 3)
