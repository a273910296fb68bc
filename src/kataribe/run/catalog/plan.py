"""How much context and cache a model gets: decided once, for whoever loads and whoever predicts."""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.run.catalog.calibration import Calibration, calibration_for
from kataribe.run.catalog.cards import ModelFacts
from kataribe.run.catalog.machine import memory_limit
from kataribe.run.catalog.memory import MemoryEstimate, kv_bytes_per_token, predict_memory

BUDGET = 0.7
"""Part of the RAM that models may take, when no budget is set (as `memory` in the settings)."""

WISHED_CACHE = 32_768
"""Tokens that the KV cache should hold for all replies together: 64 conversations of 500 tokens.
Its memory is taken from the system only as it fills."""
CACHE_SHARE = 4
"""A cache of more than one context takes at most one part in so many of the budget."""

SMALLEST_CONTEXT = 512
"""Under this many tokens a model is not worth loading."""
CONTEXT_STEP = 256
ENCODER_BATCH = 2048
"""Tokens that an encoder reads at once (`run.inference.embedding.batches`; a test compares)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is loaded.

    Attributes:
        context: Tokens of one prompt and reply together.
        cache_tokens: Tokens that the KV cache has places for, all replies together.
        one: Memory with one full context in the cache.
        full: Memory with a full cache.
        fits: The model takes no more than the budget, its full cache included.
    """

    context: int
    cache_tokens: int
    one: MemoryEstimate
    full: MemoryEstimate
    fits: bool

    @property
    def memory(self) -> int:
        """Bytes that the model takes, with a full cache, beside what the program takes anyway."""
        return self.full.needed - self.full.runtime


def plan_model(
    facts: ModelFacts, precision: str, asked: int | None, budget: int, *, native: bool = False
) -> Plan:
    """Context and cache within `budget`.

    The context is the asked one (even where it does not fit), else the model's own, else the
    largest that fits, of at least `SMALLEST_CONTEXT` tokens. The cache holds `WISHED_CACHE`
    tokens where they fit and take at most a quarter of the budget, and never less than a context.

    Args:
        facts: Of the model.
        precision: "auto", "float32", ...
        asked: Context in tokens that a person asked for.
        budget: Bytes for models, beside what the program takes anyway.
        native: The native runner is there for models that it can compute.
    """
    calibration = calibration_for(facts, precision, native=native)
    if not facts.decodes:
        return _plan_encoder(facts, precision, budget, calibration)
    per_token = kv_bytes_per_token(facts, precision, calibration) or 1  # 0 where none attends

    def predict(context: int, cache_tokens: int, places: int | None = None) -> MemoryEstimate:
        return predict_memory(
            facts,
            precision,
            context,
            cache_tokens=cache_tokens,
            places=places,
            calibration=calibration,
        )

    def left(context: int) -> int:
        """Bytes for the cache, beside what stays and what a step takes."""
        bare = predict(context, 0)
        return budget - bare.tokenizer - bare.weights - bare.activations

    context = asked or facts.context_length
    if asked is None and left(context) < context * per_token:
        least = min(SMALLEST_CONTEXT, context)
        # Masks grow with the context, so a token of context takes more than its place in the cache.
        growth = (left(least) - left(context)) / max(context - least, 1)
        longest = int((left(least) + least * growth) / (per_token + growth))
        context = min(context, max(longest // CONTEXT_STEP * CONTEXT_STEP, least))
    room = max(left(context), 0) // per_token  # tokens
    cache = max(context, min(WISHED_CACHE, budget // CACHE_SHARE // per_token, room))
    full = predict(context, cache)
    return Plan(
        context,
        cache,
        predict(context, context, cache),
        full,
        fits=full.needed - full.runtime <= budget,
    )


def _plan_encoder(facts: ModelFacts, precision: str, budget: int, calibration: Calibration) -> Plan:
    """An encoder reads whole texts of any length that it knows and keeps no cache."""
    context = facts.context_length
    one = predict_memory(
        facts,
        precision,
        max(context, ENCODER_BATCH),
        cache_tokens=0,
        chunk_tokens=ENCODER_BATCH,
        calibration=calibration,
    )
    return Plan(context, 0, one, one, fits=one.needed - one.runtime <= budget)


def model_budget(wished: int | None, memory: int | None = None) -> int:
    """Bytes that loaded models may take together: `wished`, or `BUDGET` of the RAM.

    `memory` are the bytes of RAM, where they are known already.
    """
    return wished or int(BUDGET * (memory_limit() if memory is None else memory))
