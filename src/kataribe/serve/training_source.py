"""What the server needs from whoever knows the training runs of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from kataribe.serve.shapes.training import (
    NewRun,
    Run,
    RunCurve,
    RunDetail,
    RunSample,
    TrainingChoices,
)

Goal: TypeAlias = Literal["plan", "train"]


@dataclass(frozen=True, slots=True)
class Training:
    """A run that a job is to do.

    Attributes:
        run: Its id, which is also the name of its folder.
        title: For the list of jobs.
        goal: How far: up to its plan, or to its end.
    """

    run: str
    title: str
    goal: Goal


class TrainingSource(Protocol):
    """Knows the runs. All calls may block; those that name a run raise `NotFoundError`.

    What it gives has no `job`: that is the person's, and added for them.
    """

    def runs(self, owner: str) -> Sequence[Run]:
        """The owner's, newest first; one whose folder is broken is among them and says so.

        Of a folder that does not even say whose it is only who has no people around is told.
        """
        ...

    def run(self, owner: str, run: str) -> RunDetail:
        """One of them."""
        ...

    def curve(self, owner: str, run: str, points: int) -> RunCurve:
        """What it measured, thinned to about `points`; every look at held-out text is kept."""
        ...

    def samples(self, owner: str, run: str) -> Sequence[RunSample]:
        """What the model said on its way."""
        ...

    def choices(self) -> TrainingChoices:
        """What a new run can be made of."""
        ...

    def begin(self, owner: str, wanted: NewRun) -> Training:
        """Checks what is wanted and makes the run's folder; raises `InputError`."""
        ...

    def resuming(self, owner: str, run: str) -> Training:
        """Going on with one that ended before its time: up to its plan where it has none yet.

        Raises `InputError` for others.
        """
        ...

    def stop(self, owner: str, run: str) -> None:
        """Asks a run to end at its next step and keep what it has."""
        ...

    def remove(self, owner: str, run: str) -> int:
        """Removes the folder of a run that is not running; bytes freed."""
        ...
