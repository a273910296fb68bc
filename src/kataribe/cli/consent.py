"""Consent in the terminal: a person is asked before a tool runs that needs it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import TypeAlias

from kataribe.base.abilities import messages_of
from kataribe.base.events import Event, Finished, Step, TextDelta, Usage
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import Message, TextPart, ToolCallPart, text_of
from kataribe.cli.output import note
from kataribe.use.agents.approvals import approve, refuse

Ask: TypeAlias = Callable[[str, str], bool]
"""From a tool's name and its arguments to whether it may run."""

NO_TERMINAL = (
    "There is no terminal to ask for consent at. (Allow such tools beforehand with "
    "--approve always.)"
)
REFUSED = "The user does not want this call."


class NobodyToAskError(Exception):
    """Standard input is no terminal."""


def ask_person(name: str, arguments: str) -> bool:
    """Asks at the terminal; raises `NobodyToAskError` where there is none."""
    if not _is_terminal():
        raise NobodyToAskError
    note(f"The model wants to use {name}: {arguments}")
    with _ctrl_c_ends():
        while True:
            sys.stderr.write("Let it? [y/n] ")
            sys.stderr.flush()
            said = sys.stdin.readline()
            if not said:
                raise NobodyToAskError  # the terminal has closed
            word = said.strip().lower()
            if word in ("y", "yes", "n", "no"):
                return word.startswith("y")


def _is_terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


@contextlib.contextmanager
def _ctrl_c_ends() -> Iterator[None]:
    """Ctrl-C ends the waiting at once; the event loop would only note it, and wait on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def decide(ask: Ask, name: str, arguments: str) -> tuple[bool, str]:
    """Whether a call may run, and why not."""
    try:
        return (True, "") if ask(name, arguments) else (False, REFUSED)
    except NobodyToAskError:
        return False, NO_TERMINAL


class Consenting:
    """Asks the person for each call that a turn waits with, and goes on with the answers."""

    def __init__(self, lm: LM, ask: Ask = ask_person) -> None:
        self._lm = lm
        self._ask = ask

    @property
    def name(self) -> str:
        """The name of who answers."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What that can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers; between the turns that wait for consent the person is asked."""
        said, used = "", Usage(0, 0)
        while True:
            held: Finished | None = None
            async with aclosing(self._lm.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    if not isinstance(event, Finished):
                        yield event
                    elif event.reason == "approval" and request.n == 1:
                        held = event
                    else:
                        yield _whole(event, said, used)
            if held is None:
                return
            said, used = said + text_of(held.message), used + held.usage
            calls = [part for part in held.message.parts if isinstance(part, ToolCallPart)]
            answers: list[Message] = []
            for call in calls:
                may, why = decide(self._ask, call.name, call.arguments)
                answers.append(approve(call) if may else refuse(call, why=why))
                if not may:
                    yield Step("not allowed", f"{call.name}: {why}")
            prompt = (*messages_of(request), held.message, *answers)
            request = replace(request, prompt=prompt)
            if said and not said.endswith("\n"):
                yield TextDelta("\n\n")
                said += "\n\n"


def _whole(end: Finished, said: str, used: Usage) -> Finished:
    """The end with what was said and used before consent was asked for."""
    if not said and used == Usage(0, 0):
        return end
    rest = tuple(part for part in end.message.parts if not isinstance(part, TextPart))
    text = said + text_of(end.message)
    parts = (*rest, TextPart(text)) if text else rest
    return replace(end, message=Message("assistant", parts), usage=used + end.usage)
