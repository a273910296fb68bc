"""Whom `ask` and `chat` ask, and how the reply is shown while it comes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kataribe.base.errors import KataribeError
from kataribe.base.events import Finished, Progress, ReasoningDelta, Step, TextDelta
from kataribe.base.workspace import Workspace
from kataribe.cli.output import Waiting, say, size
from kataribe.cli.running import find_running

if TYPE_CHECKING:
    from kataribe.base.lm import LM, Request
    from kataribe.base.settings import Settings


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
    """Shows a reply while it comes, and keeps what has come so far in `heard`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.heard = ""
        self._quiet = quiet

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
                        case Step(name, detail):
                            waiting.show(f"{name}: {detail}")
                        case Finished():
                            finished = event
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()  # frees the model at once, also when Ctrl-C came
        if finished is None:
            raise KataribeError(f"{lm.name} ended without an end; its stream broke the protocol.")
        return finished

    def _hear(self, text: str) -> None:
        self.heard += text
        if not self._quiet:
            say(text, end="")


def describe(progress: Progress) -> str:
    """A line for a person who waits."""
    done, total = progress.done, progress.total
    if progress.stage == "queued":
        return f"In the queue, place {done}" + (f" of {total}" if total else "")
    if progress.stage == "loading":
        return f"Loading, {size(done)}" + (f" of {size(total)}" if total else "")
    return f"Reading, {done}" + (f" of {total} tokens" if total else " tokens")
