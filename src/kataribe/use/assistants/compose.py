"""A recipe becomes an `LM`, for as long as a block lasts.

From the inside out: the model, lent for the block (or a router, which lends when it has chosen),
with its working memory; what it is told and how it draws; facts about the person; an agent's loop
or a technique, with guards inside where it acts (see `guards.inside`); the other guards around all
of it; and the limits around those, since what is asked again, and what a judge is asked, counts
too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kataribe.base.encoders import Embedder
from kataribe.base.errors import InputError, KataribeError, NotFoundError, SettingsError
from kataribe.base.lm import LM, Tool
from kataribe.base.messages import ToolCallPart
from kataribe.use.agents.compaction import Compacting
from kataribe.use.agents.counting import rough_count
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.memory import Facts, Recall, Remember, Remembering
from kataribe.use.agents.summaries import Summaries
from kataribe.use.agents.tools.approvals import Approval
from kataribe.use.agents.turns import MemoryTurns, Turns
from kataribe.use.agents.working import AgentLimits
from kataribe.use.assistants.instructed import Instructed
from kataribe.use.assistants.learned import load_learned
from kataribe.use.assistants.recipe import Limit, Named, Recipe
from kataribe.use.assistants.remote import Announced, Reached, reach
from kataribe.use.assistants.replying import Acting, Looked, Make, Replying, calling
from kataribe.use.assistants.router import Lend, Router
from kataribe.use.assistants.toolbox import open_toolbox
from kataribe.use.guards.guard import Guard
from kataribe.use.guards.guarded import Guarded, Policy
from kataribe.use.guards.inside import Inside, placed
from kataribe.use.guards.settings import STANDARD, guards_of
from kataribe.use.prompts.registry import Parts, technique

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
        folder: Where recipes lie, for what they name beside them.
        facts: What is remembered about people; None where nothing is.
        embedder: For choosing examples by what they mean.
        turns: Where turns wait that need somebody's consent.
        limited: Holds an `LM` to limits; None where nobody counts.
        servers: MCP servers, whose tools recipes may name; None where there are none.
        metered: Counts a tool's calls; None where nobody does.
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
    summaries: Summaries = field(default_factory=Summaries)


@asynccontextmanager
async def composed(name: str, recipe: Recipe, around: Around) -> AsyncIterator[LM]:
    """The assistant called `name`, as long as the block lasts.

    Raises what is wrong with the recipe when it is tried (a technique's option, a tool's folder, a
    guard's range), always with the assistant's name before it, and what lending a model raises.
    """
    with ExitStack() as stack:
        try:
            reached = await reach(recipe.tools, around.servers, stack)
        except (InputError, NotFoundError) as error:
            raise _of(name, error) from error
        if recipe.router is None:
            async with around.lend(recipe.model or around.default) as lm:
                yield _finished(name, (lm, lm), recipe, around, (stack, reached))
            return
        lm = _router(name, recipe, around)
        async with _judge(recipe, around) as judge:
            yield _finished(name, (lm, judge), recipe, around, (stack, reached))


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


def _finished(
    name: str,
    models: tuple[LM, LM | None],
    recipe: Recipe,
    around: Around,
    outside: tuple[ExitStack, Reached],
) -> LM:
    model, judge = models
    try:
        model = Compacting(model, rough_count, summaries=around.summaries)
        instructed = Instructed(model, recipe.system, recipe.sampling.sampling())
        acting = _acting(name, instructed, recipe, around, outside)
        guards, policy = _guards(recipe, judge)
        lm, guards = _inside(instructed, acting, guards, policy)
        if outside[1].problems:
            lm = Announced(lm, outside[1].problems)
        shown = instructed.instructed if recipe.system.strip() else None
        lm = Guarded(lm, guards, policy, name=name, shown=shown)
        if around.limited is not None and recipe.limits != Limit():
            lm = around.limited(lm, recipe.limits)
    except (InputError, NotFoundError, SettingsError) as error:
        raise _of(name, error) from error
    return lm


def _guards(recipe: Recipe, judge: LM | None) -> tuple[tuple[Guard, ...], Policy]:
    chosen = dict(recipe.guards)
    if chosen.pop("standard", False):
        chosen = {**STANDARD, **chosen}
    return guards_of(chosen, judge=judge)


def _inside(
    lm: Instructed, acting: Acting, guards: tuple[Guard, ...], policy: Policy
) -> tuple[LM, tuple[Guard, ...]]:
    """What answers, with the guards that stand in it; and those that are left."""
    if acting.own:
        places = placed(guards, policy)
        if places.hiding or places.asking or places.at_tools:
            return Replying(lm, acting, places), places.around
    return acting.make(lm, None), guards


def _of(name: str, error: KataribeError) -> InputError:
    return InputError(f"The assistant {name}: {error.message}", param=error.param)


def _router(name: str, recipe: Recipe, around: Around) -> LM:
    assert recipe.router is not None
    file = recipe.router.learned
    if file and Path(file).name != file:
        raise InputError(
            f"The assistant {name}: router.learned is {file!r}, but it must be the name of a file "
            "beside the recipe.",
            param="router.learned",
        )
    learned = load_learned(around.folder / file) if file else None
    more = set(learned.models) - set(recipe.router.models()) if learned is not None else ()
    if more:
        names = ", ".join(sorted(more))
        raise InputError(
            f"The assistant {name}: {file} chooses {names} too, which its router does not name. "
            f"Put among: [{names}] under router, or learn again without.",
            param="router.among",
        )
    return Router(name, recipe.router, around.lend, learned=learned)


def _acting(
    name: str, lm: LM, recipe: Recipe, around: Around, outside: tuple[ExitStack, Reached]
) -> Acting:
    """What is made over the model: an agent, a technique, or nothing but what is remembered."""
    stack, reached = outside
    box = open_toolbox(recipe.tools, recipe.approval, stack, reached.tools)
    tools = box.approvals.usable(box.tools)  # of what never runs no model is told
    words: dict[str, Approval] = dict(box.approvals.tools)
    remembers = _remembering(recipe, around)
    if recipe.memory and around.facts is not None and lm.capabilities.tools:
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
        parts = Parts(embedder=around.embedder)
        return Acting(lambda lm, _: technique(named.name, remembers(lm), named.options, parts))
    if not tools:
        if named is not None and not reached.problems:
            never = "; all of these have approval: never" if box.tools else ""
            raise InputError(
                f"the technique react acts with tools; name some{never}.", param="tools"
            )
        return Acting(lambda lm, _: remembers(lm))
    own = frozenset(tool.spec.name for tool in tools)
    if named is None and lm.capabilities.tools:
        return Acting(_native(tools, _options(recipe, around, words), remembers), own)
    return Acting(_in_text(_unasked(tools, words), named, remembers), own)


def _native(tools: Sequence[Tool], options: AgentOptions, remembers: Callable[[LM], LM]) -> Make:
    """An agent, whose model calls tools itself."""

    def make(lm: LM, inside: Inside | None) -> LM:
        model = lm if inside is None else inside.model(calls=True)
        agent = Agent(remembers(model), tools, calling(inside), options)
        return agent if inside is None else inside.whole(agent, calls=True)

    return make


def _in_text(tools: Sequence[Tool], named: Named | None, remembers: Callable[[LM], LM]) -> Make:
    """ReAct, for a model that acts in plain text."""
    options = named.options if named else {}

    def make(lm: LM, inside: Inside | None) -> LM:
        if inside is None:
            return technique("react", remembers(lm), options, Parts(tools=tools))
        looked = tuple(Looked(tool, inside) for tool in tools)
        model = remembers(inside.model(calls=False))
        acting = technique("react", model, options, Parts(tools=looked))
        return inside.whole(acting, calls=False)

    return make


def _remembering(recipe: Recipe, around: Around) -> Callable[[LM], LM]:
    """What tells a model facts about the person, where the recipe wants that."""
    facts = around.facts
    if not recipe.memory or facts is None:
        return lambda lm: lm
    return lambda lm: Remembering(lm, facts, _roughly, MEMORY_TOKENS)


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
