"""The runs of the workspace, as their journals tell them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import filelock
import typer

from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.base.messages import text_of
from kataribe.base.workspace import Workspace
from kataribe.use.agents.journal import MemoryJournal, Record
from kataribe.use.agents.orders import found_words
from kataribe.use.agents.run_state import Run

Id: TypeAlias = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")
]


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run in the workspace.

    Attributes:
        id: Its id.
        run: Its state.
        path: Of its journal.
        changed: When something happened last, in seconds since 1970.
        is_working: A process works on it now.
    """

    id: str
    run: Run
    path: Path
    changed: float
    is_working: bool

    @property
    def goal(self) -> str:
        """What was asked, in the user's words."""
        return text_of(self.run.messages[-1]) if self.run.messages else ""

    @property
    def state(self) -> str:
        """How far it is, in a word or two."""
        if self.is_working:
            return "working"
        if self.run.deliverable is None:
            return "unfinished"
        reason = str(self.run.deliverable["reason"])
        return "done" if reason == "stop" else f"ended by {reason}"

    @property
    def text(self) -> str:
        """The deliverable, or what was found until now."""
        end = self.run.deliverable
        return str(end["text"]) if end is not None else found_words(self.run.tasks)

    def told(self) -> dict[str, Any]:
        """The run for programs."""
        run = self.run
        return {
            "run": self.id,
            "goal": self.goal,
            "state": self.state,
            "changed_at": self.changed,
            "tasks": [
                {"id": t.id, "title": t.title, "state": t.state, "attempts": t.attempts}
                | {"result": t.text, "why": t.why}
                for t in run.tasks
            ],
            "tokens": run.usage.prompt_tokens + run.usage.completion_tokens,
            "steps": run.calls,
        }


def all_runs(workspace: Workspace) -> list[KeptRun]:
    """Every run, the one that changed last first."""
    files = workspace.agents.glob("*.jsonl") if workspace.agents.is_dir() else ()
    found = [read_run(path) for path in files]
    return sorted((each for each in found if each.run.id), key=lambda r: -r.changed)


def find_run(workspace: Workspace, begin: str) -> KeptRun:
    """The run whose id begins so; `NotFoundError`, or `InputError` where several do."""
    known = all_runs(workspace)
    found = [each for each in known if begin and each.id.startswith(begin)]
    if len(found) == 1:
        return found[0]
    if not found:
        there = ", ".join(each.id for each in known[:10]) or "none yet"
        raise NotFoundError(f"There is no run {begin!r:.60}. There is: {there}.", param="run")
    raise InputError(
        f"{begin!r:.60} begins the ids of {len(found)} runs: "
        f"{', '.join(each.id for each in found[:10])}. Write more of it.",
        param="run",
    )


def read_run(path: Path) -> KeptRun:
    """A run as its file is now; raises `StorageError` for one that cannot be read."""
    try:
        data = path.read_bytes()
        changed = path.stat().st_mtime
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    journal = MemoryJournal(_records(data))
    return KeptRun(path.stem, Run(journal), path, changed, _is_locked(path))


def _records(data: bytes) -> Iterator[Record]:
    for line in data[: data.rfind(b"\n") + 1].splitlines():  # a line may still be being written
        try:
            record = json.loads(line)
        except ValueError:
            return
        if not isinstance(record, dict):
            return
        yield record


def _is_locked(path: Path) -> bool:
    lock = filelock.FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
