"""What a run of autonomous work may use, and what is left of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from kataribe.base.errors import InputError
from kataribe.base.events import FinishReason
from kataribe.base.lm import Context
from kataribe.use.agents.run_state import Run
from kataribe.use.agents.turn import Turn
from kataribe.use.agents.turns import MemoryTurns, Turns
from kataribe.use.agents.working import Price


@dataclass(frozen=True, slots=True)
class AutonomousOptions:
    """How a run works; None for no limit.

    Attributes:
        name: The name it is asked for by.
        tasks: Most tasks of a list.
        attempts: At one task, before it is given up.
        revisions: How often the list may be written anew.
        steps: Of a run, over all of its requests: a plan, a check, each reply at a task.
        tokens: Read and drawn by all models of a run together, over all of its requests.
        seconds: From a request's beginning, beside its own deadline.
        dollars: By `price`, over all of a run's requests, beside a request's own budget.
        price: Of the models.
        runs: Where the journals of runs are kept.
    """

    name: str = "autonomous"
    tasks: int = 12
    attempts: int = 2
    revisions: int = 2
    steps: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    dollars: float | None = None
    price: Price | None = None
    runs: Turns = field(default_factory=MemoryTurns)

    def __post_init__(self) -> None:
        for name in ("tasks", "attempts", "steps", "tokens", "seconds", "dollars"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} is {value}, but must be above 0.", param=name)
        if self.dollars is not None and self.price is None:
            raise InputError(
                f"A limit of ${self.dollars:g} needs the price of the models. Give it, or limit "
                "tokens.",
                param="price",
            )


@dataclass(frozen=True, slots=True)
class Left:
    """What an attempt may use in all, with what it has used already; None for no limit."""

    steps: int | None
    tokens: int | None
    dollars: float | None


class RunLimits:
    """What is left of a run's limits while it works for one request.

    Attributes:
        context: The request's, with the end of the time for it.
    """

    def __init__(self, options: AutonomousOptions, run: Run, context: Context) -> None:
        deadline = context.deadline
        if options.seconds is not None:
            end = time.monotonic() + options.seconds
            deadline = end if deadline is None else min(end, deadline)
        self.context = replace(context, deadline=deadline)
        self._options = options
        self._run = run

    def asking(self) -> Context:
        """The context of a call, which may cost no more money than is left."""
        left = self._dollars_left()
        return self.context if left is None else replace(self.context, budget=left)

    def left(self, turn: Turn) -> Left:
        """What an attempt may use in all: what is left of the run, and what it has used already."""
        most, run = self._options, self._run
        steps = None if most.steps is None else max(1, most.steps - run.calls) + turn.steps
        tokens = None if most.tokens is None else max(1, most.tokens - _tokens(run)) + _tokens(turn)
        dollars = self._dollars_left()
        if dollars is not None:
            dollars = max(dollars, LEAST_DOLLARS) + self._cost(turn)
        return Left(steps, tokens, dollars)

    def spent(self) -> tuple[FinishReason, str] | None:
        """The limit that is reached; None while there is something left of each."""
        options, run = self._options, self._run
        deadline = self.context.deadline
        if deadline is not None and time.monotonic() >= deadline:
            return "deadline", f"The time for the request is over: {self.tally()}"
        if options.steps is not None and run.calls >= options.steps:
            return "budget", f"All of {options.steps} steps are used: {self.tally()}"
        tokens = _tokens(run)
        if options.tokens is not None and tokens >= options.tokens:
            return "budget", f"{tokens:,} of at most {options.tokens:,} tokens: {self.tally()}"
        most = self._most_dollars()
        if most is not None and self._cost(run) >= most:
            return "budget", f"${self._cost(run):.6g} of at most ${most:.6g}: {self.tally()}"
        return None

    def tally(self) -> str:
        """How far the run is, in a line."""
        run = self._run
        done = sum(task.state == "done" for task in run.tasks)
        given_up = sum(task.state == "given up" for task in run.tasks)
        return f"{done} tasks done, {given_up} given up, {run.revisions} revisions of the list."

    def _most_dollars(self) -> float | None:
        """The money for the run; None where there is no limit, or nobody knows the price."""
        both = self._options.dollars, self.context.budget
        given = [each for each in both if each is not None]
        return min(given) if given and self._options.price is not None else None

    def _dollars_left(self) -> float | None:
        most = self._most_dollars()
        return None if most is None else max(0.0, most - self._cost(self._run))

    def _cost(self, used: Run | Turn) -> float:
        price = self._options.price
        return (price(used.usage) or 0.0) if price is not None else 0.0


LEAST_DOLLARS = 1e-9
"""An attempt that begins has at least so much left."""


def _tokens(used: Run | Turn) -> int:
    return used.usage.prompt_tokens + used.usage.completion_tokens
