"""A model with tools at a command: an agent that holds to the user's word on each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError
from kataribe.use.agents.compaction import Compacting
from kataribe.use.agents.counting import rough_count
from kataribe.use.agents.in_text import InText, turn_limits
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.turns import MemoryTurns, Turns
from kataribe.use.agents.working import AgentLimits, Price
from kataribe.use.assistants.replying import calling

if TYPE_CHECKING:
    from kataribe.base.lm import LM
    from kataribe.base.messages import ToolCallPart
    from kataribe.use.agents.tools.approvals import Approval
    from kataribe.use.assistants.toolbox import Toolbox
    from kataribe.use.guards.inside import Inside


def acting_model(lm: LM, react: Mapping[str, Any] | None) -> LM:
    """A model that can call tools, in plain text where it has to, with a working memory.

    `react` are options of ReAct, where it shall act in plain text in any case.
    """
    return Compacting(InText(lm, always=react is not None), rough_count)


def acting_limits(lm: LM, steps: int | None, react: Mapping[str, Any] | None) -> AgentLimits:
    """Limits of a turn of that model; `steps` are most calls of it."""
    is_in_text = react is not None or not lm.capabilities.tools
    return turn_limits(steps, (react or {}) if is_in_text else None)


@dataclass(frozen=True)
class Acts:
    """Makes an agent of a model, with its tools.

    Attributes:
        box: The tools, and the user's word on each.
        limits: Of a turn.
        needs: At least one tool has to be one that may run.
        turns: Where turns wait for consent.
    """

    box: Toolbox
    limits: AgentLimits
    needs: bool = False
    turns: Turns = field(default_factory=MemoryTurns)

    def __call__(self, lm: LM, inside: Inside | None) -> LM:
        """The agent; `inside` are the guards of one reply, which look at what tools say."""
        tools = self.box.approvals.usable(self.box.tools)  # of what never runs no model is told
        if self.needs and not tools:
            raise InputError(
                "react acts with tools, and none of these may ever run. Leave out --approve never, "
                "or name others.",
                param="tools",
            )
        model = lm if inside is None else inside.model(calls=True)
        options = agent_options(self.box, self.limits, turns=self.turns)
        agent = Agent(model, tools, calling(inside), options)
        return agent if inside is None else inside.whole(agent, calls=True)


def agent_options(
    box: Toolbox,
    limits: AgentLimits | None = None,
    price: Price | None = None,
    turns: Turns | None = None,
) -> AgentOptions:
    """How an agent works that holds to the user's word on each tool."""

    def word(call: ToolCallPart) -> Approval:
        return box.approvals.of(call.name)

    return AgentOptions(
        approve=word, limits=limits or AgentLimits(), price=price, turns=turns or MemoryTurns()
    )
