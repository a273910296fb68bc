"""Runs by their plans: what was asked for, what that became, and how to carry it out.

A run's folder is made with what was asked for alone. Whoever trains it first (the command line at
once, the studio's worker later) settles the rest and writes it into plan.json.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from kataribe.base.errors import FormatError, InputError
from kataribe.base.workspace import Workspace
from kataribe.make.training import from_text, instruction, labelling, pretraining
from kataribe.make.training.beginning import ASKED
from kataribe.make.training.config import Work, differences
from kataribe.make.training.finish import finish
from kataribe.make.training.overrides import Overrides
from kataribe.make.training.prediction import Say
from kataribe.make.training.processes import from_first, in_all, rank
from kataribe.make.training.runs import RunFolder, open_run, write_json
from kataribe.make.training.session import (
    Ended,
    Setup,
    Tell,
    held,
    memory_explained,
    train_held,
)

Plan: TypeAlias = Callable[[Any, Overrides, Workspace, Say, str], dict[str, Any]]
Planner: TypeAlias = Callable[[Any, Overrides, Workspace, Say], dict[str, Any]]
Build: TypeAlias = Callable[[Mapping[str, Any]], Setup]


@dataclass(frozen=True)
class Kind:
    """One kind of run.

    Attributes:
        asked: The dataclass of what can be asked for.
        plan: Settles the rest: (asked, given, workspace, say, owner) -> parts of plan.json.
        build: A plan as what the loop works with.
    """

    asked: type
    plan: Plan
    build: Build


def kinds() -> dict[str, Kind]:
    """All kinds by the names of their commands."""
    text = _for_all(from_text.plan_from_text), from_text.build_from_text
    ways: dict[str, tuple[Plan, Build]] = {
        "pretrain": (pretraining.plan_pretraining, pretraining.build_pretraining),
        "instruct": (_for_all(instruction.plan_instruction), instruction.build_instruction),
        "masked": text,
        "denoise": text,
        "distill": text,
    }
    labels: tuple[labelling.Kind, ...] = ("classify", "tag", "embed")
    for label in labels:
        plan = _for_all(labelling.plan_labelling(label))
        ways[label] = plan, labelling.build_labelling(label)
    return {name: Kind(ASKED[name], plan, build) for name, (plan, build) in ways.items()}


def _for_all(plan: Planner) -> Plan:
    """A plan that is the same whoever wants it: it looks at no other run."""
    return lambda asked, given, workspace, say, owner: plan(  # noqa: ARG005
        asked, given, workspace, say
    )


def carry(
    workspace: Workspace,
    run: RunFolder,
    *,
    say: Say,
    expects: Callable[[Mapping[str, Any]], None] = lambda plan: None,  # noqa: ARG005
    tell: Tell | None = None,
) -> tuple[Ended, dict[str, Any]]:
    """Trains a run from wherever it stands to its end; gives how it ended and what was measured.

    It is `running` while it is planned too; a plan that cannot be made leaves it `failed`. What
    stops one of several processes before the first step stops all of them.

    Args:
        workspace: Where the finished model goes.
        run: The folder; all processes of a run must have the same.
        say: Told what is being done.
        expects: Given the plan with its prediction before the first step.
        tell: Given the figures of every step.
    """
    info = open_run(run.path).written_info()
    kind = kinds().get(info.objective)
    if kind is None:
        raise FormatError(f"{run.id} is a run of an unknown kind: {info.objective!r}.")
    if info.state == "done":
        raise InputError(f"The run {run.id} is done; start a new one from its model.")
    with contextlib.ExitStack() as stack:
        from_first(lambda: stack.enter_context(held(run)))
        plan = from_first(lambda: settled(run, kind, workspace, say))
        expects(plan)
        with memory_explained(plan["loop"]["work"]["micro_tokens"], plan["data"]["context"]):
            setup = in_all(lambda: kind.build(plan))
        ended = train_held(run, setup, tell=tell, notice=say)
    result = finish(run, setup, ended, workspace.models) if rank() == 0 else {}
    return ended, result


def settled(run: RunFolder, kind: Kind, workspace: Workspace, say: Say) -> dict[str, Any]:
    """plan.json with all of it; what is not there yet is settled and written now."""
    plan = run.plan
    if "loop" in plan:
        return plan
    try:
        asked = dict(plan["asked"])
        given = asked.pop("given")
        wanted = kind.asked(**asked)
    except (KeyError, TypeError) as error:
        raise FormatError(f"{run.path / 'plan.json'} is not what a plan is: {error}.") from None
    row_tokens = getattr(wanted, "context", None) or 1
    with memory_explained(given.get("micro_tokens") or Work().micro_tokens, row_tokens):
        plan |= kind.plan(wanted, given, workspace, say, run.written_info().owner)
    write_json(run.path / "plan.json", plan)
    return plan


def check_unchanged(
    run: RunFolder, asked: Mapping[str, Any], given: Overrides, named: Sequence[str]
) -> None:
    """Raises `InputError` that lists what differs from what the run began with.

    `named` are the settings that somebody named this time; the others are as they were.
    """
    before = dict(run.plan.get("asked", {}))
    old = {**{k: v for k, v in before.items() if k != "given"}, **before.get("given", {})}
    new = {**asked, **given}
    found = differences(
        {name: old.get(name) for name in named}, {name: new.get(name) for name in named}
    )
    if found:
        raise InputError(
            f"The run {run.id} began with other settings: {'; '.join(found)}. Leave them out to go "
            "on as it began, or start a new run."
        )


def command_line() -> tuple[str, ...]:
    """The words that started this program."""
    return (Path(sys.argv[0]).name, *sys.argv[1:])
