"""Checkpoints: the model as a folder that others open, and beside it all that a resume needs."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from kataribe.base.errors import FormatError
from kataribe.files.atomic import storage_error, sync_folder
from kataribe.files.safetensors import open_safetensors, save_safetensors
from kataribe.make.training.model_files import inexact, read_weights, write_model
from kataribe.make.training.optimisers import Optimisers
from kataribe.make.training.runs import RunFolder, read_object, write_json
from kataribe.make.training.trainee import Trainee

FORMAT = 1
WEIGHT = "weight/"
"""Begins names in state.safetensors of weights that the model's folder does not hold exactly."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: Changes of the weights so far; the next step has this number.
        tokens: Tokens learned from so far.
        seconds: Time that it took.
        best: Lowest validation loss so far.
        best_step: Where that was.
        format: See `FORMAT`.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int | None = None
    format: int = FORMAT


def save_checkpoint(
    run: RunFolder,
    trainee: Trainee,
    optimiser: Mapping[str, Tensor],
    progress: Progress,
    tokenizer: Path | None,
) -> Path:
    """Writes `checkpoints/step-N`, wholly or not at all; `StorageError` when the disk is full."""
    target = run.path / "checkpoints" / f"step-{progress.step}"
    with whole_folder(target) as folder:
        write_model(trainee.plain, folder, tokenizer)
        weights = dict(trainee.plain.named_parameters())
        kept = {f"{WEIGHT}{name}": weights[name] for name in inexact(trainee.plain)}
        arrays = {name: _array(value) for name, value in {**optimiser, **kept}.items()}
        save_safetensors(folder / "state.safetensors", arrays)
        write_json(folder / "state.json", asdict(progress))
    return target


def load_weights(folder: Path, model: nn.Module) -> None:
    """Fills a model, bit for bit as it was saved."""
    fill(model, {**read_weights(folder), **read_state(folder)[1]})


def load_optimiser(folder: Path, optimiser: Optimisers) -> None:
    """Fills an optimiser as it was saved."""
    optimiser.load(read_state(folder)[0])


def read_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the optimiser remembers, and weights that the model's own files hold rounded."""
    remembered: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, tensor in open_safetensors(folder / "state.safetensors").tensors.items():
        value = torch.from_numpy(np.array(tensor.array()))
        if name.startswith(WEIGHT):
            weights[name.removeprefix(WEIGHT)] = value
        else:
            remembered[name] = value
    return remembered, weights


def read_progress(folder: Path) -> Progress:
    """How far the run was."""
    values = read_object(folder / "state.json")
    if values.get("format") != FORMAT:
        raise FormatError(
            f"{folder / 'state.json'} has format {values.get('format')!r}, but this version of "
            f"Kataribe reads {FORMAT}. Start a new run from the checkpoint's model."
        )
    try:
        return Progress(**values)
    except TypeError as error:
        raise FormatError(f"{folder / 'state.json'} is not what it should be: {error}.") from None


def fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Puts values into all parameters; `FormatError` names the first that does not fit."""
    named = dict(model.named_parameters())
    for name, parameter in named.items():
        value = weights.get(name)
        if value is None or value.shape != parameter.shape:
            found = "nothing" if value is None else f"shape {tuple(value.shape)}"
            raise FormatError(
                f"The checkpoint has {found} for {name}, which needs {tuple(parameter.shape)}. "
                "It belongs to another model."
            )
        with torch.no_grad():
            parameter.copy_(value)


_LEFT = re.compile(r"\.(?P<name>.+?)(?:\.(?P<pid>\d+)-[0-9a-f]{8}\.part|\.gone)")
_STEP = re.compile(r"^step-\d+$")


def prune(run: RunFolder, keep: int, best_step: int | None) -> None:
    """Removes all checkpoints but the last `keep` and the best."""
    for step, path in run.checkpoints()[:-keep]:
        if step == best_step:
            continue
        gone = path.with_name(f".{path.name}.gone")  # half a checkpoint must not look like one
        try:
            path.rename(gone)
            shutil.rmtree(gone)
        except OSError as error:
            raise storage_error(f"{path} cannot be removed", error) from error


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when the block ends well, and vanishes when it does not.

    One of that name is replaced. Any `OSError` becomes `StorageError`.
    """
    beside = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    old = beside.with_suffix(".old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        beside.mkdir()
        try:
            yield beside
            sync_folder(beside)
            if target.exists():
                target.rename(old)
            beside.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise storage_error(f"{target} cannot be written", error) from error


def _sweep(target: Path) -> None:
    """Removes what a process left that was killed while it wrote this folder, or its kin.

    Others work beside it in folders of their own: those of living processes and of other names
    stay.
    """
    for left in target.parent.glob(".*"):
        found = _LEFT.fullmatch(left.name)
        if found is None or _kin(found["name"]) != _kin(target.name):
            continue
        pid = found["pid"]
        if pid is None or not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _kin(name: str) -> str:
    """Checkpoints of a run are of one kin, whatever their step."""
    return _STEP.sub("step-", name)


def _array(value: Tensor) -> Any:
    return value.detach().float().cpu().contiguous().numpy()
