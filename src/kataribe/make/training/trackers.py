"""Figures to the viewers that people use: TensorBoard always, others where they are installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from kataribe.make.training.config import Trackers, flatten


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


class MLflow:
    """A run of an MLflow server or folder, as `MLFLOW_TRACKING_URI` says."""

    def __init__(self, module: Any, run: str, plan: Mapping[str, Any]) -> None:
        self._module = module
        module.start_run(run_name=run)
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
    """A run of Weights & Biases. Nothing leaves the machine unless `WANDB_API_KEY` is set."""

    def __init__(self, module: Any, run: str, plan: Mapping[str, Any], folder: Path) -> None:
        mode = None if os.environ.get("WANDB_API_KEY") else "offline"
        self._module = module
        self._run = module.init(
            project="kataribe", name=run, config=dict(plan), dir=str(folder), mode=mode
        )

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(dict(values), step=step)

    def text(self, step: int, name: str, words: str) -> None:
        """See `Tracker`."""
        self._run.log({name: self._module.Html(words, inject=False)}, step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


def open_trackers(
    folder: Path, plan: Mapping[str, Any], which: Trackers, first_step: int = 0
) -> list[Tracker]:
    """All viewers of a run whose folder this is."""
    found: list[Tracker] = [TensorBoard(folder / "tensorboard", first_step)]
    if which == "none":
        return found
    if importlib.util.find_spec("mlflow") is not None:
        found.append(MLflow(importlib.import_module("mlflow"), folder.name, plan))
    if importlib.util.find_spec("wandb") is not None:
        module = importlib.import_module("wandb")
        found.append(WeightsAndBiases(module, folder.name, plan, folder))
    return found
