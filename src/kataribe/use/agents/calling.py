"""An agent's own tools: what is asked of whoever runs one, and how several run at once.

An agent needs tools by `base`'s protocol, a `CallTool` that runs one of them within limits
(`base.tool_calls.call_tool`), and an `Approve` that says of each call whether it may run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import Context, Tool
from kataribe.base.messages import ToolCallPart, ToolResultPart
from kataribe.base.tool_calls import CallLimits, asked_by, failed, found_call
from kataribe.use.agents.tools.approvals import Approval

Approve: TypeAlias = Callable[[ToolCallPart], Approval]
"""Whether a call runs: without asking, when the user has said yes to this very call, or not."""


class CallTool(Protocol):
    """Whatever runs a tool. What goes wrong with the call is a result that says so."""

    async def __call__(
        self, tools: Sequence[Tool], call: ToolCallPart, limits: CallLimits
    ) -> ToolResultPart:
        """The result of one call."""
        ...


def always(_: ToolCallPart) -> Approval:
    """Every call runs without asking."""
    return "always"


class ToolRunner:
    """Runs calls of an agent's own tools, side by side as far as the limits let them."""

    def __init__(self, tools: Sequence[Tool], call: CallTool, limits: CallLimits) -> None:
        self._tools = tuple(tools)
        self._call = call
        self._limits = limits
        self._gate = asyncio.Semaphore(limits.at_once)

    def objection(self, call: ToolCallPart) -> ToolResultPart | None:
        """What is wrong with a call, told to the model before it runs; None where it can run."""
        try:
            found_call(self._tools, call)
        except InputError as error:
            return failed(call, error.message)
        return None

    async def run(
        self, call: ToolCallPart, context: Context, begin: Callable[[], Awaitable[None]]
    ) -> ToolResultPart:
        """The result of one call for the request with this context, whatever goes wrong.

        It may have to wait for others; `begin` is told when it runs.
        """
        async with self._gate:
            await begin()
            with asked_by(context):
                try:
                    return await self._call(self._tools, call, self._limits)
                except KataribeError as error:
                    return failed(call, f"{call.name} failed: {error.message}")
