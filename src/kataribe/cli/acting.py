"""A model with tools at a command: an agent that holds to the user's word on each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError
from kataribe.base.tool_calls import call_tool
from kataribe.use.agents.compaction import Compacting
from kataribe.use.agents.counting import rough_count
from kataribe.use.agents.in_text import InText, turn_limits
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.working import AgentLimits, Price

if TYPE_CHECKING:
    from kataribe.base.lm import LM
    from kataribe.base.messages import ToolCallPart
    from kataribe.use.agents.tools.approvals import Approval
    from kataribe.use.assistants.toolbox import Toolbox


def acting(
    lm: LM, steps: int | None = None, react: Mapping[str, Any] | None = None
) -> Callable[[Toolbox], Agent]:
    """What makes agents of a model, each with its tools; all have one working memory.

    Args:
        lm: The model; one that calls no tools acts in plain text.
        steps: Most calls of the model in a turn.
        react: Options of ReAct, where it shall act in plain text in any case.
    """
    model = Compacting(InText(lm, always=react is not None), rough_count)
    is_in_text = react is not None or not lm.capabilities.tools
    limits = turn_limits(steps, (react or {}) if is_in_text else None)

    def make(box: Toolbox) -> Agent:
        tools = box.approvals.usable(box.tools)  # of what never runs no model is told
        if react is not None and not tools:
            raise InputError(
                "react acts with tools, and none of these may ever run. Leave out --approve never, "
                "or name others.",
                param="tools",
            )
        return Agent(model, tools, call_tool, agent_options(box, limits))

    return make


def agent_options(
    box: Toolbox, limits: AgentLimits | None = None, price: Price | None = None
) -> AgentOptions:
    """How an agent works that holds to the user's word on each tool."""

    def word(call: ToolCallPart) -> Approval:
        return box.approvals.of(call.name)

    return AgentOptions(approve=word, limits=limits or AgentLimits(), price=price)
