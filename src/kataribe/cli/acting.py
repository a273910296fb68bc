"""A model with tools at a command: native calls where it makes them, else acting in plain text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError
from kataribe.base.events import Event, Progress, Step
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import ToolCallPart
from kataribe.cli.consent import Ask, decide
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.working import AgentLimits, Price
from kataribe.use.assistants.replying import Looked, calling
from kataribe.use.prompts.registry import Parts, technique

if TYPE_CHECKING:
    from kataribe.use.agents.tools.approvals import Approval
    from kataribe.use.agents.turns import Turns
    from kataribe.use.assistants.toolbox import Toolbox
    from kataribe.use.guards.inside import Inside


class Acting:
    """An agent around a model that calls tools; ReAct around one that does not.

    Which of the two a model behind a server is, shows when it is asked.

    Args:
        lm: The model.
        box: The tools, and the user's word on each.
        ask: Asks for consent where a model acts in plain text.
        steps: Most calls of the model in a turn.
        react: Options of ReAct, where that is wanted; None leaves it to the model.
        within: What guards look at between the model and the tools, in this reply alone, and where
            its turns wait for consent; None where there are no guards.
    """

    def __init__(
        self,
        lm: LM,
        box: Toolbox,
        ask: Ask,
        *,
        steps: int | None = None,
        react: Mapping[str, Any] | None = None,
        within: tuple[Inside, Turns] | None = None,
    ) -> None:
        self._lm = lm
        self._box = box
        self._ask = ask
        self._react = react
        self._inside = inside = None if within is None else within[0]
        turns = None if within is None else within[1]
        self._native: LM | None = None
        if react is None and lm.capabilities.tools:
            tools = box.approvals.usable(box.tools)  # of what never runs no model is told
            model = lm if inside is None else inside.model(calls=True)
            agent = Agent(model, tools, calling(inside), agent_options(box, steps, turns))
            self._native = agent if inside is None else inside.whole(agent, calls=True)

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
        approvals, inside = self._box.approvals, self._inside
        tools = approvals.usable(self._box.tools)  # of those that never run it is not told

        def refusal(call: ToolCallPart) -> str | None:
            if approvals.of(call.name) == "always":
                return None
            arguments = call.arguments if inside is None else inside.restored(call.arguments)
            may, why = decide(self._ask, call.name, arguments)
            return None if may else why

        if inside is None:
            parts = Parts(tools=tools, refusal=refusal)
            return technique("react", self._lm, self._react or {}, parts)
        parts = Parts(tools=tuple(Looked(tool, inside) for tool in tools), refusal=refusal)
        acting = technique("react", inside.model(calls=False), self._react or {}, parts)
        return inside.whole(acting, calls=False)


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
