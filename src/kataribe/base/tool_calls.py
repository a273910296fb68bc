"""One call of a tool: whatever goes wrong becomes words for the model, never a crash."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.lm import Context, Tool
from kataribe.base.messages import ToolCallPart, ToolResultPart
from kataribe.base.nearness import meant
from kataribe.base.tool_answers import MOST_CHARACTERS, as_text, cut_answer

LONGEST_ARGUMENTS = 1 << 20
"""Characters of the arguments of one call."""
MOST_REPEATS = 3
"""How often the same call may have the same result before it is not made again."""
MOST_TOLD = 2
"""How often a model is told that it repeats a call before it must answer."""
_GRACE_SECONDS = 1.0
_LONGEST_ERROR = 2000

asking: contextvars.ContextVar[Context | None] = contextvars.ContextVar(
    "kataribe_asking", default=None
)
"""For whom a tool runs: the context of the request that caused the call; None outside of one."""


@contextlib.contextmanager
def asked_by(context: Context) -> Iterator[None]:
    """Tools that are called within the block run for the request with this context."""
    before = asking.set(context)
    try:
        yield
    finally:
        asking.reset(before)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What calls of tools may take.

    `call_tool` makes one call and holds it to `seconds` and `characters`; whoever makes several
    (an agent, ReAct) holds them to the rest.

    Attributes:
        at_once: Calls that run side by side; further ones wait.
        most: Calls in one reply, those of the caller's tools among them. Of further ones none runs:
            the model is told so as their result. The caller's are handed over all the same.
        seconds: For one call; then it is stopped.
        characters: Of an answer; of a longer one the model is given its beginning and end.
    """

    at_once: int = 8
    most: int = 64
    seconds: float = 120.0
    characters: int = MOST_CHARACTERS

    def __post_init__(self) -> None:
        for name in ("at_once", "most"):
            value = getattr(self, name)
            if value < 1:
                raise InputError(f"{name} is {value}, but must be at least 1.", param=name)
        if not 0 < self.seconds <= 86_400:  # also refuses NaN
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
    tools: Sequence[Tool], call: ToolCallPart, limits: CallLimits | None = None
) -> ToolResultPart:
    """Makes one call and gives what came of it; only cancelling gets through as an exception.

    An unknown tool, arguments that are no JSON or do not fit, a tool that raises, hangs, answers
    too much or in binary: all of it becomes text that tells the model what to do better.
    """
    limits = limits or CallLimits()
    try:
        tool, arguments = found_call(tools, call)
    except InputError as error:
        return failed(call, error.message)
    work = asyncio.ensure_future(tool.call(arguments))
    try:
        await asyncio.wait([work], timeout=limits.seconds)
        is_late = not work.done()
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait([work], timeout=_GRACE_SECONDS)  # it may have to clean up
    if is_late and (not work.done() or work.cancelled()):
        return _late(call, work, limits)
    return _result(call, work, limits)


def found_call(tools: Sequence[Tool], call: ToolCallPart) -> tuple[Tool, dict[str, Any]]:
    """The tool and the arguments of a call.

    Raises `InputError` with words for the model, for a tool that is not there and for arguments
    that are no JSON object; whether they fit the tool's schema is the tool's to say.
    """
    return _found(tools, call.name), _arguments(call)


def failed(call: ToolCallPart, words: str) -> ToolResultPart:
    """The result of a call that has none."""
    return ToolResultPart(call.id, cut_answer(f"Error: {words}", _LONGEST_ERROR), is_error=True)


def same_call(call: ToolCallPart) -> str:
    """A text that two calls share when they ask the same, however their JSON is written."""
    try:
        arguments: Any = json.loads(call.arguments.strip() or "{}")
        written = json.dumps(arguments, sort_keys=True)
    except (ValueError, RecursionError):
        written = call.arguments
    return f"{call.name} {written}"


class Repeats:
    """How often in a row calls have had the same result."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[ToolResultPart, int]] = {}

    def times(self, call: ToolCallPart) -> int:
        """How often this call, however its JSON is written, has had the result it had last."""
        found = self._found.get(same_call(call))
        return found[1] if found is not None else 0

    def note(self, call: ToolCallPart, result: ToolResultPart) -> None:
        """Counts what came of a call that was made."""
        told = replace(result, call_id="", is_error=False)
        before, times = self._found.get(same_call(call), (None, 0))
        self._found[same_call(call)] = told, times + 1 if before == told else 1


def not_again(call: ToolCallPart, times: int) -> ToolResultPart:
    """The result of a call that was not made because it had the same result so many times."""
    return failed(
        call,
        f"You have made this call {times} times with the same result, so it was not run again. "
        "Use the result that you have, call something else, or answer.",
    )


def _late(call: ToolCallPart, work: asyncio.Future[str], limits: CallLimits) -> ToolResultPart:
    work.add_done_callback(_forget)
    return failed(
        call,
        f"{call.name} did not answer within {limits.seconds:g} s and was given up. Whether it has "
        "changed anything is not known. Ask it for less, or go on without it.",
    )


def _result(call: ToolCallPart, work: asyncio.Future[str], limits: CallLimits) -> ToolResultPart:
    if work.cancelled():
        return failed(call, f"{call.name} broke its own work off and gave no answer.")
    error = work.exception()
    if error is None:
        return ToolResultPart(call.id, cut_answer(as_text(work.result()), limits.characters))
    if isinstance(error, KataribeError):
        return failed(call, error.message)
    return failed(call, f"{call.name} failed with {type(error).__name__}: {error}")


def _forget(work: asyncio.Future[str]) -> None:
    """Takes the error of a call that was given up, so that nobody warns of it later."""
    if not work.cancelled():
        work.exception()


def _found(tools: Sequence[Tool], name: str) -> Tool:
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
