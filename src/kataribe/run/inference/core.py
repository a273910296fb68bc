"""What the engine does in its thread, without the thread: take, step, end, fail.

Everything here is called from one thread and never waits but for the runner.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from kataribe.base.errors import KataribeError, UnavailableError
from kataribe.base.events import FinishReason, Progress, TokenLogprob
from kataribe.run.inference.blocks import BlockPool
from kataribe.run.inference.constraint import TokenSource
from kataribe.run.inference.generation import Choice, Generation
from kataribe.run.inference.mailbox import Mailbox, Post
from kataribe.run.inference.pace import Pace
from kataribe.run.inference.requests import (
    EngineLimits,
    EngineMetrics,
    Generated,
    PromptRows,
    PromptScored,
)
from kataribe.run.inference.sampler import Row, largest, log_normalizer
from kataribe.run.inference.scheduler import ScheduledStep, Scheduler
from kataribe.run.inference.sequence import Sequence
from kataribe.run.inference.step import Runner, Slice, StepBatch

log = logging.getLogger("kataribe.engine")

RUNNER_FAILURES = (
    KataribeError,
    RuntimeError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    MemoryError,
    OSError,
)
"""What computing or drawing a reply may raise; it then fails for that request only."""

_QUEUE_REPORT_SECONDS = 0.25


class Core:
    """Runs requests over a runner.

    Args:
        runner: Computes logits.
        tokens: The tokenizer, for the text of log-probabilities.
        limits: How much at once.
        on_start: Called when a request has got its first place, or ends without one.
        on_end: Called when a request has ended, after `on_start`.
    """

    def __init__(
        self,
        runner: Runner,
        tokens: TokenSource,
        limits: EngineLimits,
        on_start: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self.pool = BlockPool(runner.blocks, runner.block_size, runner.reuses_prefixes)
        self.pace = Pace(limits)
        self.scheduler = Scheduler(self.pool, limits, self.pace, runner.vocab_size)
        self.post = Post()
        self._runner, self._tokens = runner, tokens
        self._vocab = min(runner.vocab_size, tokens.vocab_size)
        self._on_start, self._on_end = on_start, on_end
        self._generations: dict[Mailbox, Generation] = {}
        self._choices: dict[Sequence, Choice] = {}
        self._texts: dict[int, tuple[str, bytes]] = {}
        self._totals = dict.fromkeys(("requests", "finished", "cancelled", "failed", "steps"), 0)
        self._drawn, self._step_seconds = 0, 0.0
        self._busy_seconds, self._next_report = 0.0, 0.0
        self.latest = self.metrics()

    @property
    def is_idle(self) -> bool:
        """Nobody wants anything."""
        return not self._generations

    def accept(self, generation: Generation) -> None:
        """Takes a request."""
        self._totals["requests"] += 1
        self._generations[generation.mailbox] = generation
        self._add(generation.choices[0])

    def give_up(self, generation: Generation) -> None:
        """Drops a request whose asker has gone; nothing is said any more."""
        if generation.is_open:
            self._totals["cancelled"] += 1
            self._drop(generation)

    def fail(self, generation: Generation, error: KataribeError) -> None:
        """Ends a request with an error."""
        if generation.is_open:
            self._totals["failed"] += 1
            self._drop(generation)
            self.post.close(generation.mailbox, error)

    def fail_all(self, error: KataribeError) -> None:
        """Ends every request with an error."""
        for generation in tuple(self._generations.values()):
            self.fail(generation, error)
        self.deliver()

    def end_all(self, reason: FinishReason, detail: str) -> None:
        """Closes every reply where it stands."""
        for generation in tuple(self._generations.values()):
            self._end_open(generation, reason, detail)
        self.deliver()

    def deliver(self) -> None:
        """Sends what has been gathered; `latest` is up to date before anybody reads of it."""
        self.latest = self.metrics()
        for mailbox in self.post.send():
            generation = self._generations.get(mailbox)
            if generation is not None:
                self.give_up(generation)

    def step(self) -> bool:
        """Computes one step; False if there was nothing to compute.

        Raises:
            UnavailableError: The runner is gone for good.
        """
        began = time.monotonic()
        self._expire(began)
        scheduled = self.scheduler.next_step()
        if scheduled is None:
            self.deliver()
            return False
        self._mark_started(scheduled)
        self._report_queue(began)
        outputs = self._run(scheduled)
        self.scheduler.completed(scheduled)
        for sequence, part, rows in zip(
            scheduled.sequences, scheduled.batch.slices, outputs, strict=True
        ):
            if rows is not None and sequence in self._choices:
                self._take(self._choices[sequence], part, rows)
        self._measure(scheduled, time.monotonic() - began)
        self.deliver()
        return True

    def metrics(self) -> EngineMetrics:
        """How things stand now."""
        counters = self.scheduler.counters
        return EngineMetrics(
            running=self.scheduler.running,
            waiting=self.scheduler.waiting_count,
            blocks=self.pool.capacity,
            blocks_used=self.pool.used,
            blocks_reusable=self.pool.reusable,
            block_size=self.pool.block_size,
            prompt_tokens=counters.prompt_tokens,
            cached_tokens=counters.cached_tokens,
            computed_tokens=counters.computed_tokens,
            generated_tokens=self._drawn,
            step_seconds=self._step_seconds,
            busy_seconds=self._busy_seconds,
            preempted=counters.preempted,
            chunk=self.pace.budget(self.scheduler.running),
            **self._totals,
        )

    def _add(self, choice: Choice) -> None:
        self._choices[choice.sequence] = choice
        self.scheduler.add(choice.sequence)

    def _drop(self, generation: Generation) -> None:
        generation.is_open = False
        for choice in generation.choices:
            self._leave(choice)
        del self._generations[generation.mailbox]
        self._start(generation)
        self._on_end()

    def _leave(self, choice: Choice) -> None:
        choice.is_open = False
        if self._choices.pop(choice.sequence, None) is not None:
            self.scheduler.remove(choice.sequence)

    def _start(self, generation: Generation) -> None:
        if not generation.is_started:
            generation.is_started = True
            self._on_start()

    def _mark_started(self, scheduled: ScheduledStep) -> None:
        for sequence in scheduled.sequences:
            self._start(self._choices[sequence].generation)

    def _expire(self, now: float) -> None:
        for generation in tuple(self._generations.values()):
            deadline = generation.request.deadline
            if deadline is not None and deadline <= now:
                self._end_open(generation, "deadline", "The request's time was over.")

    def _report_queue(self, now: float) -> None:
        """Tells those who wait their place: at once when new, then a few times a second."""
        places_may_move = now >= self._next_report
        if places_may_move:
            self._next_report = now + _QUEUE_REPORT_SECONDS
        waiting = [
            self._choices[sequence].generation
            for sequence in self.scheduler.waiting
            if not sequence.started and sequence.order[1] == 0
        ]
        for place, generation in enumerate(waiting, start=1):
            known = generation.reported
            if known == 0 or (places_may_move and known != place):
                generation.reported = place
                self.post.add(generation.mailbox, Progress("queued", place, len(waiting)))

    def _run(self, scheduled: ScheduledStep) -> list[list[Row] | None]:
        """Logits of each slice; None where it failed, and its request with it."""
        try:
            return self._checked(scheduled.batch)
        except UnavailableError:
            raise
        except RUNNER_FAILURES as error:
            if len(scheduled.sequences) == 1:
                self._fail_sequence(scheduled.sequences[0], error)
                return [None]
        outputs: list[list[Row] | None] = []  # one after the other, to find whose fault it is
        for sequence, part in zip(scheduled.sequences, scheduled.batch.slices, strict=True):
            if sequence not in self._choices:  # another choice of its request has failed
                outputs.append(None)
                continue
            try:
                outputs += self._checked(StepBatch((part,)))
            except UnavailableError:
                raise
            except RUNNER_FAILURES as error:
                self._fail_sequence(sequence, error)
                outputs.append(None)
        return outputs

    def _checked(self, batch: StepBatch) -> list[list[Row] | None]:
        outputs = self._runner.run(batch)
        wanted = [
            {"none": 0, "last": 1, "all": len(part.ids)}[part.logits] for part in batch.slices
        ]
        if [len(rows) for rows in outputs] != wanted:
            raise KataribeError(
                f"The runner gave {[len(rows) for rows in outputs]} rows of logits where "
                f"{wanted} were asked for."
            )
        return [list(rows) for rows in outputs]

    def _fail_sequence(self, sequence: Sequence, error: BaseException) -> None:
        self._fail(self._choices[sequence].generation, error)

    def _fail(self, generation: Generation, error: BaseException) -> None:
        if isinstance(error, KataribeError):
            failure = error
        else:
            log.error("A reply failed; the others go on.", exc_info=error)
            failure = KataribeError(
                f"Computing this reply failed: {type(error).__name__}: {error}. Other replies "
                "were not touched; try again, and load the model anew if it fails again."
            )
        self.fail(generation, failure)

    def _take(self, choice: Choice, part: Slice, rows: list[Row]) -> None:
        """Uses what a step computed for one choice."""
        try:
            self._use(choice, part, rows)
        except RUNNER_FAILURES as error:
            self._fail(choice.generation, error)

    def _use(self, choice: Choice, part: Slice, rows: list[Row]) -> None:
        generation, sequence = choice.generation, choice.sequence
        is_prompt = choice.drawn == 0
        if is_prompt:
            done = min(sequence.computed, sequence.prompt_length)
            self.post.add(
                generation.mailbox, Progress("reading", done, sequence.prompt_length, choice.index)
            )
            if part.logits == "all":
                self._score(choice, part, rows)
        if sequence.remaining:
            return
        if is_prompt and generation.request.scores_prompt:
            self.post.add(generation.mailbox, PromptScored(tuple(generation.scores)))
        if generation.request.score_only:
            self._end(choice, "stop")
            return
        if is_prompt and choice.index == 0 and generation.request.n > 1:
            self._fork(choice, rows[-1])
        if choice.is_open:
            self._draw(choice, rows[-1])

    def _fork(self, parent: Choice, row: Row) -> None:
        """Lets the other choices draw their first token too, and go on beside the first."""
        copies: list[tuple[int, int]] = []
        for child in parent.generation.fork():
            self._draw(child, row)
            if child.is_open:
                self._choices[child.sequence] = child
                copies += self.scheduler.fork(parent.sequence, child.sequence)
        if not copies:
            return
        try:
            self._runner.copy_blocks(copies)
        except RUNNER_FAILURES as error:
            self._fail_sequence(parent.sequence, error)

    def _draw(self, choice: Choice, logits: Row) -> None:
        """Draws a token and says what follows from it."""
        mailbox = choice.generation.mailbox
        token = choice.draw(logits[: self._vocab])
        self._drawn += 1
        if choice.has_ended:
            self.post.add(mailbox, Generated(choice.index, (token,), ""))
        else:
            alternatives = choice.generation.request.logprobs
            logprob = None if alternatives is None else self._logprob(logits, token, alternatives)
            text, logprobs = choice.text.push(token, logprob, may_stop=choice.may_stop)
            self.post.add(mailbox, Generated(choice.index, (token,), text, logprobs))
        ending = choice.ending()
        if ending is not None:
            self._end(choice, *ending)

    def _score(self, choice: Choice, part: Slice, rows: list[Row]) -> None:
        """Keeps the log-probabilities of the prompt tokens that come after these positions."""
        generation, request = choice.generation, choice.generation.request
        if request.rows:
            shown = PromptRows(part.start, tuple(row[: self._vocab] for row in rows), choice.index)
            self.post.add(generation.mailbox, shown)
            return
        if not generation.scores and request.score_from == 0:
            generation.scores.append(self._named(request.ids[0], None))
        for place, row in enumerate(rows, start=part.start + 1):
            if request.score_from <= place < len(request.ids):
                token, others = request.ids[place], request.logprobs or 0
                generation.scores.append(self._logprob(row, token, others))

    def _logprob(self, row: Row, token: int, alternatives: int) -> TokenLogprob:
        """Under the model's own distribution: before penalties, constraint and temperature."""
        normalizer = log_normalizer(row)
        top = tuple(
            self._named(int(other), float(row[other]) - normalizer)
            for other in (largest(row, alternatives) if alternatives else ())
        )
        return self._named(token, float(row[token]) - normalizer, top)

    def _named(
        self, token: int, logprob: float | None, top: tuple[TokenLogprob, ...] = ()
    ) -> TokenLogprob:
        known = self._texts.get(token)
        if known is None:
            raw = self._tokens.token_bytes(token)
            known = self._texts[token] = (raw.decode("utf-8", "replace"), raw)
        return TokenLogprob(token, known[0], known[1], logprob, top)

    def _end(
        self,
        choice: Choice,
        reason: FinishReason,
        stop: str | int | None = None,
        detail: str = "",
    ) -> None:
        generation = choice.generation
        text, logprobs = choice.text.finish(cut=reason != "stop")
        if choice.text.stop is not None and reason != "stop":
            reason, stop = "stop", choice.text.stop  # the last held-back character completed it
        if text or logprobs:
            self.post.add(generation.mailbox, Generated(choice.index, (), text, logprobs))
        self.post.add(generation.mailbox, choice.ended(reason, stop, detail))
        self._leave(choice)
        is_forked = len(generation.choices) == generation.request.n
        if is_forked and not any(other.is_open for other in generation.choices):
            self._totals["finished"] += 1
            self.pace.finished(time.monotonic())
            self._drop(generation)
            self.post.close(generation.mailbox)

    def _end_open(self, generation: Generation, reason: FinishReason, detail: str) -> None:
        try:
            if len(generation.choices) < generation.request.n:
                generation.fork()  # so that every choice has its end
            for choice in generation.choices:
                if choice.is_open:
                    self._end(choice, reason, None, detail)
        except RUNNER_FAILURES as error:
            self._fail(generation, error)

    def _measure(self, scheduled: ScheduledStep, seconds: float) -> None:
        self.pace.observe(scheduled.replies, scheduled.read, seconds)
        self._totals["steps"] += 1
        self._busy_seconds += seconds
        known = self._step_seconds
        self._step_seconds = seconds if known == 0.0 else known + 0.1 * (seconds - known)
