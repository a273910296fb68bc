"""A run of autonomous work: its state, as its journal tells it.

Records:

    goal         id, user, messages            what was asked
    asked        what, usage                   a call of the planning model
    plan         tasks, revised                the list, or what takes the place of all not done
    turn         of, record                    a record of an agent's turn at a task (`turn`)
    did          task, attempt, text, reason,  what came of an attempt; `cut`: a limit of the run
                 cut                           ended it
    verdict      task, ok, why                 the check of it; `task` is settled by ok, or given up
    given_up     task, why                     no further attempt
    deliverable  text, reason, detail          the end
    reopened                                   a limit had ended it, and it goes on
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kataribe.base.events import Usage
from kataribe.base.messages import Message, from_json
from kataribe.use.agents.journal import Journal, Record, keep

State = Literal["waiting", "done", "given up"]


@dataclass(slots=True)
class Task:
    """One task of the list.

    Attributes:
        id: Its number in the run, from 1; never used twice.
        title: What is to be done.
        done_when: What a result must have.
        state: How far it is.
        attempts: Attempts that came to an end.
        cut: Those of them that a limit of the run ended, so that they say nothing of the task.
        text: What the newest of them gave; None while there is none to check.
        why: Why the newest was not enough, or the task was given up.
        was_checked: Somebody has looked at the newest attempt.
    """

    id: int
    title: str
    done_when: str
    state: State = "waiting"
    attempts: int = 0
    cut: int = 0
    text: str | None = None
    why: str = ""
    was_checked: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: the deliverable (empty before the end), how it ended, and its log."""

    text: str
    reason: str
    detail: str
    tasks: tuple[Task, ...]
    log: tuple[str, ...]


class Run:
    """The state of a run; `write` keeps a record and takes it in."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.id = ""
        self.user: str | None = None
        self.messages: tuple[Message, ...] = ()
        self.tasks: list[Task] = []
        self.has_plan = False
        self.needs_revision = False
        self.revisions = 0
        self.usage = Usage(0, 0)
        self.calls = 0  # of models
        self.deliverable: Record | None = None
        self._log: list[str] = []
        for record in journal.records():
            self._take(record)

    @property
    def next_task(self) -> Task | None:
        """The first that is not settled."""
        return next((task for task in self.tasks if task.state == "waiting"), None)

    def outcome(self) -> Outcome:
        """What there is up to now."""
        end: Mapping[str, Any] = self.deliverable or {"text": "", "reason": "", "detail": ""}
        return Outcome(
            end["text"], end["reason"], end["detail"], tuple(self.tasks), tuple(self._log)
        )

    async def write(self, kind: str, **values: Any) -> None:
        """Keeps a record, then takes it in."""
        await keep(self.journal, {"kind": kind, **values}, self._take)

    async def spend(self, what: str, usage: Usage) -> None:
        """Keeps what a call of the planning model used."""
        await self.write("asked", what=what, usage=usage.numbers)

    def _take(self, record: Record) -> None:
        match record["kind"]:
            case "goal":
                self.id, self.user = record["id"], record["user"]
                self.messages = tuple(from_json(each) for each in record["messages"])
            case "asked":
                self.calls += 1
                self.usage += _usage(record["usage"])
            case "plan":
                self._take_plan(record)
            case "turn":
                if record["record"]["kind"] == "reply":
                    self.calls += 1
                    self.usage += _usage(record["record"]["usage"])
                self._note_call(record["record"])
            case "did":
                task = self._task(record)
                task.attempts, task.text = record["attempt"], record["text"]
                task.was_checked = False
                task.cut += bool(record.get("cut"))  # older journals do not say
                self._log.append(f"task {task.id}, attempt {task.attempts}: {record['reason']}")
            case "verdict":
                task = self._task(record)
                task.was_checked, task.why = True, record["why"]
                task.state = "done" if record["ok"] else "waiting"
                verdict = "is done" if record["ok"] else "is not enough"
                self._log.append(f"task {task.id} {verdict}: {task.why}".rstrip(": "))
            case "given_up":
                task = self._task(record)
                task.state, task.why = "given up", record["why"]
                self.needs_revision = True
                self._log.append(f"task {task.id} is given up: {task.why}")
            case "deliverable":
                self.deliverable = record
                self._log.append(f"end: {record['reason']} {record['detail']}".rstrip())
            case "reopened":
                self.deliverable = None
                self._log.append("it goes on")

    def _take_plan(self, record: Record) -> None:
        kept = [task for task in self.tasks if task.state != "waiting"]
        first = max((task.id for task in self.tasks), default=0) + 1
        new = [
            Task(first + number, each["title"], each["done_when"])
            for number, each in enumerate(record["tasks"])
        ]
        self.tasks = [*kept, *new]
        self.has_plan, self.needs_revision = True, False
        self.revisions += bool(record["revised"])
        word = "revised list" if record["revised"] else "list"
        self._log += [f"{word}: {task.id}. {task.title}" for task in new]

    def _task(self, record: Record) -> Task:
        return next(task for task in self.tasks if task.id == record["task"])

    def _note_call(self, record: Record) -> None:
        if record["kind"] == "result":
            word = "failed" if record["is_error"] else "gave"
            self._log.append(f"  call {word}: {record['content'][:200]}")


@dataclass(frozen=True, slots=True)
class TurnJournal:
    """The records of one attempt at a task, inside the run's journal."""

    run: Run
    of: str

    def records(self) -> tuple[Record, ...]:
        """All that was appended, oldest first."""
        kept = self.run.journal.records()
        return tuple(r["record"] for r in kept if r["kind"] == "turn" and r["of"] == self.of)

    async def append(self, record: Record) -> None:
        """Keeps a record in the run's journal."""
        await self.run.write("turn", of=self.of, record=record)


def _usage(told: Sequence[int]) -> Usage:
    return Usage(*told)  # older journals tell three numbers, newer ones four
