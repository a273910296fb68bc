"""A model with tools at a command: native calls where it makes them, else acting in plain text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError
from kataribe.base.events import Event, Progress, Step
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import ToolCallPart
from kataribe.base.tool_calls import call_tool
from kataribe.cli.consent import Ask, decide
from kataribe.use.agents.compaction import Compacting
from kataribe.use.agents.counting import rough_count
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.working import AgentLimits, Price
from kataribe.use.prompts.registry import Parts, technique

if TYPE_CHECKING:
    from kataribe.use.agents.tools.approvals import Approval
    from kataribe.use.agents.turns import Turns
    from kataribe.use.assistants.toolbox import Toolbox


class Acting:
    """An agent around a model that calls tools; ReAct around one that does not.

    Which of the two a model behind a server is, shows when it is asked.

    Args:
        lm: The model.
        box: The tools, and the user's word on each.
        ask: Asks for consent where a model acts in plain text.
        steps: Most calls of the model in a turn.
        react: Options of ReAct, where that is wanted; None leaves it to the model.
    """

    def __init__(
        self,
        lm: LM,
        box: Toolbox,
        ask: Ask,
        *,
        steps: int | None = None,
        react: Mapping[str, Any] | None = None,
    ) -> None:
        self._lm = lm = Compacting(lm, rough_count)
        self._box = box
        self._ask = ask
        self._react = react
        self._native: LM | None = None
        if react is None and lm.capabilities.tools:
            tools = box.approvals.usable(box.tools)  # of what never runs no model is told
            self._native = Agent(lm, tools, call_tool, agent_options(box, steps))

    @property
    def name(self) -> str:
        """The model's."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What the way that is taken first can do."""
        return (self._native or self._in_text()).capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers with tools; says so where it has to be in plain text."""
        if self._native is not None:
            begun = False
            try:
                async with aclosing(self._native.stream(request)) as events:  # type: ignore[type-var]
                    async for event in events:
                        begun = begun or not isinstance(event, Progress | Step)
                        yield event
                return
            except InputError as error:
                if begun or error.param != "tools":
                    raise
                self._native = None
        if self._react is None:
            yield Step("in text", f"{self.name} calls no tools itself, so it acts in plain text.")
        async with aclosing(self._in_text().stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    def _in_text(self) -> LM:
        approvals = self._box.approvals
        tools = approvals.usable(self._box.tools)  # of those that never run it is not told

        def refusal(call: ToolCallPart) -> str | None:
            if approvals.of(call.name) == "always":
                return None
            may, why = decide(self._ask, call.name, call.arguments)
            return None if may else why

        parts = Parts(tools=tools, refusal=refusal)
        return technique("react", self._lm, self._react or {}, parts)


def agent_options(
    box: Toolbox,
    steps: int | None = None,
    turns: Turns | None = None,
    price: Price | None = None,
) -> AgentOptions:
    """How an agent works that holds to the user's word on each tool."""

    def word(call: ToolCallPart) -> Approval:
        return box.approvals.of(call.name)

    limits = AgentLimits() if steps is None else AgentLimits(steps=steps)
    if turns is None:
        return AgentOptions(approve=word, limits=limits, price=price)
    return AgentOptions(approve=word, limits=limits, price=price, turns=turns)
