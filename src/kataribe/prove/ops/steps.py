"""Steps of a technique or an agent, and what guards saw, as spans of their own.

A step lasts until the next one of the same choice, or until the call ends. What it used is what the
call has used meanwhile. Only its name is kept: its line may hold words of the answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from kataribe.base.events import Step
from kataribe.prove.ops.accounts import Account, new_id
from kataribe.prove.ops.ledger import Ledger, Span
from kataribe.prove.ops.spent import Spent, spent_of

GUARD = "guard"
"""The name of steps that tell what a guard saw."""

MOST = 256
"""Steps of one call that become spans, and that are remembered from calls inside."""


@dataclass(frozen=True, slots=True)
class _Open:
    name: str
    began: float
    start: float
    total: list[float]


class Steps:
    """Makes spans of the steps of one call; those that a recorded call inside told are its own."""

    __slots__ = ("_account", "_count", "_ledger", "_open")

    def __init__(self, account: Account, ledger: Ledger) -> None:
        self._account = account
        self._ledger = ledger
        self._open: dict[int, _Open] = {}
        self._count = 0

    def saw(self, event: Step) -> None:
        """Takes a step that comes by."""
        told = (event.name, event.detail)
        heard = self._account.heard
        if heard is not None and told in heard:
            heard.remove(told)
            return
        self._tell_around(told)
        self._count += 1
        if self._count > MOST:
            return
        begun = _Open(event.name, time.time(), time.perf_counter(), list(self._account.total))
        if event.name == GUARD:
            self._add(begun)
            return
        before = self._open.get(event.index)
        if before is not None:
            self._add(before)
        self._open[event.index] = begun

    def end(self) -> None:
        """The call is over, and with it the steps that still last."""
        for step in self._open.values():
            self._add(step)
        self._open.clear()

    def _tell_around(self, told: tuple[str, str]) -> None:
        for node in self._account.upwards():
            if node is self._account or not node.recorded:
                continue
            if node.heard is None:
                node.heard = set()
            if len(node.heard) < MOST:
                node.heard.add(told)

    def _add(self, step: _Open) -> None:
        account = self._account
        used = [now - then for now, then in zip(account.total, step.total, strict=True)]
        self._ledger.add(
            Span(
                id=new_id(64),
                parent=account.span,
                trace=account.trace,
                name=step.name,
                kind="guard" if step.name == GUARD else "step",
                user=None,
                conversation=None,
                began=step.began,
                queue=0.0,
                first=None,
                whole=time.perf_counter() - step.start,
                own=_NOTHING,
                total=spent_of(used),
                reason="stop",
            )
        )


_NOTHING = Spent()
