"""The training runs of a workspace, as the server shows them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError, KataribeError, NotFoundError
from kataribe.files.atomic import storage_error
from kataribe.make.text.corpus import open_corpus
from kataribe.make.training.beginning import begin
from kataribe.make.training.runs import RunFolder, RunInfo, list_runs, open_run
from kataribe.serve.shapes.training import (
    NewRun,
    Outcome,
    Run,
    RunCurve,
    RunDetail,
    RunPoint,
    RunSample,
    TrainingChoices,
)
from kataribe.serve.training_source import Training

if TYPE_CHECKING:
    from kataribe.base.workspace import Workspace


class RunsHere:
    """A `TrainingSource` over `Workspace.runs`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def runs(self, owner: str) -> Sequence[Run]:
        """See `TrainingSource`."""
        return [run for folder in list_runs(self._workspace.runs) if (run := _mine(folder, owner))]

    def run(self, owner: str, run: str) -> RunDetail:
        """See `TrainingSource`."""
        folder = self._open(owner, run)
        plan = folder.plan
        expected, measured = plan.get("prediction"), folder.result
        return RunDetail(
            run=_shown(folder),
            plan=plan,
            expected=_outcome(expected),
            measured=_outcome(measured),
        )

    def curve(self, owner: str, run: str, points: int) -> RunCurve:
        """See `TrainingSource`."""
        lines = list(self._open(owner, run).metrics())
        return RunCurve(data=[_point(line) for line in thinned(lines, points)], points=len(lines))

    def samples(self, owner: str, run: str) -> Sequence[RunSample]:
        """See `TrainingSource`."""
        return [
            RunSample(step=int(line["step"]), prompt=str(line["prompt"]), text=str(line["text"]))
            for line in self._open(owner, run).samples()
        ]

    def choices(self) -> TrainingChoices:
        """See `TrainingSource`."""
        here = self._workspace
        corpora = _holding(here.corpora, "train.jsonl")
        chats = [name for name in corpora if _chats(here.corpora / name)]
        return TrainingChoices(
            corpora=[name for name in corpora if name not in chats],
            tokenizers=_holding(here.tokenizers, "tokenizer.json"),
            chats=chats,
            models=_holding(here.models, "model.safetensors"),
        )

    def begin(self, owner: str, wanted: NewRun) -> Training:
        """See `TrainingSource`."""
        self._check_known(wanted)
        asked = _asked(wanted)
        folder = begin(
            self._workspace,
            wanted.objective,
            wanted.name,
            {name: value for name, value in asked.items() if value is not None},
            {},
            owner=owner,
        )
        return Training(folder.id, wanted.name, _command(folder.id))

    def _check_known(self, wanted: NewRun) -> None:
        """Over HTTP only what the form offers: a path could name any file of this machine."""
        choices = self.choices()
        known = choices.chats if wanted.objective == "instruct" else choices.corpora
        for field, name, names in (
            ("corpus", wanted.corpus, known),
            ("tokenizer", wanted.tokenizer, choices.tokenizers),
            ("model", wanted.model, choices.models),
        ):
            if name is not None and name not in names:
                there = ", ".join(names) or "none"
                raise InputError(
                    f"There is no {field} {name!r} here; there is {there}.", param=field
                )

    def resuming(self, owner: str, run: str) -> Training:
        """See `TrainingSource`."""
        folder = self._open(owner, run)
        info = folder.info
        if info.state == "running":
            raise InputError(f"The run {run} is running already.")
        if info.state == "done":
            raise InputError(f"The run {run} is done; start a new one from its model.")
        return Training(run, info.name, _command(run))

    def stop(self, owner: str, run: str) -> None:
        """See `TrainingSource`."""
        self._open(owner, run).ask_to_stop()

    def remove(self, owner: str, run: str) -> int:
        """See `TrainingSource`."""
        folder = self._open(owner, run)
        if folder.info.state == "running":
            raise InputError(f"The run {run} is running. Stop it first, then remove it.")
        freed = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
        try:
            shutil.rmtree(folder.path)
        except OSError as error:
            raise storage_error(f"{folder.path} cannot be removed", error) from error
        return freed

    def _open(self, owner: str, run: str) -> RunFolder:
        root = self._workspace.runs
        if Path(run).name != run or run in ("", ".", ".."):
            raise NotFoundError(f"There is no training run {run!r}.")
        folder = open_run(root / run)
        if folder.written_info().owner != owner:
            raise NotFoundError(f"There is no training run {run!r}.")
        return folder


def _asked(wanted: NewRun) -> dict[str, Any]:
    """The fields of what the command of that kind asks for."""
    if wanted.objective == "instruct":
        return {
            "chats": wanted.corpus,
            "base": wanted.model,
            "epochs": wanted.epochs,
            "too_long": "drop",  # counted and said in the log
            "seed": wanted.seed,
        }
    return {
        "corpus": wanted.corpus,
        "tokenizer": wanted.tokenizer,
        "base": wanted.model,
        "minutes": wanted.minutes,
        "size": wanted.size,
        "seed": wanted.seed,
    }


def _chats(folder: Path) -> bool:
    """Whether a corpus holds conversations."""
    try:
        return bool(open_corpus(folder).card.get("kind") == "instructions")
    except KataribeError:
        return False


def _command(run: str) -> tuple[str, ...]:
    return ("kataribe", "runs", "resume", run)


def thinned(lines: Sequence[Mapping[str, Any]], points: int) -> list[Mapping[str, Any]]:
    """About `points` lines: evenly spread ones, the last, and all that looked at held-out text."""
    step = max(1, -(-len(lines) // points))
    last = len(lines) - 1
    return [
        line
        for at, line in enumerate(lines)
        if (last - at) % step == 0 or line.get("valid_loss") is not None
    ]


def _mine(folder: RunFolder, owner: str) -> Run | None:
    """A run as the list shows it; None for another's. A broken folder says what it is."""
    try:
        return _shown(folder) if folder.written_info().owner == owner else None
    except KataribeError as error:
        return _broken(folder, error.message)


def _broken(folder: RunFolder, problem: str) -> Run:
    return Run(
        id=folder.id, name=folder.id, objective="", state="failed", problem=problem,
        created_at=0.0, started_at=None, ended_at=None, step=0, steps=None, tokens=0, loss=None,
        bits_per_byte=None, tokens_per_second=None, seconds_left=None, parameters=None, model=None,
        job=None,
    )  # fmt: skip


def _shown(folder: RunFolder) -> Run:
    info, plan = folder.info, folder.plan
    last = _last(folder)
    steps = (plan.get("loop") or {}).get("steps")
    prediction = plan.get("prediction") or {}
    step = int(last.get("step", 0))
    return Run(
        id=folder.id,
        name=info.name,
        objective=info.objective,
        state=info.state,
        problem=info.problem,
        created_at=info.created_at,
        started_at=info.started_at,
        ended_at=info.ended_at,
        step=step,
        steps=steps,
        tokens=int(last.get("tokens", 0)),
        loss=last.get("loss"),
        bits_per_byte=last.get("bits_per_byte"),
        tokens_per_second=last.get("tokens_per_second"),
        seconds_left=_left(info, last, steps),
        parameters=prediction.get("parameters"),
        model=info.model,
        job=None,
    )


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


def _point(line: Mapping[str, Any]) -> RunPoint:
    return RunPoint(
        step=int(line["step"]),
        tokens=int(line["tokens"]),
        time=float(line["time"]),
        **{
            name: line.get(name)
            for name in (
                "loss", "lr", "grad_norm", "tokens_per_second", "valid_loss", "bits_per_byte",
            )
        },
    )  # fmt: skip


def _outcome(values: Mapping[str, Any] | None) -> Outcome | None:
    if values is None:
        return None
    return Outcome(**{name: values.get(name) for name in Outcome.model_fields})


def _holding(folder: Path, name: str) -> list[str]:
    """Folders below that hold such a file."""
    if not folder.is_dir():
        return []
    found = (path.parent.name for path in folder.glob(f"[!.]*/{name}"))
    return sorted(found)
