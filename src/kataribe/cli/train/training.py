"""What all commands of `kataribe train` and `runs resume` do: begin, watch, tell what came."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError
from kataribe.cli.output import emit_json, note, say, size
from kataribe.cli.train.amounts import count, span

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.base.workspace import Workspace
    from kataribe.cli.train.flags import Typed
    from kataribe.make.training.runs import RunFolder

ASKED = ("pretrain", "instruct", "denoise", "distill", "classify", "embed")
"""Kinds whose models a command of their own uses; the others are a step on the way to those."""


def train(kind: str, typed: Typed) -> None:
    """Begins a run, or goes on with one, and trains it to its end."""
    from kataribe.base.workspace import Workspace
    from kataribe.make.training.beginning import begin
    from kataribe.make.training.plans import check_unchanged, command_line
    from kataribe.make.training.processes import from_first, joined
    from kataribe.make.training.runs import find_run, open_run

    workspace = Workspace.locate()
    with joined():

        def found() -> Path:
            if typed.resume:
                run = find_run(workspace.runs, typed.resume)
                check_unchanged(run, typed.asked, typed.given, [*typed.asked, *typed.given])
                return run.path
            name = typed.name or _name(typed.asked)
            words = command_line()
            return begin(workspace, kind, name, typed.asked, typed.given, command=words).path

        carry_on(workspace, open_run(from_first(found)), as_json=typed.as_json)


def carry_on(workspace: Workspace, run: RunFolder, *, as_json: bool) -> None:
    """Trains a run from where it stands; prints what is expected, how it goes, what came."""
    from kataribe.cli.train.progress import Line
    from kataribe.make.training.plans import carry
    from kataribe.make.training.processes import rank

    shown = rank() == 0
    line = Line(shown=shown)

    def expects(plan: Mapping[str, Any]) -> None:
        if shown:
            note(f"Run {run.id}")
            for words in expectation(plan):
                note(words)
        line.begin(plan)

    with line:
        ended, result = carry(
            workspace,
            run,
            say=note if shown else lambda words: None,  # noqa: ARG005
            expects=expects,
            tell=line.tell if shown else None,
        )
    if not shown:
        return
    if as_json:
        emit_json({"run": run.id, "stopped": ended.stopped, **result})
    elif ended.stopped:
        say(f"Stopped by {ended.stopped} at step {ended.progress.step}.")
        say(f"Go on with: kataribe runs resume {run.id}")
    else:
        _tell_what_came(run, result)
    if ended.stopped == "Ctrl-C":
        sys.exit(130)


def expectation(plan: Mapping[str, Any]) -> list[str]:
    """The prediction in words."""
    found, loop = plan.get("prediction") or {}, plan["loop"]
    words = []
    if found.get("parameters"):
        words.append(
            f"Expected: {count(found['parameters'])} parameters, {count(found['tokens'])} tokens "
            f"in {loop['steps']} steps, {span(found['seconds'])}, "
            f"{size(found['memory_bytes'])} of memory."
        )
    if found.get("bits_per_byte"):
        words.append(
            f"Held-out text at the end: {found['bits_per_byte']:.2f} bits per byte (from "
            f"{found['bits_per_byte_low']:.2f} to {found['bits_per_byte_high']:.2f})."
        )
    work = loop["work"]
    words.append(
        f"{loop['optimisation']['optimiser']}, {work['precision']}, "
        f"{'compiled' if work['compile'] == 'on' else 'not compiled'}, "
        f"{work['threads']} threads."
    )
    return words


def _tell_what_came(run: RunFolder, result: Mapping[str, Any]) -> None:
    from kataribe.make.training.prediction import compared

    for name, expected, found, off in compared(run.plan.get("prediction") or {}, result):
        say(f"{name:<14} {_value(name, found):>12}  expected {_value(name, expected)} ({off:+.1%})")
    made = run.written_info()
    command = {"classify": "classify", "embed": "embed"}.get(made.objective, "ask")
    hint = f" Use it: kataribe {command} -m {made.model} ..." if made.objective in ASKED else ""
    say(f"The model is here: {made.model}.{hint}")


def _value(name: str, value: float) -> str:
    shown = {"seconds": span, "memory_bytes": size, "bits_per_byte": "{:.4f}".format}
    return shown.get(name, count)(value)


def _name(asked: Mapping[str, Any]) -> str:
    from pathlib import Path

    source = next(
        (asked[name] for name in ("corpus", "chats", "examples", "pairs") if name in asked), None
    )
    if not source:
        raise InputError("Say what to learn from, or which run to go on with (--resume RUN).")
    return Path(str(source)).name.partition(".")[0]
