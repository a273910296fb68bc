"""The seam to tools: what an agent asks of whoever runs them, and how it runs several at once.

An agent needs tools by `base`'s protocol, a `CallTool` that runs one of them (arguments checked
against its schema, errors turned into results), and an `Approve` that says of each call whether it
may run. `ToolRunner` adds what belongs to the loop: side by side, within time and length.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import Context, Tool
from kataribe.base.messages import ToolCallPart, ToolResultPart
from kataribe.base.nearness import meant

Approval: TypeAlias = Literal["always", "ask", "never"]
"""Whether a call runs: without asking, when the user has said yes to this very call, or not."""

Approve: TypeAlias = Callable[[ToolCallPart], Approval]


class CallTool(Protocol):
    """Whatever runs a tool. What goes wrong with the call is a result that says so."""

    async def __call__(self, tools: Sequence[Tool], call: ToolCallPart) -> ToolResultPart:
        """The result of one call."""
        ...


asking: contextvars.ContextVar[Context | None] = contextvars.ContextVar(
    "kataribe_asking", default=None
)
"""For whom a tool runs: the context of the request whose agent has called it."""


def always(_: ToolCallPart) -> Approval:
    """Every call runs without asking."""
    return "always"


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What calls of tools may take.

    Attributes:
        at_once: Calls that run side by side; further ones wait.
        most: Calls in one reply; those after them are refused.
        seconds: For one call; then it is stopped.
        length: Characters of a result that the model is given; of a longer one, its begin and end.
    """

    at_once: int = 8
    most: int = 64
    seconds: float = 120.0
    length: int = 20_000

    def __post_init__(self) -> None:
        for name in ("at_once", "most", "seconds", "length"):
            value = getattr(self, name)
            if not value > 0:
                raise InputError(f"{name} is {value}, but must be above 0.", param=name)


class ToolRunner:
    """Runs calls of an agent's own tools."""

    def __init__(self, tools: Sequence[Tool], call: CallTool, limits: CallLimits) -> None:
        self._tools = tuple(tools)
        self._names = {tool.spec.name for tool in tools}
        self._call = call
        self._limits = limits
        self._gate = asyncio.Semaphore(limits.at_once)

    def objection(self, call: ToolCallPart) -> str | None:
        """What is wrong with a call, told to the model before it runs; None where it can run."""
        if call.name not in self._names:
            hint = meant(call.name, sorted(self._names), most=3)
            return f"There is no tool {_short(call.name)!r}. {hint}"
        try:
            arguments = json.loads(call.arguments.strip() or "{}")
        except ValueError as error:
            return (
                f"The arguments of {call.name} are no valid JSON ({error}): "
                f"{_short(call.arguments)}. Write one JSON object by the tool's schema."
            )
        except RecursionError:
            return f"The arguments of {call.name} are nested too deeply. Write a flat JSON object."
        if not isinstance(arguments, dict):
            return (
                f"The arguments of {call.name} are {_short(call.arguments)}, which is no JSON "
                "object. Write an object by the tool's schema."
            )
        return None

    async def run(self, call: ToolCallPart) -> ToolResultPart:
        """The result of one call, whatever goes wrong with it."""
        async with self._gate:
            try:
                async with asyncio.timeout(self._limits.seconds) as time:
                    found = await self._call(self._tools, call)
            except TimeoutError:
                if not time.expired():
                    raise
                return failed(
                    call,
                    f"{call.name} did not answer within {self._limits.seconds:g} seconds and was "
                    "stopped. Whether it has changed anything is not known.",
                )
            except KataribeError as error:
                return failed(call, f"{call.name} failed: {error.message}")
        content = readable(found.content, self._limits.length)
        return ToolResultPart(call.id, content, found.is_error)


def failed(call: ToolCallPart, why: str) -> ToolResultPart:
    """The result of a call that has none."""
    return ToolResultPart(call.id, why, is_error=True)


def readable(content: str, limit: int) -> str:
    """A result as a model is given it: sound UTF-8; of a long one, its begin and end, said so."""
    if len(content) > limit:
        head, tail = content[: limit * 2 // 3], content[len(content) - limit // 3 :]
        left = len(content) - len(head) - len(tail)
        note = f"\n[{left:,} of {len(content):,} characters are left out here]\n"
        content = head + note + tail
    return content.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def same_call(call: ToolCallPart) -> str:
    """A text that two calls share when they ask the same, however their JSON is written."""
    try:
        arguments: Any = json.loads(call.arguments.strip() or "{}")
        written = json.dumps(arguments, sort_keys=True)
    except (ValueError, RecursionError):
        written = call.arguments
    return f"{call.name} {written}"


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
