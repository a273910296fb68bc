"""A turn at work: model, tools, model, ... until it ends or somebody else has to act."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from kataribe.base.errors import InputError
from kataribe.base.events import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Step,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import LM, Request, ToolChoice, ToolSpec
from kataribe.base.messages import (
    Message,
    ReasoningPart,
    ToolCallPart,
    ToolResultPart,
    text_of,
)
from kataribe.base.tool_calls import MOST_REPEATS, MOST_TOLD, CallLimits, failed, not_again
from kataribe.use.agents.calling import Approve, ToolRunner, always
from kataribe.use.agents.resuming import CUT, INTERRUPTED
from kataribe.use.agents.stepping import Said, Stepping, calls_told, short
from kataribe.use.agents.turn import Turn, reply_parts

Price: TypeAlias = Callable[[Usage], float | None]
"""US dollars for the tokens of one call; None where nobody knows the price."""

STOPPED = (
    "{} was stopped: the time was over. Whether it has changed anything is not known. See how "
    "things are before you repeat it."
).format
LATE = "{} was not begun: the time was over.".format

LAST_STEP = (
    "No tool can be called any more. Answer now with what you have found, and say what is missing."
)


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """What one turn may use; None for no limit.

    Attributes:
        steps: Calls of the model. For the last one tools are taken away, so that it answers.
        tokens: Read and drawn by the model, together.
        seconds: From a request's beginning, beside its own deadline.
        dollars: By the agent's price for its model, beside the request's own budget.
        repeats: How often the same call may have the same result before it is not run again. The
            model is told so; when it tries `told` times all the same, it must answer.
        told: See above.
        calls: What calls of tools may take.
    """

    steps: int = 20
    tokens: int | None = None
    seconds: float | None = None
    dollars: float | None = None
    repeats: int = MOST_REPEATS
    told: int = MOST_TOLD
    calls: CallLimits = field(default_factory=CallLimits)

    def __post_init__(self) -> None:
        for name in ("steps", "tokens", "seconds", "dollars", "repeats", "told"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} is {value}, but must be above 0.", param=name)


@dataclass(frozen=True, slots=True)
class Worker:
    """What an agent works with."""

    lm: LM
    runner: ToolRunner
    specs: tuple[ToolSpec, ...]
    approve: Approve = always
    limits: AgentLimits = field(default_factory=AgentLimits)
    price: Price | None = None

    @property
    def own(self) -> frozenset[str]:
        """Names of the agent's tools."""
        return frozenset(spec.name for spec in self.specs)


class Working:
    """Works on a turn for one request."""

    def __init__(self, worker: Worker, turn: Turn, request: Request) -> None:
        self._worker = worker
        self._turn = turn
        self._request = request
        self._theirs = frozenset(spec.name for spec in request.tools)
        self._said = Said()
        self._deadline = request.context.deadline
        seconds = worker.limits.seconds
        if seconds is not None:
            end = time.monotonic() + seconds
            self._deadline = end if self._deadline is None else min(end, self._deadline)

    async def events(self) -> AsyncGenerator[Event, None]:
        """All events of the reply, its end the last."""
        end: tuple[FinishReason, str] | None = None
        for event in self._broken_off():
            yield event
        while end is None:
            if self._turn.waiting:
                async with aclosing(self._settle()) as settling:
                    async for event in settling:
                        yield event
                if self._turn.waiting:
                    for event in self._hand_over():
                        yield event
                    end = self._waiting_for()
                continue
            if self._turn.has_ended:
                end = self._turn.reason, self._turn.detail
                continue
            end = self._spent()
            if end is None:
                closing = self._closing()
                async with aclosing(self._step(closing)) as step:
                    async for event in step:
                        yield event
                end = self._after(closing)
        async for event in self._last(*end):
            yield event

    def _broken_off(self) -> list[Event]:
        """What the model said in a reply of ours that never came to its end: it belongs to this."""
        said: list[Event] = []
        for message in self._turn.replies:
            thought = "".join(p.text for p in message.parts if isinstance(p, ReasoningPart))
            if thought:
                said.append(self._said.think(ReasoningDelta(thought)))
            if text := text_of(message):
                said += [*self._said.gap(), self._said.say(text)]
        self._said.usage = self._turn.unsaid
        return said

    async def _step(self, closing: tuple[FinishReason, str] | None) -> AsyncGenerator[Event, None]:
        turn, limits = self._turn, self._worker.limits
        if closing is not None:
            yield Step("limit", closing[1], tokens=self._tokens())
            await turn.write("note", text=LAST_STEP)
        elif turn.steps:
            told = f"{turn.steps + 1} of at most {limits.steps}"
            yield Step("step", told, tokens=self._tokens())
        left = None if limits.tokens is None else max(1, limits.tokens - self._tokens())
        may_call = closing is None
        step = Stepping(turn, self._said, theirs=self._theirs, most=left, may_call=may_call)
        request = self._next_request(may_call=may_call)
        async with aclosing(step.events(self._worker.lm, request)) as events:
            async for event in events:
                yield event

    def _next_request(self, *, may_call: bool) -> Request:
        request, turn = self._request, self._turn
        choice = request.tool_choice
        if not may_call:
            choice = ToolChoice("none")
        elif turn.steps and choice.mode in ("required", "function"):
            choice = ToolChoice("auto")  # what was required has been called
        budget, most = request.context.budget, self._most_dollars()
        if most is not None:
            budget = max(0.0, most - self._dollars())
        return replace(
            request,
            prompt=turn.messages,
            tools=(*self._worker.specs, *request.tools),
            tool_choice=choice,
            context=replace(request.context, deadline=self._deadline, budget=budget),
        )

    async def _settle(self) -> AsyncGenerator[Event, None]:
        """Gives every call that can have one a result; those of the caller's tools still wait."""
        run: list[ToolCallPart] = []
        for number, call in enumerate(self._turn.calls):
            if call.id not in self._turn.waiting or call.name in self._theirs:
                continue
            refusal = self._refusal(call, number)
            if refusal is not None:
                name, result = refusal
                yield self._came(name, call, result)
                await self._turn.result(result, told=name == "repeated")
            elif self._may_run(call):
                run.append(call)
        if run:
            async with aclosing(self._run(run)) as running:
                async for event in running:
                    yield event

    def _refusal(self, call: ToolCallPart, number: int) -> tuple[str, ToolResultPart] | None:
        """Why a call does not run at all, as a step's name and a result."""
        turn, limits = self._turn, self._worker.limits
        if call.id in turn.begun:
            return "interrupted", failed(call, INTERRUPTED)
        if turn.reason == "length" and call == turn.calls[-1]:
            return "refused", failed(call, CUT)
        times = turn.repeats(call)
        if times >= limits.repeats:
            return "repeated", not_again(call, times)
        objection = self._worker.runner.objection(call)
        if objection is not None:
            return "refused", objection
        if number >= limits.calls.most:
            return "refused", failed(
                call,
                f"These are more than {limits.calls.most} calls at once, so this one was not run. "
                "Make fewer at a time.",
            )
        answer = turn.answers.get(call.id)
        if self._worker.approve(call) == "never":
            return "refused", failed(call, f"The tool {call.name} may not be used here.")
        if answer is not None and not answer.approved:
            why = f": {answer.why}" if answer.why else "."
            return "refused", failed(call, f"The user did not allow this call{why}")
        return None

    def _may_run(self, call: ToolCallPart) -> bool:
        answer = self._turn.answers.get(call.id)
        return self._worker.approve(call) == "always" or (answer is not None and answer.approved)

    async def _run(self, calls: Sequence[ToolCallPart]) -> AsyncGenerator[Event, None]:
        """Runs calls side by side; results are told as they come, and kept in any case."""
        for call in calls:
            line = short(f"{call.name} {call.arguments}")
            yield Step("call", line, 0, call.id, call.arguments, self._tokens())
        tasks = {asyncio.create_task(self._one(call)): call for call in calls}
        try:
            left = set(tasks)
            while left:
                wait = None if self._deadline is None else self._deadline - time.monotonic()
                done, left = await asyncio.wait(
                    left, timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    result = task.result()
                    name = "failed" if result.is_error else "result"
                    yield self._came(name, tasks[task], result)
                if left and not done:
                    self._said.cut = "deadline", _time_over([tasks[task].name for task in left])
                    break
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for call in [call for call in calls if call.id in self._turn.waiting]:
            words = STOPPED if call.id in self._turn.begun else LATE
            await self._turn.result(failed(call, words(call.name)))

    def _came(self, name: str, call: ToolCallPart, result: ToolResultPart) -> Step:
        line = short(f"{call.name}: {result.content}")
        return Step(name, line, 0, call.id, result.content, self._tokens())

    async def _one(self, call: ToolCallPart) -> ToolResultPart:
        async def begin() -> None:
            await self._turn.write("begun", call=call.id)

        result = await self._worker.runner.run(call, self._request.context, begin)
        await self._turn.result(result)
        return result

    def _hand_over(self) -> list[Event]:
        """The calls that somebody else must act on, where the caller has not been told of them."""
        told = {call.id for call in self._said.calls}
        events: list[Event] = []
        for call in self._turn.waiting.values():
            if call.id not in told:
                number = len(self._said.calls)
                self._said.calls.append(call)
                events.append(ToolCallDelta(number, call.arguments, call.id, call.name))
        return events

    def _waiting_for(self) -> tuple[FinishReason, str]:
        ask = [c.name for c in self._turn.waiting.values() if c.name not in self._theirs]
        if not ask:
            cut = "The reply with these calls was cut at its longest."
            return "tool_calls", cut if self._turn.reason == "length" else ""
        return "approval", f"Your consent is needed for: {', '.join(ask)}."

    def _spent(self) -> tuple[FinishReason, str] | None:
        """The limit because of which the model is not asked again."""
        limits, turn = self._worker.limits, self._turn
        if self._said.cut is not None:
            return self._said.cut
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "deadline", "The time for the request is over."
        if turn.steps >= limits.steps:
            return "budget", f"All of {limits.steps} steps are used."
        if limits.tokens is not None and self._tokens() >= limits.tokens:
            return "budget", f"{self._tokens():,} of at most {limits.tokens:,} tokens are used."
        most = self._most_dollars()
        if most is not None and self._dollars() >= most and self._dollars():
            return "budget", f"${self._dollars():.6g} of at most ${most:.6g} is spent."
        return None

    def _closing(self) -> tuple[FinishReason, str] | None:
        """Why the next step is the last one, without tools."""
        limits, turn = self._worker.limits, self._turn
        if turn.told >= limits.told:
            return "repetition", "The model made the same call again and again."
        if turn.steps and turn.steps + 1 >= limits.steps:
            return "budget", f"The last of {limits.steps} steps is for the answer."
        return None

    def _after(self, closing: tuple[FinishReason, str] | None) -> tuple[FinishReason, str] | None:
        turn = self._turn
        if closing is not None and turn.reason in ("stop", "tool_calls", "length"):
            return closing
        if turn.reason in ("stop", "tool_calls") or turn.waiting:
            return None
        return turn.reason, turn.detail

    async def _last(self, reason: FinishReason, detail: str) -> AsyncGenerator[Event, None]:
        """The end; where no word was said, what tools have found takes the place of an answer."""
        said = self._said
        if reason in ("deadline", "budget", "repetition") and not said.text:
            kept = [each for each in self._turn.results if not each[1].is_error]
            if kept:
                yield said.say(calls_told(kept))
        if not self._turn.waiting:
            said.calls.clear()  # they were cut before they were whole
        message = said.parts()
        usage = said.usage
        if not self._turn.is_at_end:  # else these calls are handed over once more: no new end
            await self._turn.write(
                "shown",
                reason=reason,
                detail=detail,
                text="".join(said.text),
                reasoning="".join(said.thought),
                calls=[[call.id, call.name, call.arguments] for call in said.calls],
                usage=usage.numbers,
            )
        yield Finished(message, usage, reason, detail=detail)

    def _tokens(self) -> int:
        return self._turn.usage.prompt_tokens + self._turn.usage.completion_tokens

    def _most_dollars(self) -> float | None:
        """The money for this turn; None where there is no limit, or the model has no price here."""
        both = self._worker.limits.dollars, self._request.context.budget
        given = [each for each in both if each is not None]
        return min(given) if given and self._worker.price is not None else None

    def _dollars(self) -> float:
        price = self._worker.price
        return (price(self._turn.usage) or 0.0) if price is not None else 0.0


def shown_again(turn: Turn, ends: int) -> list[Event]:
    """The events of an end that the caller was given already, once more."""
    record = turn.shown[ends]
    calls = tuple(ToolCallPart(*each) for each in record["calls"])
    events: list[Event] = [Step("again", "This was answered before; nothing is run twice.")]
    said = Said()
    if record["reasoning"]:
        events.append(said.think(ReasoningDelta(record["reasoning"])))
    if record["text"]:
        events.append(said.say(record["text"]))
    events += [ToolCallDelta(n, c.arguments, c.id, c.name) for n, c in enumerate(calls)]
    parts = reply_parts(record["reasoning"], record["text"], calls)
    events.append(
        Finished(
            Message("assistant", parts),
            Usage(*record["usage"]),
            record["reason"],
            detail=record["detail"],
        )
    )
    return events


def _time_over(names: Sequence[str]) -> str:
    return f"The time for the request is over; stopped: {', '.join(names)}."
