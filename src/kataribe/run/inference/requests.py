"""What goes into the engine and what comes out of it: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from kataribe.base.errors import InputError, SettingsError, UnsupportedError
from kataribe.base.events import FinishReason, Progress, TokenLogprob
from kataribe.base.lm import Sampling
from kataribe.run.inference.constraint import Constraint
from kataribe.run.inference.sampler import Row

MOST_WITH_STATES = 8
"""Replies at a time of a model with recurrent layers: each keeps two states, of up to 170 MB in
published models of 3 billion parameters. More wait. `run.catalog.memory` counts with as many."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Token ids to continue.

    Attributes:
        ids: The prompt; at least one token.
        sampling: How tokens are drawn. A None in it counts as 1 (temperature, top_p,
            repetition_penalty), 0 (top_k) or as much as the context leaves (max_tokens).
        stop_ids: Tokens that end the reply; they are counted but are not part of it.
        stop: Strings that end the reply; they are not part of it.
        seed: Makes drawing repeat; None draws a seed (`Ended.seed` tells it).
        n: How many independent replies.
        logprobs: None for none; else how many likeliest alternatives beside each token.
        echo: With `logprobs`, the prompt's own log-probabilities come first (`PromptScored`).
        score_only: Ends after the prompt; no token is drawn.
        score_from: First position of the prompt whose log-probability is wanted; what lies before
            it can come out of the cache.
        rows: With `score_only`, the logits themselves come (`PromptRows`) and nothing is scored.
        constraint: What the reply must match.
        deadline: `time.monotonic()` seconds; then the reply ends with reason `deadline`.
        skip_special: Special tokens leave no text.
        continues: The reply goes on from the prompt's own text (a raw prompt), so that a space at
            its beginning is a real one.
        source: Tokens at the beginning of `ids` that an encoder reads whole, without predicting
            them; what comes behind begins the reply. 0 for models without an encoder.
    """

    ids: tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)
    stop_ids: frozenset[int] = frozenset()
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    logprobs: int | None = None
    echo: bool = False
    score_only: bool = False
    score_from: int = 0
    rows: bool = False
    constraint: Constraint | None = None
    deadline: float | None = None
    skip_special: bool = True
    continues: bool = False
    source: int = 0

    def __post_init__(self) -> None:
        if not self.ids:
            raise InputError("The prompt has no tokens; it needs at least one.", param="prompt")
        if not 1 <= self.n <= 128:
            raise InputError(f"n is {self.n}, but must be at least 1 and at most 128.", param="n")
        if self.logprobs is not None and not 0 <= self.logprobs <= 20:
            raise InputError(
                f"logprobs is {self.logprobs}, but must be at least 0 and at most 20.",
                param="logprobs",
            )
        if self.score_only and self.n != 1:
            raise InputError(f"Scoring draws no replies, so n is 1, not {self.n}.", param="n")
        if self.rows and not self.score_only:
            raise InputError("Logits are given of a prompt alone: set score_only.", param="rows")
        if not 0 <= self.score_from <= len(self.ids):
            raise InputError(
                f"score_from is {self.score_from}, but the prompt has {len(self.ids)} tokens.",
                param="score_from",
            )
        if any(not stop for stop in self.stop):
            raise InputError("A stop string is empty; leave it out or give text.", param="stop")
        if self.source:
            self._check_source()

    def _check_source(self) -> None:
        if not 0 < self.source < len(self.ids):
            raise InputError(
                f"source is {self.source}, but of {len(self.ids)} tokens at least the last one "
                "begins the reply.",
                param="prompt",
            )
        if (self.scores_prompt or self.rows) and self.score_from <= self.source:
            raise UnsupportedError(
                "An encoder reads its source whole and predicts none of its tokens, so they have "
                "no log-probabilities. Leave echo or logprobs out.",
                param="echo",
            )

    @property
    def scores_prompt(self) -> bool:
        """Whether log-probabilities of the prompt are wanted."""
        return self.echo and self.logprobs is not None and not self.rows


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """How much the engine takes on at once.

    Attributes:
        context: Tokens of prompt and reply together; None for what the cache holds.
        queue: Requests that may wait beyond those that run.
        running: Replies computed at the same time.
        prefilling: Prompts read at the same time.
        chunk: Most prompt tokens in one step.
        smallest_chunk: Prompt tokens that a step reads however slow the machine is.
        step_seconds: How long a step may take while somebody waits for the next token. Reading
            prompts gets what the others' tokens leave of it.
        logits_bytes: Memory for the logits of one step where a prompt is scored.
        source: Tokens that an encoder can read; None where nothing but the context bounds them.
        target: Tokens of what begins a reply and the reply, behind a source; None as for `source`.
    """

    context: int | None = None
    queue: int = 256
    running: int = 256
    prefilling: int = 16
    chunk: int = 512
    smallest_chunk: int = 16
    step_seconds: float = 0.12
    logits_bytes: int = 64 * 2**20
    source: int | None = None
    target: int | None = None

    def __post_init__(self) -> None:
        for name in ("queue", "running", "prefilling", "chunk", "smallest_chunk", "logits_bytes"):
            value = getattr(self, name)
            if value < 1:
                raise SettingsError(f"{name} is {value}, but must be at least 1.", param=name)
        if self.context is not None and self.context < 2:
            raise SettingsError(
                f"context is {self.context}, but must be at least 2 tokens.", param="context"
            )
        if not self.step_seconds > 0:
            raise SettingsError(
                f"step_seconds is {self.step_seconds}, but must be above 0.", param="step_seconds"
            )


@dataclass(frozen=True, slots=True)
class PromptScored:
    """Log-probabilities of the prompt's tokens from `score_from` on; comes once, before replies.

    The first token of a prompt has None: nothing predicts it.
    """

    logprobs: tuple[TokenLogprob, ...]
    index: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PromptRows:
    """Logits of prompt positions: `rows[i]`, `(vocab_size,)`, predicts position `start + i + 1`.

    Several come, one for each step, in order. The rows of a step are one array in memory; whoever
    keeps one for long copies it.
    """

    start: int
    rows: tuple[Row, ...]
    index: int = 0


@dataclass(frozen=True, slots=True)
class Generated:
    """The next tokens of one choice, and the text that is certain by now.

    Text waits where it may be the beginning of a stop string or a part of a character; so `text`
    may be empty, or hold earlier tokens' characters. `logprobs` go with the text.
    """

    index: int
    ids: tuple[int, ...]
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one choice; exactly one comes for each.

    Attributes:
        index: Which choice.
        reason: Why: `stop`, `length`, `deadline` or `cancelled`.
        text: The whole reply.
        ids: Every token drawn, the end token included.
        prompt_tokens: Tokens of the prompt.
        cached_tokens: Those of them that were read from the KV cache.
        stop: The stop string, or the token id, that ended it; None for another reason.
        seed: The request's seed; with it and the same index the draw repeats.
        detail: In a line, what ended it, where the reason does not say so.
    """

    index: int
    reason: FinishReason
    text: str
    ids: tuple[int, ...]
    prompt_tokens: int
    cached_tokens: int
    stop: str | int | None = None
    seed: int = 0
    detail: str = ""


EngineEvent: TypeAlias = Progress | PromptScored | PromptRows | Generated | Ended


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """The engine at one moment; counters count from its start.

    Attributes:
        running: Choices being computed.
        waiting: Choices and requests that wait for a place.
        blocks: Cache blocks in all.
        blocks_used: Blocks that belong to running choices.
        blocks_reusable: Blocks, used or free, whose content a new prompt could take over.
        block_size: Tokens in each block.
        prompt_tokens: Prompt tokens of all requests that began.
        cached_tokens: Those of them that came out of the cache.
        computed_tokens: Prompt tokens computed (again after a preemption, too).
        generated_tokens: Tokens drawn.
        steps: Steps run.
        step_seconds: Duration of a step, smoothed.
        busy_seconds: Time spent in steps.
        requests: Requests taken.
        finished: Requests that ended of themselves.
        cancelled: Requests that were given up by whoever asked.
        failed: Requests that ended with an error.
        refused: Requests refused because the queue was full.
        preempted: Times that a choice lost its blocks and was computed again.
        chunk: Prompt tokens that the next step may read beside running replies.
    """

    running: int = 0
    waiting: int = 0
    blocks: int = 0
    blocks_used: int = 0
    blocks_reusable: int = 0
    block_size: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    computed_tokens: int = 0
    generated_tokens: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    busy_seconds: float = 0.0
    requests: int = 0
    finished: int = 0
    cancelled: int = 0
    failed: int = 0
    refused: int = 0
    preempted: int = 0
    chunk: int = 0
