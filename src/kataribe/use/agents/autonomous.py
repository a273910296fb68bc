"""Autonomous work: a goal becomes a list of tasks, which are done, checked and revised.

The planning model writes the list, checks every result against what it must have, and writes the
list anew where a task cannot be done; an agent does the tasks. Every change of state is a record of
the run's journal before anything is built on it, so a run goes on after a crash from its last
finished step, and no call of a tool that was done is repeated.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from kataribe.base.abilities import check_abilities, messages_of
from kataribe.base.errors import InputError, KataribeError, NotFoundError, UnsupportedError
from kataribe.base.events import Event, Finished, FinishReason, Step, TextDelta, ToolCallDelta
from kataribe.base.lm import (
    LM,
    Capabilities,
    Context,
    Request,
    Sampling,
    TextFormat,
    close_stream,
)
from kataribe.base.messages import Message, ToolCallPart, text_of, to_json
from kataribe.use.agents import orders
from kataribe.use.agents.journal import Journal
from kataribe.use.agents.loop import Agent
from kataribe.use.agents.resuming import Going, going_on
from kataribe.use.agents.run_limits import AutonomousOptions, RunLimits
from kataribe.use.agents.run_state import Run, Task, TurnJournal
from kataribe.use.agents.stepping import short
from kataribe.use.agents.structured import Asked, Filled, ask_for, with_words
from kataribe.use.agents.turn import Turn, reply_parts

RUN_DIGITS = 12
"""Hexadecimal digits of a run's id: the ids of its turns begin with it."""


class Autonomous:
    """An `LM` that works towards the goal in the user's newest message, and delivers.

    Args:
        planner: Plans, checks and writes the deliverable.
        worker: Does the tasks.
        options: See there.
    """

    def __init__(
        self, planner: LM, worker: Agent, options: AutonomousOptions | None = None
    ) -> None:
        self._planner = planner
        self._worker = worker
        self._options = options or AutonomousOptions()

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._options.name

    @property
    def capabilities(self) -> Capabilities:
        """The planning model's, without what a run cannot give."""
        return replace(self._planner.capabilities, tools=False, logprobs=False, raw_prompt=False)

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Begins a run, or goes on with the one whose calls the newest messages answer."""
        self._check(request)
        going = going_on(messages_of(request))
        if going is not None and not going.results:
            going = None  # whoever answers nothing has a new goal
        run = going.turn[:RUN_DIGITS] if going else secrets.token_hex(RUN_DIGITS // 2)
        with self._options.runs.open(run, new=going is None) as journal:
            if journal is None or (going and Run(journal).user != request.context.user):
                raise NotFoundError(
                    "The run that this answer belongs to is not known here any more. Nothing was "
                    "done; ask for the goal again."
                )
            async with aclosing(self._events(request, journal, run, going)) as events:
                async for event in events:
                    yield event

    async def work(self, request: Request, journal: Journal) -> AsyncGenerator[Event, None]:
        """Works on the one run that a journal of the caller's holds; an empty one begins it.

        With records in it, the run goes on where they end, whatever the request's messages say,
        but for answers to calls that wait.
        """
        self._check(request)
        going = going_on(messages_of(request))
        run = secrets.token_hex(RUN_DIGITS // 2)
        async with aclosing(self._events(request, journal, run, going)) as events:
            async for event in events:
                yield event

    async def resume(self, journal: Journal) -> AsyncGenerator[Event, None]:
        """Goes on with a run after a crash, or one that a limit has ended.

        Raises `InputError` for a journal without a goal.
        """
        run = Run(journal)
        if not run.id:
            raise InputError("This journal has no goal in it; begin a run with it instead.")
        if run.deliverable is not None and run.deliverable["reason"] in _CUT:
            await run.write("reopened")
        request = Request(run.messages, context=Context(user=run.user))
        async with aclosing(self.work(request, journal)) as events:
            async for event in events:
                yield event

    async def _events(
        self, request: Request, journal: Journal, id_: str, going: Going | None
    ) -> AsyncGenerator[Event, None]:
        run = Run(journal)
        if not run.id:
            told = [to_json(message) for message in messages_of(request)]
            await run.write("goal", id=id_, user=request.context.user, messages=told)
        yield Step("run", run.id)
        work = _Work(self._planner, self._worker, self._options, run, request, going)
        async with aclosing(work.events()) as events:
            async for event in events:
                yield event

    def _check(self, request: Request) -> None:
        check_abilities(self.name, self.capabilities, request)
        messages = messages_of(request)
        if request.n != 1 or request.continue_last:
            param = "n" if request.n != 1 else "continue_last"
            raise UnsupportedError(
                f"{self.name} works on one goal at a time. Leave out {param}.", param=param
            )
        if not messages or messages[-1].role not in ("user", "tool"):
            raise InputError(
                "A goal is needed: let the last message be the user's.", param="messages"
            )


_CUT: frozenset[FinishReason] = frozenset({"deadline", "budget", "cancelled", "error"})
"""Ends of the deliverable's writing after which it is not whole."""


class _Work:
    """Works on a run for one request."""

    def __init__(
        self,
        planner: LM,
        worker: Agent,
        options: AutonomousOptions,
        run: Run,
        request: Request,
        going: Going | None,
    ) -> None:
        self._planner = planner
        self._worker = worker
        self._options = options
        self._run = run
        self._request = request
        self._going = going
        self._before = run.usage
        self._waiting: list[ToolCallPart] = []
        self._held: tuple[FinishReason, str] | None = None  # somebody else has to act
        self._cut: tuple[FinishReason, str] | None = None  # a limit ended the planning model
        self._limits = RunLimits(options, run, request.context)

    async def events(self) -> AsyncGenerator[Event, None]:
        """All events, the end last."""
        run = self._run
        text = ""
        while run.deliverable is None and self._held is None:
            async with aclosing(self._next()) as step:
                async for event in step:
                    if isinstance(event, TextDelta):
                        text += event.text
                    yield event
        reason, detail = self._held or ("stop", "")
        if run.deliverable is not None:
            reason, detail = run.deliverable["reason"], run.deliverable["detail"]
            whole = run.deliverable["text"]
            if whole != text:  # found without a model, or in an earlier request
                rest = whole.removeprefix(text)
                yield TextDelta(rest)
                text += rest
        message = Message("assistant", reply_parts("", text, self._waiting))
        yield Finished(message, run.usage - self._before, reason, detail=detail)

    async def _next(self) -> AsyncGenerator[Event, None]:
        """One step of the run."""
        run, options = self._run, self._options
        over = self._limits.spent() or self._cut
        if over is not None:
            yield Step("limit", over[1])
            await self._deliver(orders.found_words(run.tasks), *over)
            return
        if not run.has_plan:
            steps = self._plan()
        elif run.needs_revision and run.revisions < options.revisions:
            steps = self._revise()
        elif run.next_task is not None:
            steps = self._advance(run.next_task)
        else:
            steps = self._write()
        async with aclosing(steps):
            async for event in steps:
                yield event

    async def _plan(self) -> AsyncGenerator[Event, None]:
        asked = await self._ask("plan", orders.Plan, orders.plan_order(self._options.tasks))
        if self._cut is not None:
            return
        if asked.value is None:
            # A model that makes no list still can do the work as one task.
            goal = text_of(self._run.messages[-1])[:500]
            tasks = [{"title": goal, "done_when": "The goal is reached."}]
        else:
            tasks = [each.model_dump() for each in asked.value.tasks[: self._options.tasks]]
        await self._run.write("plan", tasks=tasks, revised=False)
        for task in self._run.tasks:
            yield Step("plan", short(f"{task.id}. {task.title}"))

    async def _revise(self) -> AsyncGenerator[Event, None]:
        run = self._run
        order = orders.revise_order(run.tasks, self._options.tasks)
        asked = await self._ask("revise", orders.Plan, order)
        if self._cut is not None:
            return
        waiting = [task for task in run.tasks if task.state == "waiting"]
        if asked.value is None:
            tasks = [{"title": t.title, "done_when": t.done_when} for t in waiting]
        else:
            tasks = [each.model_dump() for each in asked.value.tasks[: self._options.tasks]]
        await run.write("plan", tasks=tasks, revised=True)
        for task in run.tasks:
            if task.state == "waiting":
                yield Step("revised", short(f"{task.id}. {task.title}"))

    async def _advance(self, task: Task) -> AsyncGenerator[Event, None]:
        """Does a task, checks what came of it, or gives it up."""
        run = self._run
        if task.attempts and not task.was_checked:
            async for event in self._verify(task):
                yield event
        elif task.attempts - task.cut >= self._options.attempts:
            await run.write("given_up", task=task.id, why=task.why)
            yield Step("given up", short(f"{task.id}. {task.title}: {task.why}"))
        else:
            async with aclosing(self._attempt(task)) as events:
                async for event in events:
                    yield event

    async def _attempt(self, task: Task) -> AsyncGenerator[Event, None]:
        run, number = self._run, task.attempts + 1
        journal = TurnJournal(run, f"{task.id}.{number}")
        yield Step("task", short(f"{task.id} of {len(run.tasks)}: {task.title}"))
        tries = (Turn(TurnJournal(run, f"{task.id}.{n}")) for n in range(1, number))
        made = [each for turn in tries for each in turn.results]
        request = self._asking(orders.task_order(task, run.tasks, made))
        records = journal.records()
        if self._going is not None and records and records[0]["id"] == self._going.turn:
            request = replace(request, prompt=self._request.prompt)  # it brings the answers
        turn = run.id + secrets.token_hex((20 - RUN_DIGITS) // 2)
        left = self._limits.left(Turn(journal))
        worker = self._worker.within(steps=left.steps, tokens=left.tokens, dollars=left.dollars)
        if left.dollars is not None:
            request = replace(request, context=replace(request.context, budget=left.dollars))
        async with aclosing(worker.work(request, journal, turn)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    await self._did(task, number, event)
                elif isinstance(event, Step | ToolCallDelta):
                    yield event

    async def _did(self, task: Task, number: int, end: Finished) -> None:
        calls = [part for part in end.message.parts if isinstance(part, ToolCallPart)]
        if end.reason == "approval":
            self._waiting = calls
            self._held = "approval", end.detail
            return
        text = text_of(end.message)
        run = self._run
        cut = end.reason in _CUT and self._limits.spent() is not None
        await run.write("did", task=task.id, attempt=number, text=text, reason=end.reason, cut=cut)
        if not text.strip():
            why = f"There was no result ({end.reason}). {end.detail}".strip()
            await run.write("verdict", task=task.id, ok=False, why=why)

    async def _verify(self, task: Task) -> AsyncGenerator[Event, None]:
        asked = await self._ask("check", orders.Verdict, orders.check_order(task))
        if self._cut is not None:
            return  # it is checked when the run goes on
        if asked.value is None:
            ok, why = True, "Nobody checked it: the planning model gave no verdict."
        else:
            ok, why = asked.value.ok, asked.value.why
        await self._run.write("verdict", task=task.id, ok=ok, why=why)
        yield Step("checked", short(f"{task.id} {'is done' if ok else 'is not done'}: {why}"))

    async def _write(self) -> AsyncGenerator[Event, None]:
        """The deliverable, as the planning model says it."""
        run = self._run
        yield Step("deliver", f"{self._limits.tally()}")
        request = self._asking(orders.deliver_order(run.tasks))
        request = replace(
            request,
            sampling=self._request.sampling,
            stop=self._request.stop,
            response_format=self._request.response_format,
        )
        end: Finished | None = None
        events = self._planner.stream(request)
        try:
            async for event in events:
                if isinstance(event, Finished):
                    end = event
                elif isinstance(event, TextDelta):
                    yield replace(event, tokens=0)
                elif isinstance(event, Step):
                    yield event
        finally:
            await close_stream(events)
        if end is None:
            raise KataribeError(
                f"{self._planner.name} sent no end of the deliverable; its stream broke off. "
                f"Nothing is lost: resume the run {run.id}, which has only this left to do."
            )
        await run.spend("deliver", end.usage)
        text, detail = text_of(end.message), end.detail or self._limits.tally()
        found = orders.found_words(run.tasks)
        if found and (end.reason in _CUT or not text.strip()):
            what = "is not whole" if text.strip() else "was not written"
            detail = f"The deliverable {what} ({end.reason}); what the tasks gave stands instead."
            detail = f"{detail} {end.detail}".rstrip()
            yield Step("found", detail)
            text = f"{text}\n\n{found}" if text.strip() else found
        await self._deliver(text, end.reason, detail)

    async def _deliver(self, text: str, reason: FinishReason, detail: str) -> None:
        await self._run.write("deliverable", text=text, reason=reason, detail=detail)

    async def _ask(self, what: str, form: type[Filled], order: str) -> Asked[Filled]:
        asked = await ask_for(self._planner, form, self._asking(order))
        await self._run.spend(what, asked.usage)
        if asked.cut is not None:
            reason, detail = asked.cut
            self._cut = reason, f"{detail} {self._limits.tally()}".lstrip()
        return asked

    def _asking(self, order: str) -> Request:
        return replace(
            self._request,
            prompt=with_words(self._run.messages, order),
            sampling=Sampling(temperature=self._request.sampling.temperature),
            response_format=TextFormat(),
            stop=(),
            context=self._limits.asking(),
        )
