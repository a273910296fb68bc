"""The plan of a run alone: what to expect of it, before anybody lets it begin."""

from __future__ import annotations

from typing import Any

from kataribe.base.errors import FormatError
from kataribe.base.workspace import Workspace
from kataribe.make.training.plans import kinds, settled
from kataribe.make.training.prediction import Say
from kataribe.make.training.runs import RunFolder
from kataribe.make.training.session import held


def prepare(workspace: Workspace, run: RunFolder, *, say: Say) -> dict[str, Any]:
    """plan.json with its prediction; the run waits then. One that is planned is left as it is.

    It is `running` meanwhile; a plan that cannot be made leaves it `failed`.
    """
    info = run.written_info()
    kind = kinds().get(info.objective)
    if kind is None:
        raise FormatError(f"{run.id} is a run of an unknown kind: {info.objective!r}.")
    if "loop" in run.plan:
        return run.plan
    with held(run):
        plan = settled(run, kind, workspace, say)
    run.change(state="waiting", started_at=None, ended_at=None)
    return plan
