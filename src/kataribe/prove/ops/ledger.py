"""The ledger: spans of calls that have ended, as many as it has room for, and their tree."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from kataribe.base.errors import InputError
from kataribe.prove.ops.spent import Spent

Kind: TypeAlias = Literal["lm", "tool", "step", "guard"]


@dataclass(frozen=True, slots=True)
class Span:
    """A call that has ended. It holds no word of what was asked or answered.

    Attributes:
        id: 16 hexadecimal digits.
        parent: The span that caused it; None for what came from outside.
        trace: Id of all that one request from outside has caused, 32 hexadecimal digits.
        name: The model, technique, agent or tool.
        kind: What it is: a call of an `LM` or of a tool, a step of a technique or an agent, or
            what a guard saw.
        user: For whom.
        conversation: In which conversation.
        began: Seconds since 1970, for showing.
        queue: Seconds that it waited in a queue; 0 where nobody told of one.
        first: Seconds to the first word, thought or tool call; None without any.
        whole: Seconds to the end.
        own: What it used itself: in no other span.
        total: The same with everything that it caused.
        reason: How it ended: finish reasons (several choices: the first's), `closed` when whoever
            asked went away before the end, or `error`.
        error: The error's code.
        exact: The model said what it used. Else the amounts are what was known when it ended early,
            or estimates.
    """

    id: str
    parent: str | None
    trace: str
    name: str
    kind: Kind
    user: str | None
    conversation: str | None
    began: float
    queue: float
    first: float | None
    whole: float
    own: Spent
    total: Spent
    reason: str
    error: str | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Branch:
    """A span with what it caused, in the order of beginning."""

    span: Span
    inner: tuple[Branch, ...]


HOUR = 3600
NOTHING = Spent()


class Bill(NamedTuple):
    """When (an hour's beginning, seconds since 1970), for whom and by whom something was used."""

    hour: int
    user: str | None
    name: str

    @classmethod
    def of(cls, span: Span) -> Bill:
        """Where a span's amounts belong."""
        return cls(int(span.began // HOUR) * HOUR, span.user, span.name)


class Ledger:
    """Spans in memory. The oldest go when it is full; `total` goes on counting all.

    Whoever keeps spans elsewhere drains it now and then; safe to use from several threads.
    """

    def __init__(self, most: int = 10_000) -> None:
        if most < 1:
            raise InputError(f"A ledger for {most} spans holds none; give at least 1.")
        self.most = most
        self._spans: deque[Span] = deque()
        self._lock = threading.Lock()
        self._total = Spent()
        self._dropped = 0
        self._lost: dict[Bill, Spent] = {}

    @property
    def total(self) -> Spent:
        """What all spans have used that ever came, each amount once."""
        return self._total

    @property
    def dropped(self) -> int:
        """Spans that were lost because nobody drained the ledger in time."""
        return self._dropped

    def add(self, span: Span) -> None:
        """Takes a span in."""
        with self._lock:
            self._total += span.own
            if len(self._spans) >= self.most:
                gone = self._spans.popleft()
                self._dropped += 1
                key = Bill.of(gone)
                if gone.own != NOTHING and (key in self._lost or len(self._lost) < self.most):
                    self._lost[key] = self._lost.get(key, NOTHING) + gone.own
            self._spans.append(span)

    def spans(self) -> tuple[Span, ...]:
        """What is in it, in the order of ending."""
        with self._lock:
            return tuple(self._spans)

    def drain(self) -> tuple[Span, ...]:
        """Takes everything out."""
        with self._lock:
            spans = tuple(self._spans)
            self._spans.clear()
        return spans

    def drain_lost(self) -> dict[Bill, Spent]:
        """Takes out what dropped spans had used: the spans are lost, the money is not."""
        with self._lock:
            lost, self._lost = self._lost, {}
        return lost


def trees(spans: Sequence[Span]) -> tuple[Branch, ...]:
    """The spans by what caused them; one whose cause is not among them stands at the root."""
    known = {span.id for span in spans}
    below: dict[str | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.began):
        cause = span.parent if span.parent in known else None
        below.setdefault(cause, []).append(span)
    return tuple(_branch(span, below) for span in below.get(None, []))


def lines(branches: Sequence[Branch], depth: int = 0) -> Iterator[str]:
    """The trees as text, a line for each span with its totals."""
    for branch in branches:
        span = branch.span
        about = "" if span.exact else "about "
        first = "" if span.first is None else f", first after {span.first:.2f} s"
        kind = "" if span.kind == "lm" else f"{span.kind} "
        used = f"{_amounts(span.total, about)}, " if span.total != NOTHING else ""
        end = f", {span.error or span.reason}" if span.kind in ("lm", "tool") else ""
        yield f"{'  ' * depth}{kind}{span.name}: {used}{span.whole:.2f} s{first}{end}"
        yield from lines(branch.inner, depth + 1)


def _branch(span: Span, below: dict[str | None, list[Span]]) -> Branch:
    return Branch(span, tuple(_branch(one, below) for one in below.get(span.id, [])))


def _amounts(spent: Spent, about: str) -> str:
    cached = f" ({spent.cached_tokens} cached)" if spent.cached_tokens else ""
    dollars = f"${spent.dollars:.6f}" if not spent.unpriced else f"${spent.dollars:.6f} or more"
    return (
        f"{about}{spent.prompt_tokens}{cached} + {spent.completion_tokens} tokens in "
        f"{spent.steps} calls, {dollars}"
    )
