"""Sessions: Python behind walls, whose variables stay from one run to the next."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from kataribe.base.errors import InputError, NotFoundError, UnavailableError
from kataribe.sandbox import bubblewrap, folder
from kataribe.sandbox.limits import Limits
from kataribe.sandbox.outcome import MadeFile, Outcome
from kataribe.sandbox.places import PLACES, Places
from kataribe.sandbox.process import Sandboxed, free_user, start
from kataribe.sandbox.running import run_code

LONGEST_CODE = 1 << 20
"""Characters of one run's code."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a session is given.

    Attributes:
        limits: What each run may use.
        packages: Installed packages that its code may import; nothing installed is there else.
        folder: Its working folder, which stays; None for one that is removed with the session.
            Root gives what is in it to another user number while the session lasts.
        places: Bound how many sessions have a process at once; by default those of this program.
    """

    limits: Limits = field(default_factory=Limits)
    packages: Sequence[str] = ()
    folder: Path | None = None
    places: Places = PLACES


class Session:
    """A Python interpreter behind walls; one run at a time.

    Between runs its process is stopped. Where a limit ended the process, its variables are gone
    (the outcome says so) and the next run starts anew; the files stay. So it is where another
    session needed the place of one that was idle. Close it, or use it in a `with` block.
    """

    def __init__(self, setup: Setup | None = None) -> None:
        self._setup = setup or Setup()
        self._lock = threading.Lock()
        self._closed = False
        self._gave_up = False
        self._process: Sandboxed | None = None
        self._worker: ThreadPoolExecutor | None = None
        given = self._setup.folder
        if given is not None and not given.is_dir():
            raise InputError(
                f"The sandbox's folder {given} is no folder. Make it first.", param="folder"
            )
        bubblewrap.find_bubblewrap()  # before anything is made or changed
        self._folder = given or Path(tempfile.mkdtemp(prefix="kataribe-sandbox-"))
        before = self._folder.stat()
        self._owner = (before.st_uid, before.st_gid)
        self._uid = free_user() if bubblewrap.is_root() else None
        if self._uid is not None:
            folder.give_to(self._folder, self._uid, self._uid)

    @property
    def folder(self) -> Path:
        """The working folder outside; inside it is `/work`."""
        return self._folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, code: str, *, stop: threading.Event | None = None) -> Outcome:
        """Runs Python and says what came of it; `stop` ends it early.

        What the code does wrong is in the outcome. Raises `UnsupportedError` or
        `UnavailableError` where no walls can be put up, `BusyError` where too many others run, and
        `InputError` for code that is too long or a folder that holds too much already.
        """
        if len(code) > LONGEST_CODE:
            raise InputError(
                f"The code has {len(code)} characters; at most {LONGEST_CODE} can be run at once. "
                "Put data into files instead.",
                param="code",
            )
        with self._lock:
            if self._closed:
                raise UnavailableError("This sandbox session is closed; begin another.")
            outcome = self._run(code, stop or threading.Event())
            begun_anew, self._gave_up = self._gave_up, False
            return replace(outcome, begun_anew=begun_anew)

    async def run_async(self, code: str) -> Outcome:
        """`run` for event loops; cancelling stops the code."""
        stop = threading.Event()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="sandbox-run")
        job = self._worker.submit(lambda: self.run(code, stop=stop))
        work = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            if not job.cancel():  # it runs already; one that waits for its turn just never begins
                await asyncio.wait([work])
            raise

    def write(self, name: str, data: bytes) -> None:
        """Puts a file into the folder; raises as `folder.write_file`."""
        folder.write_file(self._folder, name, data)

    def read(self, made: MadeFile | str) -> bytes:
        """A file of the folder, up to the limit of one file; raises as `folder.read_file`."""
        name = made if isinstance(made, str) else made.path
        return folder.read_file(self._folder, name, self._setup.limits.file_bytes)

    def close(self) -> None:
        """Ends the process; removes the folder, or gives a kept one back to its owner."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._end()
            if self._worker is not None:
                self._worker.shutdown(wait=False)
            if self._setup.folder is None:
                folder.remove_tree(self._folder)
            elif self._uid is not None:
                folder.give_to(self._folder, *self._owner)

    def give_up(self) -> bool:
        """Ends the process if it is idle, so that another session can have its place.

        The next run begins anew and its outcome says so; the files stay.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._process is None:
                return False
            self._process.reap()
            self._process = None
            self._gave_up = True
            return True
        finally:
            self._lock.release()

    def _run(self, code: str, stop: threading.Event) -> Outcome:
        setup = self._setup
        setup.places.take(self)
        try:
            process, self._process = self._running(), None
            try:
                outcome = run_code(process, code, setup.limits, self._folder, stop)
            except InputError:  # about the code or the folder; nothing ran
                self._process = process
                raise
            if outcome.state_is_kept:
                self._process = process
            return outcome
        finally:
            if self._process is None:
                setup.places.leave(self)
            else:
                setup.places.rest(self)

    def _running(self) -> Sandboxed:
        if self._process is None:
            self._process = start(self._setup.limits, self._folder, self._setup.packages, self._uid)
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.reap()
            self._process = None
        self._setup.places.leave(self)


def run_once(
    code: str, files: Mapping[str, bytes] | None = None, setup: Setup | None = None
) -> tuple[Outcome, dict[str, bytes]]:
    """Runs code in a sandbox of its own, with these files in its folder.

    Gives the outcome, and the bytes of every file that was made or changed, by path. Raises as
    `Session.run`; a file that cannot be read without risk is left out.
    """
    with Session(setup) as session:
        for name, data in (files or {}).items():
            session.write(name, data)
        outcome = session.run(code)
        found: dict[str, bytes] = {}
        for made in outcome.files:
            with contextlib.suppress(InputError, NotFoundError):
                found[made.path] = session.read(made)
        return outcome, found


def missing() -> str | None:
    """Why no code can be run here, in a sentence; None where it can (a sandbox was tried)."""
    try:
        outcome, _ = run_once("6 * 7")
    except (InputError, UnavailableError) as error:
        return error.message
    return None if outcome.value == "42" else outcome.detail
