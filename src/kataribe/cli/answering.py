"""Whom `ask` and `chat` ask, and how the reply is shown while it comes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kataribe.base.errors import KataribeError
from kataribe.base.events import Finished, Progress, ReasoningDelta, Step, TextDelta
from kataribe.base.lm import close_stream
from kataribe.base.workspace import Workspace
from kataribe.cli.output import Waiting, dim, note, say, size
from kataribe.cli.running import find_running

if TYPE_CHECKING:
    from kataribe.base.lm import LM, Request
    from kataribe.base.settings import Settings

LONGEST_STEP = 500
"""Characters of a step that are shown; `--json` has it whole."""


@contextlib.contextmanager
def open_lm(settings: Settings, *, local: bool = False) -> Iterator[LM]:
    """The model of the running server, or the same model in this process when none runs."""
    workspace = Workspace.locate()
    running = None if local else find_running(workspace)
    if running is not None:
        from kataribe.cli.served import served_lm

        yield served_lm(settings.model, running.url, settings.key)
        return
    from kataribe.cli import wiring

    with Waiting() as waiting:
        waiting.show(f"Loading {settings.model}")
        with wiring.open_local(settings, workspace) as lm:
            waiting.clear()
            yield lm


class Listener:
    """Shows a reply while it comes, and keeps what has come so far in `heard` and `steps`.

    Steps go to standard error, a dimmed line each, unless they are not wanted.
    """

    def __init__(self, *, quiet: bool = False, steps: bool = True) -> None:
        self.heard = ""
        self.steps: list[Step] = []
        self.is_quiet = quiet
        self._shows_steps = steps

    async def listen(self, lm: LM, request: Request) -> Finished:
        """The reply's end; its words went to standard output, unless this listener is quiet."""
        finished: Finished | None = None
        events = lm.stream(request)
        try:
            with Waiting() as waiting:
                waiting.show(f"Waiting for {lm.name}")
                async for event in events:
                    match event:
                        case TextDelta(text):
                            waiting.clear()
                            self._hear(text)
                        case ReasoningDelta():
                            waiting.show("Thinking")
                        case Progress():
                            waiting.show(describe(event))
                        case Step():
                            waiting.clear()
                            self._take(event)
                            if not self.heard:
                                waiting.show(f"Waiting for {lm.name}")
                        case Finished():
                            finished = event
        finally:
            await close_stream(events)  # frees the model at once, also when Ctrl-C came
        if finished is None:
            raise KataribeError(f"{lm.name} ended without an end; its stream broke the protocol.")
        return finished

    def _take(self, step: Step) -> None:
        self.steps.append(step)
        if not self._shows_steps:
            return
        if self.heard and not self.heard.endswith("\n") and sys.stdout.isatty():
            note("")  # the reply's line ends here, on the screen alone
        tell_step(step)

    def _hear(self, text: str) -> None:
        self.heard += text
        if not self.is_quiet:
            say(text, end="")


def tell_step(step: Step) -> None:
    """A line on standard error, dimmed where a person looks; long ones are cut with a sign."""
    line = f"{step.name}: {step.detail}"
    line = line if len(line) <= LONGEST_STEP else f"{line[: LONGEST_STEP - 1]}…"
    dim(line)


def describe(progress: Progress) -> str:
    """A line for a person who waits."""
    done, total = progress.done, progress.total
    if progress.stage == "queued":
        return f"In the queue, place {done}" + (f" of {total}" if total else "")
    if progress.stage == "loading":
        return f"Loading, {size(done)}" + (f" of {size(total)}" if total else "")
    return f"Reading, {done}" + (f" of {total} tokens" if total else " tokens")
