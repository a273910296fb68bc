"""What a model will take in memory, from the header of its file alone.

The peak is what stays (interpreter, libraries, tokenizer, weights) plus the greater of two things
that do not meet: what loading needs for a moment, and cache with activations while it runs.
How weights are held follows the tables of `make.adapt.precision` and, for the native runner, of
`run.inference.native.weights`; every figure that was measured and not counted stands in
`Calibration`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from kataribe.base.errors import InputError
from kataribe.run.catalog.calibration import PYTORCH, Calibration
from kataribe.run.catalog.cards import ModelFacts, TensorGroup
from kataribe.run.catalog.layout import SOURCES
from kataribe.run.catalog.machine import has_fast_bfloat16

Holding: TypeAlias = Literal["float32", "bfloat16", "int8", "int4"]
"""How a weight is held in memory."""

PRECISIONS = ("auto", "float32", "bfloat16", "int8", "int4")

MOST_WITH_STATES = 8
"""Replies at a time of a model with states, as `run.inference.requests` has it."""

PAGE = 4096
"""Bytes of a page that the system gives to the cache (`run.inference.kv_cache` asks for small)."""

_FOUR_BITS = frozenset({"Q4_0", "Q4_1", "Q4_K"})  # blocks that are taken over as they are
_WITH_OFFSET = frozenset({"Q5_1", "Q5_K", "Q2_K"})
_PLAIN = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by what needs them.

    Attributes:
        runtime: Interpreter, libraries and, of a server, what it keeps beside the model.
        tokenizer: Vocabulary and merges.
        weights: As they are held.
        kv_cache: Keys and values of all cached tokens, in whole pages of memory, and the states of
            recurrent layers.
        activations: Of one step, with masks, the scratch for unpacked weights and, of a server,
            the tables of replies that are held to a form.
        loading: Needed while loading, and given back before the model runs.
        mapped: Pages of the file that lie in memory while it is loaded; the system takes them
            back when it has need of them.
    """

    runtime: int
    tokenizer: int
    weights: int
    kv_cache: int
    activations: int
    loading: int
    mapped: int

    @property
    def total(self) -> int:
        """The peak of resident memory: loading and running do not happen at once."""
        stays = self.runtime + self.tokenizer + self.weights
        return stays + max(self.loading + self.mapped, self.kv_cache + self.activations)

    @property
    def needed(self) -> int:
        """What must be there: the peak without pages that the system can take back."""
        stays = self.runtime + self.tokenizer + self.weights
        return stays + max(self.loading, self.kv_cache + self.activations)

    def parts(self) -> dict[str, int]:
        """Name -> bytes, in order."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


def predict_memory(
    facts: ModelFacts,
    precision: str,
    ctx: int,
    *,
    cache_tokens: int | None = None,
    places: int | None = None,
    chunk_tokens: int = 512,
    calibration: Calibration = PYTORCH,
) -> MemoryEstimate:
    """What the process that runs a model takes at its peak, in bytes.

    A server's child that renders chat templates (20 MiB) is not counted.

    Args:
        facts: From `read_facts` or a card.
        precision: One of `PRECISIONS`.
        ctx: Context in tokens.
        cache_tokens: Tokens that lie in the KV cache, of all sequences together; None for `ctx`.
        places: Tokens that the cache has places for; None for as many as lie in it.
        chunk_tokens: Most tokens of one step.
        calibration: The measured constants.
    """
    check_precision(precision)
    tokens = ctx if cache_tokens is None else cache_tokens
    largest = 2 * facts.intermediate_size * facts.hidden_size
    return MemoryEstimate(
        runtime=calibration.runtime + calibration.server,
        tokenizer=facts.vocab_size * calibration.token,
        weights=weight_bytes(facts, precision, calibration),
        kv_cache=_cache_bytes(
            facts,
            kv_bytes_per_token(facts, precision, calibration),
            tokens,
            tokens if places is None else places,
        ),
        activations=_activation_bytes(facts, precision, min(chunk_tokens, ctx), calibration)
        + calibration.mask * ctx
        + calibration.form * facts.vocab_size,
        loading=int(largest * calibration.packing) + facts.vocab_size * calibration.building,
        mapped=int((facts.file_bytes or _published_bytes(facts)) * calibration.mapped),
    )


def check_precision(precision: str) -> None:
    """`InputError` unless it is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise InputError(
            f"Precision {precision!r} is unknown; choose one of {', '.join(PRECISIONS)}.",
            param="precision",
        )


def held_precision(facts: ModelFacts, asked: str) -> str:
    """What a model is held in where one setting is for all models, in memory plans and in loads.

    Encoders and encoder-decoders are held in float32 or bfloat16 alone; for others they get auto.
    """
    decoder = facts.decodes and facts.family not in SOURCES
    return asked if decoder or asked in ("float32", "bfloat16") else "auto"


def kv_bytes_per_token(
    facts: ModelFacts, precision: str, calibration: Calibration = PYTORCH
) -> int:
    """Bytes of keys and values that one token leaves in the cache, all layers together."""
    wide = precision == "float32" or (precision == "auto" and not has_fast_bfloat16())
    values = 2 * facts.caching * facts.kv_heads * facts.head_dim
    return values * (4 if wide and not calibration.native else 2)


def weight_bytes(facts: ModelFacts, precision: str, calibration: Calibration = PYTORCH) -> int:
    """Bytes of all weights as they are held. A tied head shares the embedding's."""
    held = sum(held_bytes(group, precision, calibration) for group in facts.groups)
    return held + _looked_up_bytes(facts, precision, calibration)


def _looked_up_bytes(facts: ModelFacts, precision: str, calibration: Calibration) -> int:
    """A tied embedding in 4 bits lies there twice where its rows are not found in the head's.

    As `make.adapt.linears.Int4Linear` knows its layout.
    """
    if calibration.native or any(group.role == "head" for group in facts.groups):
        return 0
    return sum(
        held_bytes(group, precision, calibration)
        for group in facts.groups
        if group.role == "embedding"
        and holding(group, precision) == "int4"
        and not (has_fast_bfloat16() and group.rows % 64 == 0)
    )


def streamed_bytes(facts: ModelFacts, precision: str, calibration: Calibration = PYTORCH) -> int:
    """Bytes of weights that one step of decoding reads: all but an embedding that is no head."""
    untied = any(group.role == "head" for group in facts.groups)
    return sum(
        held_bytes(group, precision, calibration)
        for group in facts.groups
        if not (untied and group.role == "embedding")
    )


def holding(group: TensorGroup, precision: str) -> Holding:
    """How the matrices of a group are held, by the table of `make.adapt.precision`."""
    match precision:
        case "float32" | "bfloat16":
            return precision
    if group.kind in _FOUR_BITS:
        return "int4"
    if precision == "int4":
        return "int4" if group.role == "matrix" else "int8"
    if precision == "auto" and group.kind in _PLAIN:
        return "bfloat16" if has_fast_bfloat16() else "float32"
    return "int8"


def held_bytes(group: TensorGroup, precision: str, calibration: Calibration = PYTORCH) -> int:
    """Bytes of one group of weights as they are held."""
    if group.role == "vector":
        return group.values * calibration.vector
    if calibration.native:
        return _native_bytes(group, precision)
    match holding(group, precision):
        case "float32":
            return 4 * group.values
        case "bfloat16":
            return 2 * group.values
        case "int8":
            return group.values + group.rows * calibration.int8_row
        case "int4":
            return group.values // 2 + group.values // 32 * calibration.int4_group


def _native_bytes(group: TensorGroup, precision: str) -> int:
    """4 or 8 bits with float16 scales (and offsets) by groups of 32 and 16, or bfloat16."""
    if precision == "bfloat16" or (precision == "auto" and group.kind in _PLAIN):
        return 2 * group.values
    if group.kind in _FOUR_BITS or (precision == "int4" and group.role == "matrix"):
        return group.values * 5 // 8
    return group.values * (10 if precision == "auto" and group.kind in _WITH_OFFSET else 9) // 8


def _cache_bytes(facts: ModelFacts, per_token: int, tokens: int, places: int) -> int:
    """Of a cache with `places`, what the system has given when `tokens` were written.

    The system gives small pages, so each layer's keys and values, which lie one layer behind the
    other, take the pages that they touch: at most two more than their bytes fill.
    """
    if tokens <= 0:
        return 0
    states = facts.state_bytes * _sequences(tokens, places)
    if not facts.caching:
        return states
    pieces = 2 * facts.caching
    row = per_token // pieces
    touched = tokens * row
    if tokens < places:
        touched = (1 + -(-touched // PAGE)) * PAGE
    return states + pieces * min(places * row, touched)


def _sequences(tokens: int, places: int) -> int:
    """States that there are, two for each reply: of one, or where the cache is full of all."""
    return 2 * (MOST_WITH_STATES if tokens >= places else 1)


def _activation_bytes(
    facts: ModelFacts, precision: str, tokens: int, calibration: Calibration
) -> int:
    """Of one step: the widest places of a layer for each token, and one matrix unpacked."""
    heads = (facts.heads + 2 * facts.kv_heads) * facts.head_dim
    width = 2 * facts.hidden_size + heads + 2 * facts.intermediate_size
    if calibration.native:
        return int(tokens * (width + facts.hidden_size) * calibration.activation)
    largest = min(2 * facts.intermediate_size * facts.hidden_size, calibration.unpacked_values)
    packed = any(
        group.role == "matrix" and holding(group, precision) == "int4" for group in facts.groups
    )
    scratch = largest * calibration.unpacked if packed and has_fast_bfloat16() else 0
    return int(tokens * width * calibration.activation + scratch)


def _published_bytes(facts: ModelFacts) -> int:
    """Bytes of the files where only the card is known."""
    return sum(group.values * (4 if group.kind == "F32" else 2) for group in facts.groups)
