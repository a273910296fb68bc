"""A recipe becomes an `LM`, for as long as a block lasts.

From the inside out: the model, lent for the block, with its working memory; what it is told and how
it draws; facts about the person; an agent's loop or a technique, with guards inside where it acts
(see `guards.inside`); a router, where there is one, which lends all of this when it has chosen a
model; the other guards around all of it; and the limits around those, since what is asked again,
and what a judge is asked, counts too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kataribe.base.encoders import Embedder
from kataribe.base.errors import InputError, NotFoundError, SettingsError
from kataribe.base.lm import LM, Tool
from kataribe.base.messages import ToolCallPart
from kataribe.use.agents.compaction import Compacting
from kataribe.use.agents.counting import rough_count, rough_text
from kataribe.use.agents.in_text import InText, turn_limits
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.memory import Facts, Recall, Remember, Remembering
from kataribe.use.agents.summaries import Summaries
from kataribe.use.agents.tools.approvals import Approval
from kataribe.use.agents.turns import MemoryTurns, Turns
from kataribe.use.assistants.instructed import Instructed
from kataribe.use.assistants.learned import LearnedChoice, learned_by
from kataribe.use.assistants.means import (
    LendClassifier,
    Means,
    documents_search,
    knowledge_faults,
)
from kataribe.use.assistants.recipe import Limit, Named, Recipe
from kataribe.use.assistants.remote import Announced, Reached, reach
from kataribe.use.assistants.replying import (
    Acting,
    Hidden,
    Make,
    Replying,
    calling,
    searching,
)
from kataribe.use.assistants.router import Lend, Router
from kataribe.use.assistants.toolbox import Toolbox, open_toolbox
from kataribe.use.guards.guard import Guard
from kataribe.use.guards.guarded import Guarded, Policy
from kataribe.use.guards.inside import Inside, Places, placed
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
        summaries: What working memory remembers from one request to the next.
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
    summaries: Summaries = field(default_factory=Summaries)


@dataclass(frozen=True, slots=True)
class _Equipped:
    """What a recipe names beside models.

    Attributes:
        box: Its tools.
        search: In its documents.
        problems: What could not be had, each in a line.
        learned: What its router learned; None for a router that did not, and for no router.
        places: Of its guards; None where nothing acts, so that all stand around the whole.
    """

    box: Toolbox
    search: Search | None
    problems: tuple[str, ...]
    learned: LearnedChoice | None = None
    places: Places | None = None


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
        routes = recipe.router is not None
        lending = _judge(recipe, around) if routes else around.lend(recipe.model or around.default)
        async with lending as lent:
            with _named(name):
                guards, policy = _guards(recipe, lent)
                if _may_act(recipe, around):
                    made = replace(made, places=placed(guards, policy))
                    guards = made.places.around if made.places is not None else guards
                if lent is None or routes:
                    lm = _routed(name, recipe, around, made)
                else:
                    lm = _acting(name, lent, recipe, around, made)
                lm = _finished(name, lm, recipe, around, (made, guards, policy))
            yield lm


@asynccontextmanager
async def _judge(recipe: Recipe, around: Around) -> AsyncIterator[LM | None]:
    """Who judges beside a router: its default model, lent only where somebody is to judge."""
    said = recipe.guards.get("injection")
    judges = isinstance(said, Mapping) and said.get("judge", False) is not False
    if recipe.router is None or not judges:
        yield None
        return
    async with around.lend(recipe.router.default) as lm:
        yield lm


def _guards(recipe: Recipe, judge: LM | None) -> tuple[tuple[Guard, ...], Policy]:
    chosen = dict(recipe.guards)
    if chosen.pop("standard", False):
        chosen = {**STANDARD, **chosen}
    return guards_of(chosen, judge=judge, remembers=recipe.memory)


def _may_act(recipe: Recipe, around: Around) -> bool:
    """Tools may run, or documents may be searched, so that guards belong inside."""
    return bool(recipe.tools or recipe.knowledge or _remembers(recipe, around))


def _remembers(recipe: Recipe, around: Around) -> bool:
    """Facts about the person are told to the model: within the guards, which read them, too."""
    return recipe.memory and around.facts is not None


async def _equipped(recipe: Recipe, around: Around, stack: ExitStack) -> _Equipped:
    for fault in knowledge_faults(recipe):
        raise fault
    reached = await reach(recipe.tools, around.servers, stack)
    return await asyncio.to_thread(_read, recipe, around, stack, reached)


def _read(recipe: Recipe, around: Around, stack: ExitStack, reached: Reached) -> _Equipped:
    """What lies on disks: aside from the event loop, which must not wait for them."""
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
    learned = learned_by(recipe.router, around.folder) if recipe.router is not None else None
    return _Equipped(box, search, reached.problems, learned)


def _finished(
    name: str,
    lm: LM,
    recipe: Recipe,
    around: Around,
    made: tuple[_Equipped, tuple[Guard, ...], Policy],
) -> LM:
    equipped, guards, policy = made
    told = Instructed(lm, recipe.system, recipe.sampling.sampling())
    if equipped.problems:
        lm = Announced(lm, equipped.problems)
    shown = told.instructed if recipe.system.strip() else None
    lm = Guarded(lm, guards, policy, name=name, shown=shown)
    if around.limited is not None and recipe.limits != Limit():
        lm = around.limited(lm, recipe.limits)
    return lm


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

    assert recipe.router is not None
    router = Router(name, recipe.router, lend, learned=made.learned)
    _acting(name, router, recipe, around, made)  # what is wrong with it is said before it is asked
    return router


def _acting(name: str, lm: LM, recipe: Recipe, around: Around, made: _Equipped) -> LM:
    """A model as the recipe says: told, drawing, remembering, with tools or a technique."""
    acting = _made(name, lm, recipe, around, made)
    if acting.own:
        lm = InText(lm, always=recipe.technique is not None)
    lm = Compacting(lm, rough_count, summaries=around.summaries)
    told = Instructed(lm, recipe.system, recipe.sampling.sampling())
    if made.places is None:
        return acting.make(told, None)
    if acting.acts:
        return Replying(told, acting, made.places)
    inner, moved = acting.make(told, None), made.places.moved
    # This model does not act after all; a router may have others that do.
    return Guarded(inner, moved, made.places.policy, shown=told.instructed) if moved else inner


def _made(name: str, lm: LM, recipe: Recipe, around: Around, made: _Equipped) -> Acting:
    """What is made over the model: an agent, a technique, or nothing but what is remembered."""
    box = made.box
    tools = box.approvals.usable(box.tools)  # of what never runs no model is told
    hiding = made.places.hiding if made.places is not None else ()
    tools = tuple(Hidden(t, hiding) if hiding and t.spec.name in box.models else t for t in tools)
    words: dict[str, Approval] = dict(box.approvals.tools)
    remembers = _remembering(recipe, around)
    if around.facts is not None and recipe.memory and lm.capabilities.tools:
        memory = (Remember(around.facts, name), Recall(around.facts))
        words |= dict.fromkeys((tool.spec.name for tool in memory), "always")
        tools = (*tools, *memory)
    if around.metered is not None:
        tools = tuple(around.metered(tool) for tool in tools)
    named = recipe.technique
    if named is not None and named.name.replace("_", "-") != "react":
        if box.tools:
            raise InputError(
                f"the technique {named.name} uses no tools. Leave out the tools, or take react.",
                param="technique",
            )
        acts = made.search is not None or _remembers(recipe, around)
        return Acting(_asking(named, around, made.search, remembers), acts=acts)
    if not tools:
        if named is not None and not made.problems:
            never = "; all of these have approval: never" if box.tools else ""
            raise InputError(
                f"the technique react acts with tools; name some{never}.", param="tools"
            )
        return Acting(_plain(remembers), acts=_remembers(recipe, around))
    options = _options(recipe, around, words, in_text=not lm.capabilities.tools)
    own = frozenset(tool.spec.name for tool in tools)
    return Acting(_agent(tools, options, remembers), acts=True, own=own)


def _asking(
    named: Named, around: Around, search: Search | None, remembers: Callable[[LM], LM]
) -> Make:
    """A technique that uses no tools; passages that it retrieves are looked at."""

    def make(lm: LM, inside: Inside | None) -> LM:
        found = search if search is None or inside is None else searching(search, inside)
        parts = Parts(embedder=around.embedder, search=found)
        model = lm if inside is None else inside.model(calls=False)
        asking = technique(named.name, remembers(model), named.options, parts)
        return asking if inside is None else inside.whole(asking, calls=False)

    return make


def _plain(remembers: Callable[[LM], LM]) -> Make:
    """The model itself, with facts in mind."""

    def make(lm: LM, inside: Inside | None) -> LM:
        if inside is None:
            return remembers(lm)
        return inside.whole(remembers(inside.model(calls=False)), calls=False)

    return make


def _agent(tools: Sequence[Tool], options: AgentOptions, remembers: Callable[[LM], LM]) -> Make:
    """An agent, whose model calls tools."""

    def make(lm: LM, inside: Inside | None) -> LM:
        model = lm if inside is None else inside.model(calls=True)
        agent = Agent(remembers(model), tools, calling(inside), options)
        return agent if inside is None else inside.whole(agent, calls=True)

    return make


def _remembering(recipe: Recipe, around: Around) -> Callable[[LM], LM]:
    """What tells a model facts about the person, where the recipe wants that."""
    facts = around.facts
    if not recipe.memory or facts is None:
        return lambda lm: lm
    return lambda lm: Remembering(lm, facts, rough_text, MEMORY_TOKENS)


def _options(
    recipe: Recipe, around: Around, words: Mapping[str, Approval], *, in_text: bool
) -> AgentOptions:
    def approve(call: ToolCallPart) -> Approval:
        return words.get(call.name, recipe.approval)

    named, given = recipe.technique, recipe.limits
    react = named.options if named is not None else {} if in_text else None
    limits = turn_limits(given.steps, react)
    return AgentOptions(
        approve=approve,
        limits=replace(limits, tokens=given.tokens, seconds=given.seconds),
        turns=around.turns or MemoryTurns(),
    )
