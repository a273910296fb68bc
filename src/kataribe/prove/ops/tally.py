"""Reading along: what a stream's events say of what the call uses and when."""

from __future__ import annotations

import time

from kataribe.base.abilities import messages_of
from kataribe.base.events import (
    Event,
    Finished,
    Progress,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import Request
from kataribe.base.messages import ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from kataribe.prove.ops.accounts import Account
from kataribe.prove.ops.spent import (
    CACHED,
    COMPLETION,
    DOLLARS,
    PROMPT,
    STEPS,
    UNPRICED,
    WRITTEN,
    Price,
)

BYTES_PER_TOKEN = 4
"""For models that do not say how many tokens they have drawn: about right for English words and,
at three bytes a character, not far off for Japanese. It stands only until the reply's end says."""


LOOKS = 64
"""See `Tally._next_look`."""

NEVER = 2**62


class Tally:
    """Reads one call's events into its account.

    Attributes:
        account: What it has used.
        first: Seconds from its beginning to the first word, thought or tool call; None before.
        queue: Seconds that it waited in a queue; 0 where the model tells of none.
        reasons: How its choices ended, by index.
        exact: Every choice said what it used. Else amounts are what was known, or estimates.
    """

    __slots__ = (
        "_began",
        "_charged",
        "_counts",
        "_drawn",
        "_next",
        "_price",
        "_prompt",
        "_queued",
        "_rates",
        "_request",
        "_unsaid",
        "_usages",
        "account",
        "exact",
        "first",
        "queue",
        "reasons",
    )

    def __init__(self, account: Account, request: Request, price: Price) -> None:
        self.account = account
        self.first: float | None = None
        self.queue = 0.0
        self.reasons: dict[int, str] = {}
        self.exact = False
        self._began = time.perf_counter()
        self._request = request
        self._price = price
        self._counts = [0] * request.n  # tokens that each choice has drawn
        self._drawn = 0  # the sum of them
        self._unsaid = 0  # bytes since a choice last told its count
        self._queued = False
        self._prompt = 0
        self._usages: dict[int, Usage] = {}
        self._charged = 0.0
        self._rates = self._live_rates()
        self._next = self._next_look(0)
        account.report(STEPS, 1)

    @property
    def whole(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    def used(self, index: int) -> Usage:
        """What a choice has used up to now; the prompt counts alike for each of them."""
        total = self.account.total
        alone = len(self._counts) == 1
        drawn = int(total[COMPLETION]) if alone else self._counts[index]
        return Usage(int(total[PROMPT]), drawn, int(total[CACHED]), int(total[WRITTEN]))

    def note(self, event: Event) -> None:
        """Reads an event."""
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta:
            self._drew(event.index, event.tokens, event.text)  # type: ignore[union-attr]
        elif kind is ToolCallDelta:
            self._drew(event.index, 0, event.arguments)  # type: ignore[union-attr]
        elif isinstance(event, Progress):
            self._waited(event)
        elif isinstance(event, Finished):
            self._ended(event)

    def end(self) -> None:
        """The stream is over: where choices have not said what they used, counts it so far."""
        if self.exact:
            return
        account = self.account
        known = [self._usages.get(index) for index in range(len(self._counts))]
        drawn = sum(
            count if usage is None else usage.completion_tokens
            for count, usage in zip(self._counts, known, strict=True)
        )
        if account.has_inner:  # the calls inside know better than an estimate here
            account.report(COMPLETION, drawn)
        else:
            estimate = drawn + -(-self._unsaid // BYTES_PER_TOKEN)
            account.report(COMPLETION, estimate)
            if not self._prompt and (estimate or self.first is not None):
                account.report(PROMPT, _estimate(self._request))
        self._settle()

    def _drew(self, index: int, tokens: int, text: str) -> None:
        if self.first is None:
            self.first = self.whole
            if self._queued:
                self._queued, self.queue = False, self.first
        if tokens:
            grown = tokens - self._counts[index]
            if grown <= 0:
                return
            self._counts[index] = tokens
            self._drawn += grown
            self._unsaid = 0
        else:
            self._unsaid += len(text) if text.isascii() else 3 * len(text)
        drawn = self._drawn + self._unsaid // BYTES_PER_TOKEN
        if drawn >= self._next:
            self._report(drawn)

    def _report(self, drawn: int) -> None:
        """Says to limits around how much it has drawn."""
        account = self.account
        if account.has_inner:  # the calls inside say it themselves, and better
            self._next = NEVER
            return
        before = account.total[COMPLETION]
        account.report(COMPLETION, drawn)
        if self._rates is not None:
            self._charge((account.total[COMPLETION] - before) * self._rates[1])
        self._next = self._next_look(drawn)

    def _next_look(self, drawn: int) -> int:
        """At how many tokens limits are told again: the nearer the limit, the sooner.

        A 64th of what is left goes unsaid at most, so that others who share it learn of it in time
        and the last tokens are told one by one.
        """
        least: float = NEVER
        for node in self.account.upwards():
            allowance = node.allowance
            if allowance is None:
                continue
            if allowance.tokens is not None:
                least = min(least, allowance.tokens - node.total[PROMPT] - node.total[COMPLETION])
            if allowance.dollars is not None and self._rates is not None and self._rates[1]:
                least = min(least, (allowance.dollars - node.total[DOLLARS]) / self._rates[1])
        return NEVER if least == NEVER else drawn + max(1, int(least / LOOKS))

    def _waited(self, event: Progress) -> None:
        if event.stage == "queued":
            self._queued = True
        elif self._queued:
            self._queued = False
            self.queue = self.whole
        if event.stage == "reading" and event.done > self._prompt:
            if self._rates is not None:
                self._charge((event.done - self._prompt) * self._rates[0])
            self._prompt = event.done
            self.account.report(PROMPT, event.done)

    def _ended(self, event: Finished) -> None:
        self.reasons[event.index] = event.reason
        usage = self._usages[event.index] = event.usage
        self._counts[event.index] = usage.completion_tokens
        account = self.account
        account.report(PROMPT, max(one.prompt_tokens for one in self._usages.values()))
        account.report(CACHED, max(one.cached_tokens for one in self._usages.values()))
        account.report(WRITTEN, max(one.cache_write_tokens for one in self._usages.values()))
        self._drawn = sum(self._counts)
        self._unsaid = 0
        account.report(COMPLETION, self._drawn)
        if len(self._usages) == len(self._counts):
            self.exact = True
            self._settle()

    def _settle(self) -> None:
        """Charges exactly for what no inner call has charged for."""
        own = self.account.unaccounted()
        if self.account.has_inner and not own.prompt_tokens and not own.completion_tokens:
            self._charge(-self._charged)
            return
        dollars = self._price(own)
        if dollars is None:
            if own.prompt_tokens or own.completion_tokens:
                self.account.charge(UNPRICED, 1)
        else:
            self._charge(dollars - self._charged)

    def _charge(self, dollars: float) -> None:
        self._charged += dollars
        self.account.charge(DOLLARS, dollars)

    def _live_rates(self) -> tuple[float, float] | None:
        """Dollars per token read and drawn, to charge while it speaks; only under a limit.

        Prices may have steps; the end charges exactly.
        """
        for node in self.account.upwards():
            if node.allowance is not None and node.allowance.dollars is not None:
                read, both = self._price(Usage(1000, 0)), self._price(Usage(1000, 1000))
                if read is None or both is None:
                    return 0.0, 0.0
                return read / 1000, (both - read) / 1000  # nobody prices a prompt of no tokens
        return None


def _estimate(request: Request) -> int:
    """About how many tokens a prompt has."""
    if isinstance(request.prompt, str):
        return -(-len(request.prompt.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
    messages = messages_of(request)
    if not messages:
        return len(request.prompt)
    size = 0
    for message in messages:
        for part in message.parts:
            if isinstance(part, TextPart | ReasoningPart):
                size += len(part.text.encode("utf-8", "replace"))
            elif isinstance(part, ToolCallPart):
                size += len(part.arguments.encode("utf-8", "replace"))
            elif isinstance(part, ToolResultPart):
                size += len(part.content.encode("utf-8", "replace"))
    return -(-size // BYTES_PER_TOKEN)
