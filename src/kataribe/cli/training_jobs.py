"""Training as jobs of the server: the command's own run, in a process of its own."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import KataribeError, NotFoundError, UnavailableError
from kataribe.cli.training_process import RunProcess
from kataribe.files.atomic import storage_error
from kataribe.make.training.runs import RunFolder, open_run, steps_to_come
from kataribe.store.job_work import StopWork

if TYPE_CHECKING:
    from kataribe.base.workspace import Workspace
    from kataribe.store.job_work import Reporter
    from kataribe.store.jobs import Job

LOOK = 0.5
"""Seconds between two looks at what the process wrote."""
PATIENCE = 900.0
"""Seconds for a run to end by itself when it is paused: it ends its step, looks at held-out text,
samples and saves, which are minutes with a model of some size. One that is killed then goes on
from its last checkpoint."""
LEAVES = 8.0
"""Seconds that a server which stops waits for it, less than the pool waits for its jobs. Then it is
left to end by itself, and the next server finds it."""
MOST_UNREAD = 20
"""Looks in a row at a run's folder that may fail; after so many (ten seconds) the job does."""
_GONE = ("cancel", None)
"""Wishes for a job whose run is to be taken away: nobody wants what it has."""


class TrainingJobs:
    """The `Work` of jobs of the kind `training`; their params name a run of the workspace.

    PyTorch stays out of the server: it would hold its memory and its cores for good. A process
    outlives a server that is killed; the next server's job finds it by its number and its time of
    birth, and follows it instead of beginning a second one.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def run(self, job: Job, reporter: Reporter) -> Mapping[str, Any]:
        """Trains the run from where it stands, or plans it. Pausing it keeps its last step."""
        folder = self._folder(job)
        plans = job.params.get("goal") == "plan"
        found = RunProcess.find(folder)
        if found is not None:
            reporter.log("info", "The process of this run was found at work, and is followed.")
            self._follow(folder, found, reporter, plans=plans)
        if _reached(folder, plans=plans):
            return _result(folder)
        if found is not None and (problem := _why(folder, None)):
            raise UnavailableError(problem)
        if found is not None and not found.asked and folder.written_info().state == "stopped":
            return _result(folder)
        words = ["runs", "plan" if plans else "resume", folder.id, "--json"]
        process = RunProcess.begin(folder, words, self._workspace.root)
        self._follow(folder, process, reporter, plans=plans)
        if process.code and not _reached(folder, plans=plans):
            raise UnavailableError(_why(folder, process.code))
        return _result(folder)

    def discard(self, job: Job) -> None:
        """Removes the run's folder, and ends the process that may be at it still."""
        with contextlib.suppress(NotFoundError):
            folder = self._folder(job)
            if (found := RunProcess.find(folder)) is not None:
                found.kill()  # what it has is removed anyway
            try:
                shutil.rmtree(folder.path)
            except OSError as error:
                raise storage_error(f"{folder.path} cannot be removed", error) from error

    def _folder(self, job: Job) -> RunFolder:
        return open_run(self._workspace.runs / job.params["run"])

    def _follow(
        self, folder: RunFolder, process: RunProcess, reporter: Reporter, *, plans: bool
    ) -> None:
        """Tells how far the run is until its process ends."""
        try:
            ended, unread = False, 0
            while not ended:
                ended = process.wait(LOOK)
                try:
                    _tell(folder, reporter)
                    unread = 0
                except KataribeError:  # a disk that is away for a moment does not end a training
                    unread += 1
                    if unread >= MOST_UNREAD:
                        raise
        except StopWork:
            _end(folder, process, reporter)
            # It may have come to its end by itself meanwhile. A plan that is to go has no worth.
            if not _reached(folder, plans=plans) or (plans and reporter.wanted in _GONE):
                raise
        except BaseException:  # ours, and no fault of the training: it keeps what it has
            process.ask_to_end()
            if not process.wait(PATIENCE):
                process.kill()
            process.settle()
            raise


def _tell(folder: RunFolder, reporter: Reporter) -> None:
    """How far it is; raises `StopWork` where it is to end."""
    last: dict[str, Any] = {}
    for line in folder.recent():
        last = line
    steps = steps_to_come(folder.plan, last)
    if steps is None:
        reporter.progress("preparing", 0)
    else:
        reporter.progress("training", int(last.get("step", 0)), steps, "steps")


def _end(folder: RunFolder, process: RunProcess, reporter: Reporter) -> None:
    """Has a process end by itself; at once where what it has is not wanted any more.

    Where the server stops, or goes on with the job already, it may be ending still.
    """
    process.ask_to_end()
    began = time.monotonic()
    while not process.wait(LOOK):
        with contextlib.suppress(StopWork, KataribeError):
            _tell(folder, reporter)
        if reporter.wanted == "run" and time.monotonic() >= began + LEAVES:
            return
        if reporter.wanted in _GONE or time.monotonic() >= began + PATIENCE:
            process.kill()
            break
    process.settle()


def _reached(folder: RunFolder, *, plans: bool) -> bool:
    """Whether the run is where the job wants it."""
    state = folder.info.state
    return state == "done" or (plans and state == "waiting" and "loop" in folder.plan)


def _why(folder: RunFolder, code: int | None) -> str:
    """Why a process ended before its time; empty where it was asked to.

    A process that could not say so itself is spoken for in run.json: the page reads that.
    """
    info = folder.written_info()
    if info.problem:
        return info.problem
    if code is None:
        return ""
    if code < 0:
        problem = (
            f"The training process was ended from outside (signal {-code}), as the system does "
            "where the memory is full. Go on from its last checkpoint, with less beside it."
        )
    else:
        problem = f"The training process ended with code {code}: {_last_words(folder)}"
    if info.state == "running":
        folder.change(state="failed", ended_at=time.time(), problem=problem)
    return problem


def _last_words(folder: RunFolder) -> str:
    try:
        said = (folder.path / "process.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        said = ""
    return next((line[:300] for line in reversed(said.splitlines()) if line.strip()), "")


def _result(folder: RunFolder) -> Mapping[str, Any]:
    return {"run": folder.id, "model": folder.written_info().model}
