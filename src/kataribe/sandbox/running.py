"""One run of code in a sandboxed process: fed, read and watched, until it ends or is ended."""

from __future__ import annotations

import os
import secrets
import selectors
import threading
import time
from dataclasses import replace
from pathlib import Path

from kataribe.sandbox import folder as folders
from kataribe.sandbox import verify
from kataribe.sandbox.frames import BrokenProtocolError, Frames, pack, text_or_none
from kataribe.sandbox.limits import Limits
from kataribe.sandbox.outcome import Ending, MadeFile, Outcome
from kataribe.sandbox.process import Sandboxed

LOOK_SECONDS = 0.02
"""Between two looks at processor time and folder. On a folder of 2,000 files a look takes 9 ms,
and then it waits four times as long."""
PATIENCE_SECONDS = 1.0
"""For a process that closed its pipe to be gone with its own exit code."""
_PIECE = 1 << 16
_KINDS: dict[str, Ending] = {
    "done": "done",
    "error": "error",
    "memory": "memory",
    "file": "file",
}


class _EndedError(Exception):
    """The run is over, but not by a reply."""

    def __init__(self, ended: Ending, detail: str) -> None:
        super().__init__(detail)
        self.ended = ended
        self.detail = detail


class _Run:
    """What one run has said so far, and what it may still use."""

    def __init__(self, process: Sandboxed, limits: Limits, folder: Path) -> None:
        self.process = process
        self.limits = limits
        self.folder = folder
        self.token = secrets.token_hex(8)
        self.texts = {process.pipes.stdout: bytearray(), process.pipes.stderr: bytearray()}
        self.frames = Frames(limits.reply_bytes)
        self.started = time.monotonic()
        self.cpu_before = verify.cpu_seconds(process.pid)
        self.before = folders.whole_state_of(folder, limits.files)

    def cpu(self) -> float:
        return max(0.0, verify.cpu_seconds(self.process.pid) - self.cpu_before)

    def wall(self) -> float:
        return time.monotonic() - self.started

    def look(self) -> float:
        """Raises when a limit is broken; gives the seconds until the next look."""
        limits = self.limits
        if (wall := self.wall()) > limits.wall_seconds:
            raise _over("wall", wall, limits.wall_seconds, "s by the clock")
        if (cpu := self.cpu()) > limits.cpu_seconds:
            raise _over("cpu", cpu, limits.cpu_seconds, "s of processor time")
        began = time.monotonic()
        size = folders.measure(self.folder, limits.files)
        if size.files > limits.files:
            raise _over("files", size.files, limits.files, "files and folders in its folder")
        used = size.bytes + verify.unlinked_bytes(self.process.pid)
        if used > limits.folder_bytes:
            raise _over("folder", used, limits.folder_bytes, "bytes in its folder")
        wait = max(LOOK_SECONDS, 4 * (time.monotonic() - began))
        return min(wait, max(0.001, limits.wall_seconds - wall))

    def hear(self, descriptor: int) -> bool:
        """Reads one piece of output; False at its end."""
        data = _read(descriptor)
        if data:
            text = self.texts[descriptor]
            text += data
            if len(text) > self.limits.output_bytes:
                del text[self.limits.output_bytes :]
                raise _EndedError(
                    "output", f"stopped: it printed more than {self.limits.output_bytes} bytes"
                )
        return data != b""

    def rest(self) -> None:
        """Reads what was printed before the reply and still waits in the pipes."""
        for descriptor in self.texts:
            while _read_would_give(descriptor) and self.hear(descriptor):
                continue

    def outcome(self, ended: Ending, detail: str = "") -> Outcome:
        stdout, stderr = (bytes(text).decode("utf-8", "replace") for text in self.texts.values())
        return Outcome(
            ended,
            stdout,
            stderr,
            detail=detail,
            cpu_seconds=round(self.cpu(), 3),
            wall_seconds=round(self.wall(), 3),
        )

    def made(self) -> tuple[MadeFile, ...]:
        """Files that were not there before, or not so."""
        now = folders.state_of(self.folder, self.limits.files)
        changed = {n: s for n, s in now.items() if s is not None and self.before.get(n) != s}
        return tuple(MadeFile(_shown(name), changed[name][0]) for name in sorted(changed))


def run_code(
    process: Sandboxed, code: str, limits: Limits, folder: Path, stop: threading.Event
) -> Outcome:
    """Runs code in the process, which is stopped afterwards, or ended where a limit was broken.

    A process whose state is not kept is reaped when this returns, and also when it raises; only
    with `InputError` (the folder holds too much already) it is as it was. What the program left
    too much of in its folder is removed.
    """
    run = _Run(process, limits, folder)
    try:
        outcome = _watched(run, pack({"token": run.token, "code": code}), stop)
    except BaseException:
        process.reap()
        raise
    if outcome.state_is_kept:
        return replace(outcome, files=run.made())
    crashed = outcome.ended == "crash"
    exit_code = process.reap(PATIENCE_SECONDS if crashed else 0.0)
    if crashed:
        outcome = replace(outcome, detail=f"{outcome.detail} (exit code {exit_code})")
    if outcome.ended in ("folder", "files"):
        folders.remove_new(folder, run.before)
        words = f"{outcome.detail}; what was new in this run was removed"
        outcome = replace(outcome, detail=words)
    return replace(outcome, files=run.made())


def _watched(run: _Run, command: bytes, stop: threading.Event) -> Outcome:
    process, limits = run.process, run.limits
    process.thaw()
    try:
        reply = _reply(run, command, stop)
        process.freeze()
        run.rest()
        run.look()
        ended = _KINDS[str(text_or_none(reply, "kind"))]
        return replace(
            run.outcome(ended, _SAID.get(ended, "").format(limits=limits)),
            value=text_or_none(reply, "value"),
            error=text_or_none(reply, "error"),
        )
    except _EndedError as over:
        return run.outcome(over.ended, over.detail)
    except (BrokenProtocolError, KeyError) as error:
        return run.outcome("protocol", f"stopped: it sent {error}")


_SAID = {
    "memory": "it needed more than the {limits.memory_bytes} bytes of memory that it may have",
    "file": "it wrote a file of more than {limits.file_bytes} bytes",
}


def _reply(run: _Run, command: bytes, stop: threading.Event) -> dict[str, object]:
    pipes = run.process.pipes
    with selectors.DefaultSelector() as selector:
        for descriptor in (pipes.replies, *run.texts):
            selector.register(descriptor, selectors.EVENT_READ)
        selector.register(pipes.commands, selectors.EVENT_WRITE)
        next_look = 0.0
        while True:
            if stop.is_set():
                raise _EndedError("cancelled", "stopped by whoever asked")
            if (now := time.monotonic()) >= next_look:
                next_look = now + run.look()
            for key, _ in selector.select(min(LOOK_SECONDS, max(0.0, next_look - now))):
                if key.fd == pipes.commands:
                    command = command[_write(key.fd, command) :]
                    if not command:
                        selector.unregister(key.fd)
                elif key.fd == pipes.replies:
                    if found := _frame(run):
                        return found
                elif not run.hear(key.fd):
                    selector.unregister(key.fd)


def _shown(name: str) -> str:
    """A name as text; names may be any bytes, and what is no UTF-8 is replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _frame(run: _Run) -> dict[str, object] | None:
    data = _read(run.process.pipes.replies)
    if not data:
        run.rest()
        raise _EndedError("crash", "its process ended")
    found = run.frames.feed(data)
    if not found:
        return None
    if len(found) > 1 or found[0].get("token") != run.token:
        raise BrokenProtocolError("replies that nobody asked for")
    return found[0]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return b""


def _read_would_give(descriptor: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def _write(descriptor: int, data: bytes) -> int:
    try:
        return os.write(descriptor, data[:_PIECE])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        raise _EndedError("crash", "its process ended") from None


def _over(ended: Ending, used: float, limit: float, unit: str) -> _EndedError:
    shown = f"{used:.2f}" if isinstance(used, float) else str(used)
    return _EndedError(ended, f"stopped: {shown} {unit}, where {limit} are allowed")
