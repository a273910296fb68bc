"""One sandboxed process: started behind its walls, checked from outside, fed, and ended."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import pwd
import random
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import UnavailableError, UnsupportedError
from kataribe.sandbox import bubblewrap, verify
from kataribe.sandbox.frames import BrokenProtocolError, Frames
from kataribe.sandbox.limits import Limits
from kataribe.sandbox.python_home import python_home
from kataribe.sandbox.seccomp import filter_program

START_SECONDS = 30.0
"""Until a new process must have said that it is ready; it takes about 0.05 s."""
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Pipes:
    """The host's ends: commands in; replies, output, errors and bubblewrap's own state out.

    `status` is read once, but stays open: bubblewrap writes its last word there, and would die of
    a closed pipe before it could hand the exit code on.
    """

    commands: int
    replies: int
    stdout: int
    stderr: int
    status: int

    def close(self) -> None:
        """Gives them all back."""
        _close(self.commands, self.replies, self.stdout, self.stderr, self.status)


@dataclass(frozen=True, slots=True)
class Sandboxed:
    """A running process behind its walls.

    `pid` is its number outside; `init` and `itself` are handles (pidfd) of the first process of its
    namespace, whose end is everybody's end there, and of the program itself.
    """

    popen: subprocess.Popen[bytes]
    pipes: Pipes
    pid: int
    init: int
    itself: int

    def freeze(self) -> None:
        """Stops it where it stands; between runs nothing of it runs."""
        self._signal(self.itself, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        self._signal(self.itself, signal.SIGCONT)

    def reap(self, patience: float = 0.0) -> int:
        """Ends it if it still runs, waits until all of it is gone and gives everything back.

        Gives its exit code; 128 and the signal's number where a signal ended it. One that is
        ending by itself has `patience` seconds for it, else its code would be lost.
        """
        if _ended(self.init, patience):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(START_SECONDS)
        self._signal(self.itself, signal.SIGKILL)
        self._signal(self.init, signal.SIGKILL)
        # Its handle becomes readable when nobody of its namespace is left.
        _ended(self.init, START_SECONDS)
        self.popen.kill()
        code = self.popen.wait()
        self.pipes.close()
        _close(self.init, self.itself)
        return code

    @staticmethod
    def _signal(handle: int, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return  # it has ended


def _ended(handle: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds: its handle becomes readable."""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def rlimits(limits: Limits, *, as_root: bool) -> dict[str, int]:
    """The kernel's limits of one process (setrlimit(2)), soft and hard alike."""
    return {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_NOFILE": limits.open_files,
        # The first process of an ordinary user's namespace counts as well.
        "RLIMIT_NPROC": limits.threads + (0 if as_root else 1),
    }


def free_user() -> int:
    """A number that no user of this machine has, for one session of root's."""
    while True:
        number = random.randint(bubblewrap.FIRST_NUMBER, bubblewrap.LAST_NUMBER)
        try:
            pwd.getpwuid(number)
        except KeyError:
            return number


def start(limits: Limits, folder: Path, packages: Sequence[str], uid: int | None) -> Sandboxed:
    """Starts Python behind the walls, its folder at `/work`; `uid` is root's choice for it.

    Raises `UnsupportedError` where this machine cannot hold it, `UnavailableError` where it did
    not become ready, `NotFoundError` for a package that is not there.
    """
    # The kernel ends the sandbox with the thread that started it, so that thread must stay.
    return _starter().submit(_start, limits, folder, packages, uid).result()


@functools.cache
def _starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox")


def _start(limits: Limits, folder: Path, packages: Sequence[str], uid: int | None) -> Sandboxed:
    bwrap = bubblewrap.find_bubblewrap()
    program = filter_program(platform.machine())
    home = python_home(packages)
    commands_in, commands = os.pipe()
    replies, replies_out = os.pipe()
    stdout, stdout_in = os.pipe()
    stderr, stderr_in = os.pipe()
    status, status_in = os.pipe()
    seccomp, seccomp_in = os.pipe()
    os.write(seccomp_in, program)  # 3 kB, and a pipe holds 64
    os.close(seccomp_in)
    line = bubblewrap.command_line(
        bwrap, home, folder, bubblewrap.Descriptors(seccomp, status_in), as_root=uid is not None
    )
    settings = {
        "uid": uid,
        "commands": commands_in,
        "replies": replies_out,
        # Characters; each takes at most 12 bytes of JSON, and a little stands around them.
        "longest": limits.reply_bytes // 16,
        "rlimits": rlimits(limits, as_root=uid is not None),
    }
    theirs = (commands_in, replies_out, stdout_in, stderr_in, status_in, seccomp)
    pipes = Pipes(commands, replies, stdout, stderr, status)
    try:
        popen = subprocess.Popen(  # noqa: S603  # no shell; every word is ours
            [*line, json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            stdout=stdout_in,
            stderr=stderr_in,
            pass_fds=(commands_in, replies_out, status_in, seccomp),
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        pipes.close()
        raise UnavailableError(f"{bwrap} could not be started: {error.strerror}.") from error
    finally:
        _close(*theirs)
    try:
        return _ready(popen, pipes, uid, limits)
    except BaseException:
        popen.kill()
        popen.wait()
        pipes.close()
        raise


def _ready(
    popen: subprocess.Popen[bytes], pipes: Pipes, uid: int | None, limits: Limits
) -> Sandboxed:
    told = _first_frame(pipes.replies, time.monotonic() + START_SECONDS)
    if not told:
        words = _said(pipes.stderr) or "it did not become ready"
        raise bubblewrap.refusal(words)
    init = _init_of(pipes.status)
    try:
        init_handle = os.pidfd_open(init)
    except OSError as error:
        raise bubblewrap.refusal("what it started ended at once") from error
    pid = verify.only_child(init)
    missing = (
        ["its process cannot be found"]
        if pid is None
        else verify.missing_walls(
            pid, os.getuid() if uid is None else uid, rlimits(limits, as_root=uid is not None)
        )
    )
    if pid is None or missing:
        os.close(init_handle)
        raise UnsupportedError(
            f"The sandbox's walls do not stand on this machine: {'; '.join(missing)}. Nothing was "
            "run. Check which bwrap is installed, or leave the tool out."
        )
    for descriptor in (pipes.commands, pipes.replies, pipes.stdout, pipes.stderr):
        os.set_blocking(descriptor, False)
    _first_to_go(pid)
    return Sandboxed(popen, pipes, pid, init_handle, os.pidfd_open(pid))


def _first_frame(replies: int, deadline: float) -> bool:
    frames = Frames(_HEAD)
    with selectors.DefaultSelector() as selector:
        selector.register(replies, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            data = os.read(replies, _HEAD)
            try:
                found = frames.feed(data)
            except BrokenProtocolError:
                return False
            if found or not data:
                return found == [{"ready": True}]
    return False


def _init_of(status: int) -> int:
    os.set_blocking(status, False)
    with contextlib.suppress(BlockingIOError, ValueError):
        for line in os.read(status, _HEAD).decode("ascii").splitlines():
            found = json.loads(line).get("child-pid")
            if isinstance(found, int):
                return found
    raise UnsupportedError("This bubblewrap does not say which process it started; it is too old.")


def _said(stderr: int) -> str:
    os.set_blocking(stderr, False)
    try:
        words = os.read(stderr, _HEAD).decode("utf-8", "replace")
    except BlockingIOError:
        return ""
    return " ".join(words.split())[-300:]


def _first_to_go(pid: int) -> None:
    """When the machine's memory is full, the kernel takes this process before all others."""
    try:
        Path("/proc", str(pid), "oom_score_adj").write_text("1000", encoding="ascii")
    except OSError:
        return  # it is a help, not a wall


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
