"""Figures to the viewers that people use: TensorBoard always, others where they are installed."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from kataribe.make.training.config import Trackers, flatten
from kataribe.make.training.runs import read_object, write_json

log = logging.getLogger("kataribe.training")

TRACKED = "trackers.json"
"""In a run's folder: by what each viewer knows it, so that it goes on there too."""
PASSED_ON = (
    AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What libraries let through beside their own errors; those of networks are an `OSError`."""


class Tracker(Protocol):
    """One viewer."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of a step."""
        ...

    def text(self, step: int, name: str, words: str) -> None:
        """A sample."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class TensorBoard:
    """Event files in `tensorboard/`; `tensorboard --logdir runs` shows them."""

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        from tensorboardX import SummaryWriter

        # What a killed process wrote beyond its checkpoint is hidden by the purge.
        self._writer = SummaryWriter(str(folder), purge_step=first_step or None)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def text(self, step: int, name: str, words: str) -> None:
        """See `Tracker`."""
        self._writer.add_text(name, words, step)

    def close(self) -> None:
        """See `Tracker`."""
        self._writer.close()


class Lenient:
    """Another's viewer, whose errors do not end a training: it is left out from then on.

    A server that is gone, a full quota, a name that it refuses: what these libraries raise has no
    common class, and nothing of it is worth a training of days.
    """

    def __init__(self, name: str, opened: Callable[[], Tracker]) -> None:
        self._name = name
        self._tracker: Tracker | None = None
        self._try(lambda: setattr(self, "_tracker", opened()))

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        if (tracker := self._tracker) is not None:
            self._try(lambda: tracker.figures(step, values))

    def text(self, step: int, name: str, words: str) -> None:
        """See `Tracker`."""
        if (tracker := self._tracker) is not None:
            self._try(lambda: tracker.text(step, name, words))

    def close(self) -> None:
        """See `Tracker`."""
        if (tracker := self._tracker) is not None:
            self._try(tracker.close)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            if _theirs(error):
                self._tracker = None
                log.warning(
                    "%s gets no more figures: %s: %s. The training goes on without it.",
                    self._name, type(error).__name__, error,
                )  # fmt: skip
                return
            raise


def _theirs(error: Exception) -> bool:
    """Whether it is an error of a viewer's library, or one of Python's own that it lets through."""
    library = type(error).__module__.partition(".")[0] in ("mlflow", "wandb")
    return library or isinstance(error, PASSED_ON)


class MLflow:
    """A run of an MLflow server or folder, as `MLFLOW_TRACKING_URI` says.

    A run that goes on is the same there, as long as its server knows it.
    """

    def __init__(self, module: Any, folder: Path, plan: Mapping[str, Any]) -> None:
        self._module = module
        known = kept_id(folder, "mlflow")
        if known is not None:
            try:
                module.start_run(run_id=known)
            except module.exceptions.MlflowException as error:
                log.warning("MLflow has run %s no more (%s); a new one begins.", known, error)
            else:
                return  # its settings are there, and cannot be written twice
        begun = module.start_run(run_name=folder.name)
        keep_id(folder, "mlflow", begun.info.run_id)
        flat = {name: str(value)[:500] for name, value in flatten(plan).items()}
        module.log_params(flat)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._module.log_metrics(dict(values), step=step)

    def text(self, step: int, name: str, words: str) -> None:
        """See `Tracker`."""
        self._module.log_text(words, f"samples/step-{step}-{name}.txt")

    def close(self) -> None:
        """See `Tracker`."""
        self._module.end_run()


class WeightsAndBiases:
    """A run of Weights & Biases. Nothing leaves the machine unless `WANDB_API_KEY` is set.

    A run that goes on is the same there; parts of it that were written offline are joined by its
    id when they are synchronised.
    """

    def __init__(self, module: Any, folder: Path, plan: Mapping[str, Any]) -> None:
        mode = None if os.environ.get("WANDB_API_KEY") else "offline"
        self._module = module
        self._run = module.init(
            project="kataribe", name=folder.name, config=dict(plan), dir=str(folder), mode=mode,
            id=kept_id(folder, "wandb"), resume="allow",
        )  # fmt: skip
        keep_id(folder, "wandb", self._run.id)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(dict(values), step=step)

    def text(self, step: int, name: str, words: str) -> None:
        """See `Tracker`."""
        self._run.log({name: self._module.Html(words, inject=False)}, step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


def kept_id(folder: Path, viewer: str) -> str | None:
    """By what a viewer knows the run; None where it never heard of it."""
    path = folder / TRACKED
    found = read_object(path).get(viewer) if path.is_file() else None
    return str(found) if found else None


def keep_id(folder: Path, viewer: str, known: str) -> None:
    """Writes down by what a viewer knows the run."""
    path = folder / TRACKED
    write_json(path, {**(read_object(path) if path.is_file() else {}), viewer: known})


def open_trackers(
    folder: Path, plan: Mapping[str, Any], which: Trackers, first_step: int = 0
) -> list[Tracker]:
    """All viewers of a run whose folder this is; errors of those that are not ours only warn."""
    found: list[Tracker] = [TensorBoard(folder / "tensorboard", first_step)]
    if which == "none":
        return found
    if importlib.util.find_spec("mlflow") is not None:
        found.append(
            Lenient("MLflow", lambda: MLflow(importlib.import_module("mlflow"), folder, plan))
        )
    if importlib.util.find_spec("wandb") is not None:

        def opened() -> Tracker:
            return WeightsAndBiases(importlib.import_module("wandb"), folder, plan)

        found.append(Lenient("Weights & Biases", opened))
    return found
