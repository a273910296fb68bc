"""The agent: an `LM` that calls tools by itself until it has an answer.

Model, tools, model, ...: the agent's own tools run inside and are seen as steps; calls of tools
that the request brings end the turn, as with any model. A call that needs the user's consent ends
it with the reason `approval`, and the next request, with the answer (`approvals`), goes on exactly
there. Everything that happens in a turn is a record of its journal, so nothing runs twice: not
when a request comes again, nor when the turn goes on after a crash.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeVar

from kataribe.base.abilities import check_abilities, messages_of
from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.events import Event
from kataribe.base.lm import LM, Capabilities, Request, Tool
from kataribe.use.agents.calling import Approve, CallTool, ToolRunner, always
from kataribe.use.agents.journal import Journal
from kataribe.use.agents.resuming import Going, as_unknown, going_on, take_answers
from kataribe.use.agents.turn import Turn
from kataribe.use.agents.turns import MemoryTurns, Turns, new_turn
from kataribe.use.agents.working import AgentLimits, Price, Worker, Working, shown_again

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How an agent works.

    Attributes:
        name: The name it is asked for by; None for its model's.
        approve: Says of each call of its own tools whether it runs.
        limits: What a turn may use.
        price: Of its model, for a limit of money.
        turns: Where turns that wait for somebody are kept.
    """

    name: str | None = None
    approve: Approve = always
    limits: AgentLimits = field(default_factory=AgentLimits)
    price: Price | None = None
    turns: Turns = field(default_factory=MemoryTurns)


class Agent:
    """A model with tools of its own.

    Args:
        lm: A model; where there are tools, raises `UnsupportedError` for one that calls none.
        tools: Its own tools.
        call: What runs one of them.
        options: See there.
    """

    def __init__(
        self, lm: LM, tools: Sequence[Tool], call: CallTool, options: AgentOptions | None = None
    ) -> None:
        self._options = options = options or AgentOptions()
        if tools and not lm.capabilities.tools:
            raise UnsupportedError(
                f"{lm.name} cannot call tools, so it cannot be an agent's model. Ask a model that "
                "can, or have it call them in text (InText, ReAct).",
                param="tools",
            )
        names = [tool.spec.name for tool in tools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"Two of the agent's tools are called {twice[0]!r}. Give each a name of its own.",
                param="tools",
            )
        if options.limits.dollars is not None and options.price is None:
            raise InputError(
                f"A limit of ${options.limits.dollars:g} needs the price of {lm.name}. Give it, "
                "or limit tokens.",
                param="price",
            )
        runner = ToolRunner(tools, call, options.limits.calls)
        specs = tuple(tool.spec for tool in tools)
        self._worker = Worker(lm, runner, specs, options.approve, options.limits, options.price)

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._options.name or self._worker.lm.name

    @property
    def capabilities(self) -> Capabilities:
        """Its model's, without what several steps cannot give."""
        return replace(self._worker.lm.capabilities, logprobs=False, raw_prompt=False)

    def within(
        self,
        *,
        steps: int | None = None,
        tokens: int | None = None,
        dollars: float | None = None,
    ) -> Agent:
        """The same agent, whose turns may use no more than this either; None for no limit.

        Money counts where the agent has a price for its model.
        """
        own = self._worker.limits
        limits = replace(
            own,
            steps=own.steps if steps is None else min(own.steps, steps),
            tokens=_least(own.tokens, tokens),
            dollars=_least(own.dollars, dollars),
        )
        other = copy.copy(self)
        other._worker = replace(self._worker, limits=limits)
        return other

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answers, or goes on with the turn whose calls the newest messages answer."""
        self._check(request)
        going = going_on(messages_of(request))
        if going is not None:
            with self._options.turns.open(going.turn, new=False) as journal:
                if journal is not None and _is_theirs(journal, request):
                    async with aclosing(self._work(request, journal, going.turn, going)) as events:
                        async for event in events:
                            yield event
                    return
            # Its turn is not known here, or somebody else's.
            prompt = as_unknown(messages_of(request), self._worker.own)
            request = replace(request, prompt=prompt)
        async with aclosing(self._fresh(request, new_turn())) as events:
            async for event in events:
                yield event

    async def work(
        self, request: Request, journal: Journal, turn: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """Works on the one turn that a journal of the caller's holds.

        An empty journal begins the turn. Otherwise it goes on where the journal ends, after a
        crash too, and what has a result in it is not run again; the request's messages count
        only for answers to calls that wait. `turn` is the id of one that begins.
        """
        self._check(request)
        going = going_on(messages_of(request))
        async with aclosing(self._work(request, journal, turn or new_turn(), going)) as events:
            async for event in events:
                yield event

    async def _fresh(self, request: Request, id_: str) -> AsyncGenerator[Event, None]:
        turns, keep = self._options.turns, False
        try:
            with turns.open(id_, new=True) as journal:
                assert journal is not None
                try:
                    async with aclosing(self._work(request, journal, id_, None)) as events:
                        async for event in events:
                            yield event
                finally:
                    keep = Turn(journal).was_handed_over
        finally:
            if not keep:
                turns.forget(id_)

    async def _work(
        self, request: Request, journal: Journal, id_: str, going: Going | None
    ) -> AsyncGenerator[Event, None]:
        turn = Turn(journal)
        if going is not None and going.turn != turn.id:
            going = None
        if not turn.id:
            await turn.begin(id_, request.context.user, messages_of(request))
        elif turn.is_over or (going is not None and going.ends < len(turn.shown)):
            newest = len(turn.shown) - 1
            for event in shown_again(turn, min(going.ends, newest) if going else newest):
                yield event
            return
        elif going is not None:
            await take_answers(turn, going, self._worker.own)
        async with aclosing(Working(self._worker, turn, request).events()) as events:
            async for event in events:
                yield event

    def _check(self, request: Request) -> None:
        check_abilities(self.name, self.capabilities, request)
        if request.n != 1:
            raise UnsupportedError(
                f"{self.name} is an agent and gives one reply at a time, but n is {request.n}. "
                "Leave out n, and ask again for another reply.",
                param="n",
            )
        if request.continue_last:
            raise UnsupportedError(
                f"{self.name} is an agent and cannot go on with an unfinished message. Leave out "
                "continue_last.",
                param="continue_last",
            )
        both = sorted(self._worker.own & {spec.name for spec in request.tools})
        if both:
            raise InputError(
                f"The request brings a tool {both[0]!r}, but {self.name} has one of that name "
                "itself. Give yours another name.",
                param="tools",
            )


def _least(*limits: _Number | None) -> _Number | None:
    return min((each for each in limits if each is not None), default=None)


def _is_theirs(journal: Journal, request: Request) -> bool:
    return Turn(journal).user == request.context.user
