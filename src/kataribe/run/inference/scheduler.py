"""Decides what the next step computes (continuous batching; Yu et al. 2022, Orca).

1. Every running reply gets its next token: decode first, all of them, so that all streams are
   equally fast.
2. What is left of the step's time reads prompts in chunks (Agrawal et al. 2024, Sarathi-Serve):
   half for the prompt that came first, so that it cannot starve, half for the one with the least
   left to read, so that a question does not wait behind a book.
3. Who waits is let in by order of arrival, when the cache has room for the whole prompt.
4. When blocks run out, the latest arrival loses its blocks and is computed again later. The
   oldest is never preempted, so something always moves on.

Whether a lost sequence finds its blocks again, and whether choices of one prompt share them, is
the pool's to know: without `Runner.reuses_prefixes` they do not, and reading begins at 0.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from kataribe.run.inference.blocks import BlockPool
from kataribe.run.inference.pace import Pace
from kataribe.run.inference.requests import EngineLimits
from kataribe.run.inference.sequence import Sequence
from kataribe.run.inference.step import Logits, Slice, StepBatch


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """A step and whose it is: `sequences[i]` owns `batch.slices[i]`.

    `replies` counts slices of one token, `read` the tokens of the others.
    """

    batch: StepBatch
    sequences: tuple[Sequence, ...]
    replies: int
    read: int


@dataclass(slots=True)
class Counters:
    """What happened since the start, in tokens and times."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    computed_tokens: int = 0
    preempted: int = 0


class Scheduler:
    """Holds running and waiting sequences. Not safe for use from several threads.

    Args:
        pool: The cache's blocks.
        limits: How much at once.
        pace: How many prompt tokens fit beside running replies.
        vocab_size: Columns of the logits, which bounds how many prompt tokens are scored at once.
    """

    def __init__(self, pool: BlockPool, limits: EngineLimits, pace: Pace, vocab_size: int) -> None:
        self.pool = pool
        self.counters = Counters()
        self._limits = limits
        self._pace = pace
        self._most_scored = max(1, limits.logits_bytes // (4 * vocab_size))
        self._growth = max(1, pool.capacity // 16) * pool.block_size
        self._running: list[Sequence] = []  # both in order of arrival
        self._waiting: list[Sequence] = []

    @property
    def running(self) -> int:
        """Sequences that have a place."""
        return len(self._running)

    @property
    def waiting(self) -> tuple[Sequence, ...]:
        """Sequences that wait for a place, the next one first."""
        return tuple(self._waiting)

    @property
    def waiting_count(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Takes a sequence that has no blocks yet."""
        insort(self._waiting, sequence, key=_order)

    def fork(self, parent: Sequence, child: Sequence) -> list[tuple[int, int]]:
        """Takes a child whose tokens so far are the parent's computed ones and perhaps one more.

        Returns the block copies to be made before the next step. Without a free block or place
        the child waits, and is computed anew from what of the prompt is in the cache.
        """
        forked = None
        if len(self._running) < self._limits.running:
            forked = self.pool.fork(parent.table, parent.computed)
        if forked is None:
            self.add(child)
            return []
        child.table, copies = forked
        child.computed = parent.computed
        self._enter(child)
        return copies

    def remove(self, sequence: Sequence) -> None:
        """Takes a sequence out, whatever it was doing, and frees its blocks at once."""
        self.pool.release(sequence.table)
        (self._running if sequence.is_running else self._waiting).remove(sequence)
        sequence.is_running = False

    def next_step(self) -> ScheduledStep | None:
        """What to compute now; None if nobody wants anything."""
        while True:
            self._admit()
            grants = self._decodes()
            replies = len(grants)
            self._read(grants, replies)
            if grants:
                return self._step(grants, replies)
            if not self._running:
                return None
            # Only prompts are left, each waiting for blocks that the others hold.
            self._preempt(self._running[-1])

    def completed(self, step: ScheduledStep) -> None:
        """Takes note that a step has been computed, for those that are still here."""
        for sequence, part in zip(step.sequences, step.batch.slices, strict=True):
            if not sequence.is_running:
                continue
            sequence.computed = part.start + len(part.ids)
            sequence.scored = max(sequence.scored, min(sequence.computed, sequence.prompt_length))
            self.pool.commit(sequence.table, sequence.tokens, sequence.computed)
        self.counters.computed_tokens += step.read

    def _admit(self) -> None:
        reading = sum(sequence.is_reading for sequence in self._running)
        while self._waiting and len(self._running) < self._limits.running:
            sequence = self._waiting[0]
            if reading >= self._limits.prefilling:
                return
            found = self.pool.match(sequence.table, sequence.tokens, sequence.reuse_limit)
            if self._running and not self._has_room(sequence, found):
                return
            self._begin(self._waiting.pop(0), found)
            reading += sequence.is_reading

    def _has_room(self, sequence: Sequence, found: list[int]) -> bool:
        """Whether the whole of it fits beside what the running ones are sure to need."""
        pool = self.pool
        need = pool.blocks_for(len(sequence) + 1) - len(found) + pool.unused(found)
        promised = sum(
            max(0, pool.blocks_for(len(other) + 1) - len(other.table.blocks))
            for other in self._running
        )
        # A block for each running reply, or it would be let in only to be thrown out again.
        headroom = min(len(self._running), pool.capacity // 8)
        return need + promised + headroom <= pool.free

    def _begin(self, sequence: Sequence, found: list[int]) -> None:
        self.pool.attach(sequence.table, found)
        sequence.computed = len(found) * self.pool.block_size
        if not sequence.started:
            sequence.started = True
            sequence.cached = min(sequence.computed, sequence.prompt_length)
            self.counters.prompt_tokens += sequence.prompt_length
            self.counters.cached_tokens += sequence.cached
        self._enter(sequence)

    def _enter(self, sequence: Sequence) -> None:
        sequence.is_running = True
        insort(self._running, sequence, key=_order)

    def _decodes(self) -> dict[Sequence, int]:
        """One token for every reply that runs, the oldest first."""
        grants: dict[Sequence, int] = {}
        for sequence in tuple(self._running):  # the loop may preempt some of them
            if not sequence.is_reading and sequence.is_running and self._secure(sequence):
                grants[sequence] = 1
        return grants

    def _secure(self, sequence: Sequence) -> bool:
        """Blocks for its newest token, taken from later arrivals if need be."""
        while not self._grow(sequence, len(sequence)):
            victim = self._running[-1]
            self._preempt(victim)
            if victim is sequence:
                return False
        return True

    def _grow(self, sequence: Sequence, tokens: int) -> bool:
        growth = max(0, min(sequence.plan.end - tokens, self._growth))
        return self.pool.grow(sequence.table, tokens, growth)

    def _preempt(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        sequence.is_running = False
        self.pool.release(sequence.table)
        sequence.computed = 0
        self.counters.preempted += 1
        insort(self._waiting, sequence, key=_order)

    def _read(self, grants: dict[Sequence, int], replies: int) -> None:
        """Adds chunks of prompts to a step."""
        reading = [sequence for sequence in self._running if sequence.is_reading]
        left = self._pace.budget(replies)
        for sequence, share in _shares(reading, left):
            chunk = self._chunk(sequence, min(share, sequence.remaining))
            if chunk > 0:
                grants[sequence] = chunk

    def _chunk(self, sequence: Sequence, wanted: int) -> int:
        """As many of the wanted tokens as have, or now get, a place in the cache."""
        start, pool = sequence.computed, self.pool
        if sequence.wants_scores(start):
            wanted = min(wanted, self._most_scored, sequence.prompt_length - start)
        elif sequence.plan.scores and start < sequence.scored:
            wanted = min(wanted, sequence.scored - start)  # what comes before needs no logits
        room = (len(sequence.table.blocks) + pool.free) * pool.block_size - start
        chunk = min(wanted, room)
        if chunk > 0:
            # Hold places for all of the prompt, so that its chunks come to lie side by side.
            ahead = len(sequence) - start - chunk
            growth = ahead + max(0, min(sequence.plan.end - len(sequence), self._growth))
            pool.grow(sequence.table, start + chunk, growth)
        return chunk

    def _step(self, grants: dict[Sequence, int], replies: int) -> ScheduledStep:
        slices = tuple(_slice(sequence, chunk) for sequence, chunk in grants.items())
        read = sum(grants.values()) - replies
        batch = StepBatch(slices, self.pool.take_gone())
        return ScheduledStep(batch, tuple(grants), replies, read)


def _order(sequence: Sequence) -> tuple[int, int]:
    return sequence.order


def _shares(reading: list[Sequence], budget: int) -> list[tuple[Sequence, int]]:
    """Divides a budget of tokens: half for the oldest, the rest for whoever is done soonest."""
    if not reading:
        return []
    oldest, *others = reading
    first = min(oldest.remaining, budget if not others else (budget + 1) // 2)
    left = budget - first
    shares: list[tuple[Sequence, int]] = []
    for sequence in sorted(others, key=lambda other: other.remaining):
        share = min(sequence.remaining, left)
        if share:
            shares.append((sequence, share))
            left -= share
    return [(oldest, first + min(left, oldest.remaining - first)), *shares]


def _slice(sequence: Sequence, chunk: int) -> Slice:
    start, end = sequence.computed, sequence.computed + chunk
    logits: Logits = "last" if end == len(sequence) else "none"
    if sequence.wants_scores(start):
        logits = "all"
    blocks = tuple(sequence.table.blocks)
    return Slice(sequence.tokens[start:end], start, blocks, logits, sequence.plan.source)
