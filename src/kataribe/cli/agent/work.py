"""Autonomous work at a command: the run, its files, and what is said at its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kataribe.base.errors import InputError, NotFoundError, UnsupportedError
from kataribe.base.events import Event, Usage
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import text_message
from kataribe.base.settings import load_settings
from kataribe.base.tool_calls import call_tool
from kataribe.base.workspace import Workspace
from kataribe.cli import exits
from kataribe.cli.acting import agent_options
from kataribe.cli.agent.kept import KeptRun, find_run, read_run
from kataribe.cli.answering import Listener, open_lm
from kataribe.cli.consent import Consenting
from kataribe.cli.given import check_text, piped_text
from kataribe.cli.means_here import command_means
from kataribe.cli.metering import Meters, price_of
from kataribe.cli.output import emit_json, note, say
from kataribe.cli.reaching import with_tools
from kataribe.cli.way import Flags, Way, check_limits, spent_in, way_of
from kataribe.files.atomic import write_atomic
from kataribe.prove.ops.ledger import Ledger
from kataribe.use.agents.autonomous import Autonomous
from kataribe.use.agents.compaction import Compacting
from kataribe.use.agents.counting import rough_count
from kataribe.use.agents.in_text import InText
from kataribe.use.agents.loop import Agent
from kataribe.use.agents.run_limits import AutonomousOptions
from kataribe.use.agents.turns import FolderTurns
from kataribe.use.assistants.toolbox import Toolbox

if TYPE_CHECKING:
    from kataribe.base.settings import Settings


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a run.

    Attributes:
        flags: Tools and limits; `seconds` is of this command alone.
        tasks: Most tasks of a list.
        out: File for the deliverable.
        local: The model is loaded here.
        steps: Steps are shown.
        as_json: What came of it is told as JSON.
    """

    flags: Flags
    tasks: int
    out: Path | None
    local: bool
    steps: bool
    as_json: bool


def begin(words: Sequence[str], wish: Wish, model: str | None) -> None:
    """Begins a run. Raises `InputError` for an empty goal and limits that leave nothing."""
    goal = check_text(" ".join(words), "The goal")
    piped = piped_text()
    if not goal.strip() and not piped.strip():
        raise InputError(
            'There is no goal. Say what is to be reached: kataribe agent "Summarise FILE"',
            param="goal",
        )
    text = "\n\n".join(part for part in (goal, piped) if part.strip())
    _work(wish, load_settings(model=model), Request((text_message("user", text),)), None)


def go_on(run: str, wish: Wish, model: str | None, words: Sequence[str]) -> None:
    """Goes on with a run. Raises `NotFoundError`, and `InputError` where a goal is given too."""
    if words:
        raise InputError(
            "--resume goes on with the goal that the run has. Leave out the words, or begin anew "
            "without --resume.",
            param="resume",
        )
    found = find_run(Workspace.locate(), run)
    if found.state == "done":
        note(f"The run {found.id} is done; nothing is left to do.")
        if wish.out is None and not wish.as_json:
            say(found.text)
        _conclude(found, wish, Ledger(), stopped=False)
        return
    _work(wish, load_settings(model=model), Request(found.run.messages), found.id)


def _work(wish: Wish, settings: Settings, request: Request, id_: str | None) -> None:
    way = _checked(wish)
    workspace, ledger = Workspace.locate(), Ledger()
    runs = FolderTurns(workspace.agents)
    listener = Listener(quiet=wish.as_json or wish.out is not None, steps=wish.steps)
    stopped = False
    with _working(wish, way, settings, (runs, id_), ledger) as whom:
        try:
            asyncio.run(listener.listen(whom, request))
        except KeyboardInterrupt:
            stopped = True
        finally:
            if listener.heard and not listener.is_quiet and not listener.heard.endswith("\n"):
                say("")
    name = id_ or next((s.detail for s in listener.steps if s.name == "run"), None)
    if name is None:  # stopped before anything was begun
        raise typer.Exit(exits.INTERRUPTED)
    kept = read_run(workspace.agents / f"{name}.jsonl")
    _conclude(kept, wish, ledger, stopped=stopped)


def _checked(wish: Wish) -> Way:
    """The tools and limits that are wished for; raises before any model is loaded."""
    flags = wish.flags
    minutes = None if flags.seconds is None else flags.seconds / 60
    check_limits({"--tasks": wish.tasks, "--minutes": minutes})
    if wish.out is not None and (wish.out.is_dir() or not wish.out.absolute().parent.is_dir()):
        raise InputError(
            f"The result cannot be written to {wish.out}: that is a folder, or lies in one that "
            "is not there. Name a file in a folder that is.",
            param="out",
        )
    return way_of(flags)


@contextlib.contextmanager
def _working(
    wish: Wish,
    way: Way,
    settings: Settings,
    run: tuple[FolderTurns, str | None],
    ledger: Ledger,
) -> Iterator[LM]:
    """Who works on a run: on a new one, or on the kept one whose id comes with the folder."""
    runs, id_ = run
    price, limits = price_of(settings), way.limits
    if limits.dollars is not None and price(Usage(1000, 1000)) is None:
        raise UnsupportedError(
            f"Nobody knows the price of {settings.model}, so --money {limits.dollars:g} cannot be "
            "held. Limit --tokens or --minutes.",
            param="money",
        )
    with (
        contextlib.ExitStack() as stack,
        open_lm(settings, local=wish.local) as lm,
        command_means(settings, local=wish.local) as means,
    ):
        # Held to the money that is left in the middle of a reply, too.
        model = Meters(ledger).lm(lm, price)

        def make(box: Toolbox) -> LM:
            worker = Compacting(InText(model), rough_count)
            works = Autonomous(
                Compacting(model, rough_count),
                Agent(
                    worker,
                    box.approvals.usable(box.tools),
                    call_tool,
                    agent_options(box, price=price),
                ),
                AutonomousOptions(
                    tasks=wish.tasks,
                    steps=limits.steps,
                    tokens=limits.tokens,
                    seconds=limits.seconds,
                    dollars=limits.dollars,
                    price=price,
                    runs=runs,
                ),
            )
            return Consenting(works if id_ is None else Resuming(works, runs, id_))

        yield with_tools(way.tools, (way.approve, means), model, make, stack)


class Resuming:
    """An `LM` whose first reply goes on with a run; the next ones answer what that asks."""

    def __init__(self, works: Autonomous, runs: FolderTurns, id_: str) -> None:
        self._works = works
        self._runs = runs
        self._id = id_
        self._begun = False

    @property
    def name(self) -> str:
        """The name of what works."""
        return self._works.name

    @property
    def capabilities(self) -> Capabilities:
        """What that can do."""
        return self._works.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Goes on from the last finished step."""
        if self._begun:
            async with aclosing(self._works.stream(request)) as events:
                async for event in events:
                    yield event
            return
        self._begun = True
        with self._runs.open(self._id, new=False) as journal:
            if journal is None:
                raise NotFoundError(f"The run {self._id} is not there any more.", param="run")
            async with aclosing(self._works.resume(journal)) as events:
                async for event in events:
                    yield event


def _conclude(kept: KeptRun, wish: Wish, ledger: Ledger, *, stopped: bool) -> None:
    """Writes what there is, and says how to go on where it is not all."""
    outcome, text = kept.run.outcome(), kept.text
    if wish.out is not None:
        write_atomic(wish.out, text if text.endswith("\n") or not text else f"{text}\n")
        log = wish.out.with_name(f"{wish.out.name}.log")
        write_atomic(log, "".join(f"{line}\n" for line in outcome.log))
    spent = spent_in(ledger)
    if wish.as_json:
        emit_json(
            {
                **kept.told(),
                "text": text,
                "finish_reason": "cancelled" if stopped else outcome.reason or "approval",
                "detail": outcome.detail,
                "log": list(outcome.log),
                "model_calls": spent.steps,
                "cost_usd": None if spent.unpriced else spent.dollars,
            }
        )
    elif wish.out is not None:
        say(str(wish.out))
    elif text and outcome.reason == "":
        say(text)  # what was found is all there is
    if outcome.detail:
        note(f"({outcome.reason}: {outcome.detail})")
    if outcome.reason != "stop":
        note(f"Go on with it: kataribe agent --resume {kept.id}")
    if stopped:
        raise typer.Exit(exits.INTERRUPTED)
