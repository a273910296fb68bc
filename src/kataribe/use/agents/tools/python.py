"""A Python interpreter as a tool, behind the walls of `sandbox`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from kataribe.sandbox.outcome import Outcome
from kataribe.sandbox.session import Session, Setup
from kataribe.use.agents.tools.function import FunctionTool, function_tool

_SHOWN_FILES = 20


class PythonTool:
    """The tool `run_python`: one session, whose variables stay between calls.

    The session begins with the first call. Close it when the conversation or the agent is done.
    """

    def __init__(self, setup: Setup | None = None) -> None:
        self._setup = setup or Setup()
        self._session: Session | None = None
        self._lock = threading.Lock()
        self.tool: FunctionTool = self._made()

    def close(self) -> None:
        """Ends the session, and removes its folder unless one was given."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def session(self) -> Session:
        """The session; begun when there is none. Raises `UnsupportedError` where it cannot be."""
        with self._lock:
            if self._session is None:
                self._session = Session(self._setup)
            return self._session

    def _made(self) -> FunctionTool:
        async def run_python(code: str) -> str:
            """Runs Python.

            Args:
                code: Statements; the value of the last one is shown when it is an expression.
            """
            session = await asyncio.to_thread(self.session)
            return told(await session.run_async(code))

        return function_tool(run_python, description=_described(self._setup))


def _described(setup: Setup) -> str:
    limits = setup.limits
    packages = ", ".join(setup.packages) if setup.packages else "no other packages"
    return (
        "Runs Python and gives what it prints and the value of its last expression. Variables stay "
        f"from call to call. The standard library and {packages} are there; there is no network, "
        "no other process and no file but those in the working folder. A call may take "
        f"{limits.cpu_seconds:g} s of processor time and {limits.wall_seconds:g} s by the clock."
    )


def told(outcome: Outcome) -> str:
    """An outcome in words for a model."""
    parts = [_part("printed", outcome.stdout), _part("standard error", outcome.stderr)]
    if outcome.value is not None:
        parts.append(f"value: {outcome.value}")
    if outcome.error is not None:
        parts.append(outcome.error.rstrip())
    if outcome.files:
        parts.append(f"files: {_files(outcome)}")
    if outcome.detail:
        parts.append(f"The run {_ENDINGS.get(outcome.ended, 'was')} {outcome.detail}.")
    if outcome.begun_anew:
        parts.append("The variables of earlier calls were gone: the session had been idle long.")
    if not outcome.state_is_kept:
        parts.append(
            "All variables are gone; the next call begins anew. The files are still there."
        )
    return "\n".join(part for part in parts if part) or "Done; nothing was printed."


_ENDINGS = {"memory": "failed:", "file": "failed:", "crash": "crashed:"}


def _part(name: str, text: str) -> str:
    return f"{name}:\n{text.rstrip()}" if text.strip() else ""


def _files(outcome: Outcome) -> str:
    shown: Sequence[str] = [f"{each.path} ({each.size} bytes)" for each in outcome.files]
    more = f" and {len(shown) - _SHOWN_FILES} more" if len(shown) > _SHOWN_FILES else ""
    return ", ".join(shown[:_SHOWN_FILES]) + more
