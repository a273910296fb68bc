"""One call of a tool: whatever goes wrong with it becomes words for the model, never a crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import Tool
from kataribe.base.messages import ToolCallPart, ToolResultPart
from kataribe.base.nearness import meant
from kataribe.use.agents.tools.answers import MOST_CHARACTERS, as_text, cut_answer
from kataribe.use.agents.tools.approvals import Approvals

LONGEST_ARGUMENTS = 1 << 20
"""Characters of the arguments of one call."""
_GRACE_SECONDS = 1.0
_LONGEST_ERROR = 2000


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What one call may take.

    Attributes:
        seconds: Until the answer must be there.
        characters: Of the answer; more is cut, and said to be.
    """

    seconds: float = 60.0
    characters: int = MOST_CHARACTERS

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 86_400:
            raise InputError(
                f"A tool's call may take {self.seconds} s; give more than 0 and at most 86400.",
                param="seconds",
            )
        if not 100 <= self.characters <= 10_000_000:
            raise InputError(
                f"A tool's answer may have {self.characters} characters; give 100 to 10000000.",
                param="characters",
            )


async def call_tool(
    tools: Sequence[Tool],
    call: ToolCallPart,
    limits: CallLimits | None = None,
    approvals: Approvals | None = None,
) -> ToolResultPart:
    """Makes one call and gives what came of it; only cancelling gets through as an exception.

    An unknown tool, arguments that are no JSON or do not fit, a tool that raises, hangs, answers
    too much or in binary: all of it becomes text that tells the model what to do better. With
    `approvals` a tool that is never to run is refused here; who asks the user asks before.
    """
    limits = limits or CallLimits()
    try:
        tool = _found(tools, call.name, approvals)
        arguments = _arguments(call)
    except InputError as error:
        return _failed(call, error.message)
    work = asyncio.ensure_future(tool.call(arguments))
    try:
        await asyncio.wait([work], timeout=limits.seconds)
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait([work], timeout=_GRACE_SECONDS)  # it may have to clean up
    return _result(call, work, limits)


def _result(call: ToolCallPart, work: asyncio.Future[str], limits: CallLimits) -> ToolResultPart:
    if not work.done() or work.cancelled():
        if not work.done():
            work.add_done_callback(_forget)
        return _failed(
            call,
            f"{call.name} did not answer within {limits.seconds:g} s and was given up. Ask it for "
            "less, or go on without it.",
        )
    error = work.exception()
    if error is None:
        return ToolResultPart(call.id, cut_answer(as_text(work.result()), limits.characters))
    if isinstance(error, KataribeError):
        return _failed(call, error.message)
    return _failed(call, f"{call.name} failed with {type(error).__name__}: {error}")


def _forget(work: asyncio.Future[str]) -> None:
    """Takes the error of a call that was given up, so that nobody warns of it later."""
    if not work.cancelled():
        work.exception()


def _failed(call: ToolCallPart, words: str) -> ToolResultPart:
    return ToolResultPart(call.id, cut_answer(f"Error: {words}", _LONGEST_ERROR), is_error=True)


def _found(tools: Sequence[Tool], name: str, approvals: Approvals | None) -> Tool:
    if approvals is not None:
        tools = approvals.usable(tools)
    by_name = {tool.spec.name: tool for tool in tools}
    if name in by_name:
        return by_name[name]
    if not by_name:
        raise InputError(f"There is no tool {name[:80]!r}, nor any other. Answer without tools.")
    raise InputError(f"There is no tool {name[:80]!r}. {meant(name, by_name, also=True)}")


def _arguments(call: ToolCallPart) -> dict[str, Any]:
    text = call.arguments.strip() or "{}"
    if len(text) > LONGEST_ARGUMENTS:
        raise InputError(
            f"The arguments of {call.name} have {len(text)} characters; at most "
            f"{LONGEST_ARGUMENTS} are read. Send less at once."
        )
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        around = text[max(0, error.pos - 20) : error.pos + 20]
        raise InputError(
            f"The arguments of {call.name} are no JSON: {error.msg} at character {error.pos}, near "
            f"{around!r}. Send one JSON object."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The arguments of {call.name} cannot be read: {error}. Send one plain JSON object."
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            f"The arguments of {call.name} are a JSON {_KINDS.get(type(value), 'value')}, but must "
            'be an object such as {"name": "value"}.'
        )
    return value


_KINDS = {
    list: "list",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
