"""The training runs of a workspace, as the server shows them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import FormatError, InputError, KataribeError, NotFoundError
from kataribe.cli.run_curves import Curves
from kataribe.cli.training_choices import asked, choices_of
from kataribe.files.atomic import storage_error
from kataribe.make.training.beginning import begin
from kataribe.make.training.runs import (
    RunFolder,
    RunInfo,
    list_runs,
    open_run,
    read_object,
    steps_to_come,
)
from kataribe.serve.shapes.training import (
    NewRun,
    Outcome,
    Run,
    RunCurve,
    RunDetail,
    RunSample,
    RunState,
    TrainingChoices,
)
from kataribe.serve.training_source import Training
from kataribe.store.tables import LOCAL

if TYPE_CHECKING:
    from kataribe.base.workspace import Workspace


DIED = (
    "Its process is gone and has not said why: it was killed, the memory was full, or the machine "
    "went down."
)


class RunsHere:
    """A `TrainingSource` over `Workspace.runs`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._curves = Curves()

    def runs(self, owner: str) -> Sequence[Run]:
        """See `TrainingSource`."""
        return [run for folder in list_runs(self._workspace.runs) if (run := _mine(folder, owner))]

    def run(self, owner: str, run: str) -> RunDetail:
        """See `TrainingSource`."""
        folder = self._open(owner, run)
        return RunDetail(run=_shown(folder), plan=folder.plan, measured=_outcome(folder.result))

    def curve(self, owner: str, run: str, points: int) -> RunCurve:
        """See `TrainingSource`."""
        path = self._open(owner, run).path / "metrics.jsonl"
        data, count = self._curves.points(path, points)
        return RunCurve(data=data, points=count)

    def samples(self, owner: str, run: str) -> Sequence[RunSample]:
        """See `TrainingSource`."""
        return [
            RunSample(step=int(line["step"]), prompt=str(line["prompt"]), text=str(line["text"]))
            for line in self._open(owner, run).samples()
        ]

    def choices(self) -> TrainingChoices:
        """See `TrainingSource`."""
        return choices_of(self._workspace)

    def begin(self, owner: str, wanted: NewRun) -> Training:
        """See `TrainingSource`."""
        wishes = asked(wanted, self.choices())
        folder = begin(self._workspace, wanted.objective, wanted.name, wishes, {}, owner=owner)
        return Training(folder.id, wanted.name, "train" if wanted.start else "plan")

    def resuming(self, owner: str, run: str) -> Training:
        """See `TrainingSource`."""
        folder = self._open(owner, run)
        info = folder.info
        if info.state == "running":
            raise InputError(f"The run {run} is running already.")
        if info.state == "done":
            raise InputError(f"The run {run} is done; start a new one from its model.")
        # What was never measured is shown first: nobody has seen yet what to expect.
        return Training(run, info.name, "train" if "loop" in folder.plan else "plan")

    def stop(self, owner: str, run: str) -> None:
        """See `TrainingSource`."""
        self._open(owner, run).ask_to_stop()

    def remove(self, owner: str, run: str) -> int:
        """See `TrainingSource`."""
        folder = self._find(owner, run)
        with contextlib.suppress(FormatError):  # a run of another version can go, too
            if folder.info.state == "running":
                raise InputError(f"The run {run} is running. Stop it first, then remove it.")
        freed = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
        try:
            shutil.rmtree(folder.path)
        except OSError as error:
            raise storage_error(f"{folder.path} cannot be removed", error) from error
        return freed

    def _open(self, owner: str, run: str) -> RunFolder:
        """One of theirs; `FormatError` for a run of another version."""
        return open_run(self._find(owner, run).path)

    def _find(self, owner: str, run: str) -> RunFolder:
        """One of theirs, whatever its run.json is."""
        root = self._workspace.runs
        found = RunFolder(root / run)
        plain = Path(run).name == run and run not in ("", ".", "..")
        if not plain or not (root / run / "run.json").is_file() or _owner(found) != owner:
            raise NotFoundError(f"There is no training run {run!r}.")
        return found


def _mine(folder: RunFolder, owner: str) -> Run | None:
    """A run as the list shows it; None for another's. A broken folder says what it is."""
    if _owner(folder) != owner:
        return None
    try:
        return _shown(folder)
    except KataribeError as error:
        return _broken(folder, error.message)


def _owner(folder: RunFolder) -> str:
    """Whose a run is. One that does not say is of who has no people around, and nobody else's."""
    try:
        return str(read_object(folder.path / "run.json").get("owner", LOCAL))
    except KataribeError:
        return LOCAL


def _broken(folder: RunFolder, problem: str) -> Run:
    return Run(
        id=folder.id, name=folder.id, objective="", state="failed", problem=problem,
        created_at=0.0, started_at=None, ended_at=None, step=0, steps=None, tokens=0, loss=None,
        bits_per_byte=None, tokens_per_second=None, seconds_left=None, parameters=None,
        expected=None, model=None, job=None,
    )  # fmt: skip


def _shown(folder: RunFolder) -> Run:
    info, plan = folder.info, folder.plan
    last = _last(folder)
    steps = steps_to_come(plan, last)
    prediction = plan.get("prediction")
    state, problem = _state(folder, info, planned=steps is not None)
    return Run(
        id=folder.id,
        name=info.name,
        objective=info.objective,
        state=state,
        problem=problem,
        created_at=info.created_at,
        started_at=info.started_at,
        ended_at=info.ended_at,
        step=int(last.get("step", 0)),
        steps=steps,
        tokens=int(last.get("tokens", 0)),
        loss=last.get("loss"),
        bits_per_byte=last.get("bits_per_byte"),
        tokens_per_second=last.get("tokens_per_second"),
        seconds_left=_left(info, last, steps),
        parameters=(prediction or {}).get("parameters"),
        expected=_outcome(prediction),
        model=info.model,
        job=None,
    )


def _state(folder: RunFolder, info: RunInfo, *, planned: bool) -> tuple[RunState, str]:
    """What a run does, and what is wrong with it: one that died cannot have said so itself."""
    if info.state == "running":
        return ("running" if planned else "planning"), info.problem
    if info.state == "waiting":
        return ("planned" if planned else "waiting"), info.problem
    if info.state == "stopped" and folder.written_info().state == "running":
        kept = folder.checkpoints()
        way = f"from step {kept[-1][0]}" if kept else "from its beginning"
        return "failed", f"{DIED} It can go on {way}."
    return info.state, info.problem


def _left(info: RunInfo, last: Mapping[str, Any], steps: int | None) -> float | None:
    """Seconds at the pace so far, looks and samples included."""
    step, time = last.get("step", 0), last.get("time")
    if info.state != "running" or not steps or not step or not time:
        return None
    return float(time / step * max(0, steps - step))


def _last(folder: RunFolder) -> dict[str, Any]:
    """The latest value of every figure."""
    found: dict[str, Any] = {}
    for line in folder.recent():
        found |= line
    return found


def _outcome(values: Mapping[str, Any] | None) -> Outcome | None:
    if values is None:
        return None
    return Outcome(**{name: values.get(name) for name in Outcome.model_fields})
