"""The process that is at a run: begun here, or by a server that is gone and found again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psutil

from kataribe.base.errors import KataribeError
from kataribe.make.training.births import birth, find_process
from kataribe.make.training.runs import read_object, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.make.training.runs import RunFolder

NOTE = "process.json"
"""In the run's folder: which process the server began for it. run.json knows only later, when the
process has imported what it needs; a server that is killed before must find it, too."""


class RunProcess:
    """A process that plans or trains a run.

    Args:
        folder: The run's.
        process: What runs.
        own: Our own child, whose exit code can be learned; None for one of a server before.
    """

    def __init__(
        self, folder: RunFolder, process: psutil.Process, own: subprocess.Popen[bytes] | None = None
    ) -> None:
        self._folder, self._process, self._own = folder, process, own
        self._began = birth(process)
        self.code: int | None = None
        self.asked = False
        """Whether a server has asked it to end: a second time would end it at once."""

    @classmethod
    def begin(cls, folder: RunFolder, words: Sequence[str], root: Path) -> RunProcess:
        """`kataribe WORDS` in the workspace `root`; what it says goes to process.log."""
        with (folder.path / "process.log").open("ab") as log:
            own = subprocess.Popen(  # noqa: S603  our own command; the id is a folder's name
                [sys.executable, "-m", "kataribe", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "KATARIBE_HOME": str(root)},
                start_new_session=True,  # Ctrl-C is for the server, which then ends its jobs
            )
        process = psutil.Process(own.pid)  # not reaped before we wait for it, so it is there
        made = cls(folder, process, own)
        try:
            made._write_note()
        except BaseException:
            made.kill()
            raise
        return made

    @classmethod
    def find(cls, folder: RunFolder) -> RunProcess | None:
        """The process of this machine that is at the run already; None where there is none."""
        with contextlib.suppress(KataribeError, KeyError, TypeError, ValueError, psutil.Error):
            note = read_object(folder.path / NOTE)
            if note["host"] == socket.gethostname():
                found = find_process(int(note["pid"]), note["began"])
                if found is not None:
                    made = cls(folder, found)
                    made.asked = bool(note.get("asked"))
                    return made
        info = folder.info  # begun by the command, or `running` before the note was there
        if info.state != "running" or info.host != socket.gethostname() or info.pid is None:
            return None
        found = find_process(info.pid, info.process_began)
        with contextlib.suppress(psutil.Error):  # gone just now
            return None if found is None else cls(folder, found)
        return None

    def wait(self, seconds: float) -> bool:
        """Waits at most so long for its end; whether it ended."""
        if self._own is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.code = self._own.wait(seconds)
            return self.code is not None
        until = time.monotonic() + seconds
        while self._lives():
            if time.monotonic() >= until:
                return False
            time.sleep(min(0.1, seconds))
        return True

    def ask_to_end(self) -> None:
        """Has it write a checkpoint and end, which can take minutes where a model is large.

        A server that finds it later learns from the note that it was asked.
        """
        if self.asked or not self._lives():
            return
        self.asked = True
        with contextlib.suppress(KataribeError, psutil.Error):  # it can end on a full disk, too
            self._write_note()
        with contextlib.suppress(psutil.Error):
            self._process.send_signal(signal.SIGINT)

    def settle(self) -> None:
        """Puts right what run.json says of a process that is gone without having said so."""
        with contextlib.suppress(KataribeError):
            if self._folder.written_info().state == "running":
                self._folder.change(state="stopped", ended_at=time.time())

    def kill(self) -> None:
        """Ends it at once."""
        with contextlib.suppress(psutil.Error):
            self._process.kill()
        self.wait(10.0)

    def _write_note(self) -> None:
        note = {
            "host": socket.gethostname(),
            "pid": self._process.pid,
            "began": self._began,
            "asked": self.asked,
        }
        write_json(self._folder.path / NOTE, note)

    def _lives(self) -> bool:
        if self._own is not None:
            self.code = self._own.poll()
            return self.code is None
        return find_process(self._process.pid, self._began) is not None
