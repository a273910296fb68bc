"""Training as jobs of the server: the command's own run, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import KataribeError, NotFoundError, UnavailableError
from kataribe.files.atomic import storage_error
from kataribe.make.training.runs import RunFolder, open_run
from kataribe.store.job_work import StopWork

if TYPE_CHECKING:
    from kataribe.base.workspace import Workspace
    from kataribe.store.job_work import Reporter
    from kataribe.store.jobs import Job

LOOK = 0.5
"""Seconds between two looks at what the process wrote."""
PATIENCE = 8.0
"""Seconds for a run to end by itself when it is to stop: less than the pool waits for its jobs.
A run that is killed then goes on from its last checkpoint."""


class TrainingJobs:
    """The `Work` of jobs of the kind `training`; their params name a run of the workspace.

    PyTorch stays out of the server: it would hold its memory and its cores for good.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def run(self, job: Job, reporter: Reporter) -> Mapping[str, Any]:
        """Trains the run from where it stands. Pausing it keeps its last step."""
        folder = self._folder(job)
        if folder.info.state == "done":
            return _result(folder)
        with (folder.path / "process.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own command; the id is a folder's name
                [sys.executable, "-m", "kataribe", "runs", "resume", folder.id, "--json"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "KATARIBE_HOME": str(self._workspace.root)},
                start_new_session=True,  # Ctrl-C is for the server, which then ends its jobs
            )
            try:
                _follow(folder, process, reporter)
            except StopWork:
                _end(folder, process)
                raise
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if process.returncode:
            raise UnavailableError(_why(folder, process.returncode))
        return _result(folder)

    def discard(self, job: Job) -> None:
        """Removes the run's folder."""
        with contextlib.suppress(NotFoundError):
            folder = self._folder(job)
            try:
                shutil.rmtree(folder.path)
            except OSError as error:
                raise storage_error(f"{folder.path} cannot be removed", error) from error

    def _folder(self, job: Job) -> RunFolder:
        return open_run(self._workspace.runs / job.params["run"])


def _follow(folder: RunFolder, process: subprocess.Popen[bytes], reporter: Reporter) -> None:
    """Tells how far the run is until its process ends."""
    while True:
        ended = process.poll() is not None
        steps = _steps(folder)
        if steps is None:
            reporter.progress("preparing", 0)
        else:
            reporter.progress("training", _last_step(folder), steps, "steps")
        if ended:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK)


def _end(folder: RunFolder, process: subprocess.Popen[bytes]) -> None:
    """Has the process write a checkpoint and end; one that does not in time is killed."""
    until = time.monotonic() + PATIENCE
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, until - time.monotonic()))
    if process.poll() is None:
        process.kill()
        process.wait()
    with contextlib.suppress(KataribeError):  # run.json says that it runs, and it does not
        if folder.written_info().state == "running":
            folder.change(state="stopped", ended_at=time.time())


def _steps(folder: RunFolder) -> int | None:
    """How many the plan asks for; None while it is being made."""
    steps = (folder.plan.get("loop") or {}).get("steps")
    return steps if isinstance(steps, int) else None


def _last_step(folder: RunFolder) -> int:
    last = 0
    for line in folder.recent():
        last = int(line["step"])
    return last


def _why(folder: RunFolder, code: int) -> str:
    problem = folder.written_info().problem
    if problem:
        return problem
    try:
        said = (folder.path / "process.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        said = ""
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
    return f"The training process ended with code {code}: {last[:300]}"


def _result(folder: RunFolder) -> Mapping[str, Any]:
    return {"run": folder.id, "model": folder.written_info().model}
