"""Runs chat templates in a child process that has limits and no rights.

One child serves the whole process, from any thread, one template at a time: an ordinary one takes
well under a millisecond. It starts with the first template and ends with its parent.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from kataribe.base.errors import InputError, TemplateError, UnavailableError

CPU_SECONDS = 3.0
"""Most CPU time of one rendering. The slowest real template seen took 0.02 s."""
MEMORY_BYTES = 1 << 30
"""Most address space of the child, of which Python itself takes about 40 MB."""

_CHILD = Path(__file__).with_name("template_child.py")


class TemplateHost:
    """The child process and the pipe to it."""

    def __init__(self, *, seconds: float = CPU_SECONDS, memory: int = MEMORY_BYTES) -> None:
        self._limits = (memory, seconds)
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def render(self, source: str, values: Mapping[str, Any]) -> str:
        """The text that a template makes of JSON values.

        Raises:
            InputError: A value is not JSON.
            TemplateError: The template is invalid, refused the values, reached for what it may
                not have, or broke the limit of time or memory.
        """
        return self.render_many([(source, values)])[0]

    def render_many(self, wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """`render` for many templates with their values, each within the limits of one.

        The child begins with the next as soon as it has written the last: of a long list the
        time is its own, and not that of two processes waiting for each other. Other threads
        wait meanwhile, so lists should be some hundreds. The first error is raised.
        """
        try:
            requests = [json.dumps({"source": s, "values": v}).encode() for s, v in wanted]
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"A chat template can only be given JSON values: {error}.") from error
        return [str(reply["text"]) for reply in self._ask(requests)]

    def names(self, source: str) -> frozenset[str]:
        """The variables that a template may read; `TemplateError` for an invalid one."""
        return frozenset(self._ask([json.dumps({"source": source}).encode()])[0]["names"])

    def start(self) -> None:
        """Starts the child ahead of the first template, which then need not wait 0.3 s for it."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """Ends the child; the next rendering starts another."""
        with self._lock:
            if self._child is not None:
                self._child.kill()
                self._reap(self._child)

    def _ask(self, requests: Sequence[bytes]) -> list[dict[str, Any]]:
        with self._lock:
            replies = self._exchange(requests)
        for reply in replies:
            if "error" in reply:
                raise TemplateError(f"The chat template failed: {reply['error']}")
        return replies

    def _exchange(self, requests: Sequence[bytes]) -> list[dict[str, Any]]:
        child = self._running()
        if child.stdin is None or child.stdout is None:
            raise UnavailableError("The process that renders chat templates has no pipes.")
        try:
            if len(requests) == 1:
                _write(child.stdin, requests)
                return [_read(child.stdout)]
            # Pipes hold 64 kB each: who wrote all before reading could wait for a child that
            # waits to be read.
            with ThreadPoolExecutor(max_workers=1) as beside:
                writing = beside.submit(_write, child.stdin, requests)
                try:
                    replies = [_read(child.stdout) for _ in requests]
                except BaseException:
                    child.kill()  # else the writer could wait for ever
                    raise
            writing.result()
        except (BrokenPipeError, ValueError) as error:
            raise TemplateError(self._cause(self._reap(child))) from error
        except BaseException:
            self._reap_killed(child)  # half of an exchange: its replies would answer the next
            raise
        return replies

    def _reap_killed(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        self._reap(child)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        if self._child is not None:
            self._reap(self._child)
        else:
            atexit.register(self.close)
        keep = {name: os.environ[name] for name in ("TZ", "SYSTEMROOT") if name in os.environ}
        memory, seconds = self._limits
        # -I: neither the working directory nor PYTHON* variables reach the child.
        command = [sys.executable, "-I", str(_CHILD), str(memory), str(seconds)]
        self._child = subprocess.Popen(  # noqa: S603  # our own file, no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=keep, start_new_session=True
        )
        return self._child

    def _reap(self, child: subprocess.Popen[bytes]) -> int:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # it held words for a child that is gone
        code = child.wait()
        self._child = None
        return code

    def _cause(self, code: int) -> str:
        memory, seconds = self._limits
        if code == -signal.SIGPROF:
            return (
                f"The chat template ran for more than {seconds:g} s of CPU time and was stopped. "
                "A sound one takes milliseconds; the model's file may be damaged or hostile."
            )
        return (
            f"The chat template brought its process down (exit {code}); it may have needed more "
            f"than {memory >> 20} MB. The model's file may be damaged or hostile."
        )


def _write(pipe: IO[bytes], requests: Sequence[bytes]) -> None:
    for request in requests:
        pipe.write(len(request).to_bytes(8) + request)
    pipe.flush()


def _read(pipe: IO[bytes]) -> dict[str, Any]:
    """The next reply; `ValueError` where the child is gone."""
    size = int.from_bytes(pipe.read(8))
    return dict(json.loads(pipe.read(size)))


_host = TemplateHost()


def shared_host() -> TemplateHost:
    """The one host of this process."""
    return _host
