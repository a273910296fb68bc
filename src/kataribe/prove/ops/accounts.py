"""Accounts: what a running call and everything it causes have used up to now.

Accounts form a tree by a context variable, so that a call inside a technique, an agent or a tool
finds the account of what caused it, in whatever task it runs. A technique's reply tells its whole
usage, its inner calls included, and those have accounts of their own; so an account holds the
greater of what its call reports and what its inner calls add up to, and nothing counts twice.

Money is never reported, only added up: each call charges for the tokens that no inner call has
accounted for.
"""

from __future__ import annotations

import contextvars
import random
import re
from collections.abc import Callable, Iterator
from typing import Literal

from kataribe.base.events import Usage
from kataribe.prove.ops.spent import CACHED, COMPLETION, DOLLARS, KINDS, PROMPT, STEPS, WRITTEN

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class Allowance:
    """What a call and everything it causes may use; `reason` is set once that is spent.

    Attributes:
        steps: Most calls of models.
        tokens: Most tokens, read and drawn together.
        dollars: Most money.
        deadline: `time.monotonic()` seconds; None for no end.
        late: What to say when it has passed.
        reason: Why nothing more may be spent; None while there is something left.
        detail: The same in a line, with the value and the limit.
        listeners: Called at once when it is spent, from inside whatever call spent the last.
        has_cut: A call inside was ended or refused because of it.
    """

    __slots__ = (
        "deadline",
        "detail",
        "dollars",
        "has_cut",
        "late",
        "listeners",
        "reason",
        "steps",
        "tokens",
    )

    def __init__(
        self,
        steps: int | None = None,
        tokens: int | None = None,
        dollars: float | None = None,
        deadline: float | None = None,
    ) -> None:
        self.steps = steps
        self.tokens = tokens
        self.dollars = dollars
        self.deadline = deadline
        self.late = "The time for the request is over."
        self.has_cut = False
        self.reason: Literal["budget", "deadline"] | None = None
        self.detail = ""
        self.listeners: list[Callable[[], None]] = []

    @property
    def limits(self) -> bool:
        """Whether it limits anything."""
        return (self.steps, self.tokens, self.dollars, self.deadline) != (None,) * 4

    def look(self, total: list[float]) -> None:
        """Compares what was used with what may be."""
        if self.reason is not None:
            return
        tokens = total[PROMPT] + total[COMPLETION]
        if self.steps is not None and total[STEPS] > self.steps:
            self.end("budget", f"A limit of {self.steps} model calls: all of them were made.")
        elif self.tokens is not None and tokens >= self.tokens:
            self.end("budget", f"A limit of {self.tokens:,} tokens: {tokens:,.0f} were used.")
        elif self.dollars is not None and total[DOLLARS] > self.dollars:
            used = f"${total[DOLLARS]:.6g} was spent"
            self.end("budget", f"A limit of ${self.dollars:.6g}: {used}.")

    def end(self, reason: Literal["budget", "deadline"], detail: str) -> None:
        """Nothing more may be spent."""
        if self.reason is not None:
            return
        self.reason, self.detail = reason, detail
        for told in self.listeners:
            told()


class Account:
    """What one running call has used, with everything inside it.

    Attributes:
        parent: The account of what caused it.
        allowance: What may be used, where there is a limit.
        recorded: The ledger has a span of it. Those that only hold limits have none.
        trace: Id of all that one request from outside has caused, 32 hexadecimal digits.
        span: Id of the nearest recorded call from here up, 16 hexadecimal digits.
        total: Amounts by `spent`'s places.
        heard: Steps that a recorded call inside told, until they come by here; see `steps`.
    """

    __slots__ = (
        "_counted",
        "_inside",
        "_open",
        "_reported",
        "_under",
        "allowance",
        "heard",
        "parent",
        "parent_span",
        "recorded",
        "span",
        "total",
        "trace",
    )

    def __init__(
        self,
        parent: Account | None,
        *,
        recorded: bool = True,
        allowance: Allowance | None = None,
        traceparent: str | None = None,
    ) -> None:
        self.parent = parent
        self.allowance = allowance
        self.recorded = recorded
        self.trace, self.parent_span = _place_in_trace(parent, traceparent)
        self.span = new_id(64) if recorded else self.parent_span
        self.total: list[float] = [0] * KINDS
        self.heard: set[tuple[str, str]] | None = None
        self._reported: list[float] = [0] * KINDS
        self._inside: list[float] = [0] * KINDS
        self._under: list[float] = [0] * KINDS  # what recorded calls inside have in their spans
        self._counted: list[float] | None = None  # so much a call around it has counted as inside
        self._open: set[Account] = set()
        if parent is not None:
            parent._open.add(self)

    @property
    def traceparent(self) -> str:
        """As W3C Trace Context writes it, for what this call causes elsewhere."""
        return f"00-{self.trace}-{self.span or '0' * 16}-01"

    @property
    def has_inner(self) -> bool:
        """Calls inside it have used something."""
        return self._inside[STEPS] > 0

    def report(self, place: int, value: float) -> None:
        """The call says that it has used so much, everything inside it included."""
        node: Account = self
        node._reported[place] = value
        while True:
            inside, total = node._inside[place], node.total
            now = max(inside, value)
            delta = now - total[place]
            if not delta:
                return
            total[place] = now
            if node.allowance is not None:
                node.allowance.look(total)
            if node.parent is None:
                return
            node = node.parent
            node._inside[place] += delta
            value = node._reported[place]

    def charge(self, place: int, amount: float) -> None:
        """Adds money (or calls without a price) here and to everything around."""
        if not amount:
            return
        for node in self.upwards():
            node.total[place] += amount
            if node.allowance is not None:
                node.allowance.look(node.total)

    def unaccounted(self) -> Usage:
        """The tokens that the call has reported and no call inside it."""
        prompt, drawn, cached, written = (
            max(0, int(self._reported[at] - self._inside[at]))
            for at in (PROMPT, COMPLETION, CACHED, WRITTEN)
        )
        cached = min(cached, prompt)
        return Usage(prompt, drawn, cached, min(written, prompt - cached))

    def upwards(self) -> Iterator[Account]:
        """This account, the one around it, and so on."""
        node: Account | None = self
        while node is not None:
            yield node
            node = node.parent

    def close(self) -> list[float]:
        """The call has ended; gives what it used itself: not in the span of any inner call.

        What still runs inside it (a task that nobody waited for) goes on under what is around.
        """
        above = self.parent
        for child in self._open:
            if self.recorded:
                _add(self._under, child._uncounted())
                child._counted = list(child.total)
            child.parent = above
            if above is not None:
                above._open.add(child)
        self._open.clear()
        if above is not None:
            above._open.discard(self)
        if not self.recorded:
            return self.total
        for node in self.upwards():
            if node is not self and node.recorded:
                _add(node._under, self._uncounted())
                break
        return [total - under for total, under in zip(self.total, self._under, strict=True)]

    def _uncounted(self) -> list[float]:
        if self._counted is None:
            return self.total
        return [now - then for now, then in zip(self.total, self._counted, strict=True)]


current: contextvars.ContextVar[Account | None] = contextvars.ContextVar(
    "kataribe_account", default=None
)
"""The account of the innermost call that runs here."""


def _place_in_trace(parent: Account | None, traceparent: str | None) -> tuple[str, str | None]:
    """The trace, and the span that caused this."""
    if parent is not None:
        return parent.trace, parent.span
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return (found[1], found[2]) if found else (new_id(128), None)


_ids = random.Random()


def new_id(bits: int) -> str:
    """A random id of so many bits, in hexadecimal digits."""
    return f"{_ids.getrandbits(bits):0{bits // 4}x}"


def _add(to: list[float], amounts: list[float]) -> None:
    for place, amount in enumerate(amounts):
        to[place] += amount
