"""The beginning of a run: its folder, with what was asked for. Nothing here needs PyTorch."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kataribe import __version__
from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.workspace import Workspace
from kataribe.make.training import asked as wishes
from kataribe.make.training.runs import RunFolder, RunInfo, create_run, read_object

ASKED: Mapping[str, type] = {
    "pretrain": wishes.Pretraining,
    "instruct": wishes.Instruction,
    "masked": wishes.Masking,
    "denoise": wishes.Denoising,
    "distill": wishes.Distilling,
    "classify": wishes.Labelling,
    "tag": wishes.Labelling,
    "embed": wishes.Embedding,
}
"""What can be asked of each kind of run, by the names of their commands."""


def begin(
    workspace: Workspace,
    kind: str,
    name: str,
    asked: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    owner: str = "local",
    command: Sequence[str] = (),
) -> RunFolder:
    """A run's folder, waiting to be trained; checks what can be checked at once.

    Args:
        workspace: Where it lies, and where its model will.
        kind: One of `ASKED`.
        name: The model's.
        asked: Fields of the kind's dataclass.
        given: Settings that come before the dial's choice; see `overrides.loop_config`.
        owner: Whose it is.
        command: The words that started it.
    """
    if kind not in ASKED:
        raise InputError(f"{kind!r} is no kind of training; known are {', '.join(ASKED)}.")
    check_name(workspace.models, name)
    wanted = ASKED[kind](**asked)
    check_minutes(asked, given)
    info = RunInfo(
        name=name,
        objective=kind,
        owner=owner,
        command=tuple(command),
        parent=asked.get("base"),
        versions={
            "kataribe": __version__,
            "python": platform.python_version(),
            "torch": version("torch"),
        },
    )
    plan = {"asked": {**dataclasses.asdict(wanted), "given": dict(given)}}
    return create_run(workspace.runs, info, plan)


def check_name(models: Path, name: str, run: str | None = None) -> None:
    """Raises `InputError` for a name that cannot be a folder's, or that another model has."""
    if not name or name != Path(name).name or name.startswith(".") or len(name) > 128:
        raise InputError(
            f"{name!r} cannot be a model's name: it becomes a folder's. Take letters, digits, "
            "dots and dashes.",
            param="name",
        )
    if (models / name).exists() and made_by(models / name) != run:
        raise InputError(
            f"There is a model {name} already. Take another name (--name), or remove it first "
            f"(kataribe models rm {name}).",
            param="name",
        )


def check_minutes(asked: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raises `InputError` where both a time and a number of steps or tokens are given."""
    if asked.get("minutes") is None:
        return
    for name, value in (("steps", given.get("steps")), ("tokens", asked.get("tokens"))):
        if value is not None:
            raise InputError(
                f"minutes is {asked['minutes']:g} and {name} is {value}, but each says how long "
                f"to train. Leave out --{name} to train for a time, or --minutes to train for so "
                f"many {name}.",
                param=name,
            )


def made_by(model: Path) -> str | None:
    """The id of the run that made a model; None for others."""
    try:
        source = str(read_object(model / "card.json").get("source", ""))
    except (NotFoundError, KeyError):
        return None
    return source.removeprefix("run:") if source.startswith("run:") else None
