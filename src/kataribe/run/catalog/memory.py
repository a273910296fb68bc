"""What a model will take in memory, from the header of its file alone.

The peak is what stays (interpreter, libraries, tokenizer, weights) plus the greater of two things
that do not meet: what loading needs for a moment, and cache with activations while it runs.
Every figure that was measured and not counted stands in `Calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

from kataribe.base.errors import InputError
from kataribe.run.catalog.cards import ModelFacts, TensorGroup

Holding: TypeAlias = Literal["float32", "bfloat16", "int8", "int4"]
"""How a weight is held in memory."""

PRECISIONS = ("auto", "float32", "bfloat16", "int8", "int4")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured constants, for Linux on x86-64 with the CPU build of PyTorch.

    Attributes:
        runtime: Bytes of the interpreter with all libraries imported and threads started.
        token: Bytes that the tokenizer takes for each entry of the vocabulary.
        vector: Bytes for each value of norms and biases.
        int4_group: Bytes of scale and zero for 32 weights in int4.
        int8_row: Bytes of scale for one row in int8.
        loading_values: Bytes per value of the largest matrix, while it is converted.
        loading_file: Part of the file's bytes that is still mapped when the last weight is loaded.
        activation: Bytes per token and number of the widest places of a layer that are alive.
        logits: Bytes per number of the rows of logits.
        logit_rows: Rows of logits alive at once.
        holdings: Precision -> kind in the file -> how a matrix of it is held; "" for any other.
        embeddings: Precision -> kind -> how the embedding is held.
        head_copy: Precisions in which a tied head is packed beside the embedding.
    """

    runtime: int = 330 << 20
    token: int = 350
    vector: int = 4
    int4_group: int = 4
    int8_row: int = 2
    loading_values: float = 4.0
    loading_file: float = 0.5
    activation: float = 6.0
    logits: int = 4
    logit_rows: int = 64
    holdings: Mapping[str, Mapping[str, Holding]] = field(
        default_factory=lambda: {
            "float32": {"": "float32"},
            "bfloat16": {"": "bfloat16"},
            "int8": {"": "int8"},
            "int4": {"": "int4"},
            "auto": {
                "Q4_0": "int4",
                "Q4_1": "int4",
                "Q4_K": "int4",
                "Q8_0": "int8",
                "": "bfloat16",
            },
        }
    )
    embeddings: Mapping[str, Mapping[str, Holding]] = field(
        default_factory=lambda: {
            "float32": {"": "float32"},
            "bfloat16": {"": "bfloat16"},
            "int8": {"": "int8"},
            "int4": {"": "int8"},
            "auto": {"Q8_0": "int8", "": "bfloat16"},
        }
    )
    head_copy: frozenset[str] = frozenset()


DEFAULT = Calibration()


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by what needs them.

    Attributes:
        runtime: Interpreter and libraries.
        tokenizer: Vocabulary and merges.
        weights: As they are held.
        kv_cache: Keys and values of all cached tokens.
        activations: Of one step.
        loading: Needed while loading, and given back before the model runs.
    """

    runtime: int
    tokenizer: int
    weights: int
    kv_cache: int
    activations: int
    loading: int

    @property
    def total(self) -> int:
        """The peak: loading and running do not happen at once."""
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
    chunk_tokens: int = 512,
    calibration: Calibration = DEFAULT,
) -> MemoryEstimate:
    """What running a model takes at its peak, in bytes.

    Args:
        facts: From `read_facts` or a card.
        precision: One of `PRECISIONS`.
        ctx: Context in tokens.
        cache_tokens: Tokens that the KV cache holds for all sequences together; None for `ctx`.
        chunk_tokens: Most tokens of one step.
        calibration: The measured constants.
    """
    check_precision(precision)
    kv_bytes = kv_bytes_per_token(facts, precision)
    return MemoryEstimate(
        runtime=calibration.runtime,
        tokenizer=facts.vocab_size * calibration.token,
        weights=weight_bytes(facts, precision, calibration),
        kv_cache=kv_bytes * max(ctx, cache_tokens or 0),
        activations=_activation_bytes(facts, min(chunk_tokens, ctx), calibration),
        loading=_loading_bytes(facts, calibration),
    )


def check_precision(precision: str) -> None:
    """`InputError` unless it is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise InputError(
            f"Precision {precision!r} is unknown; choose one of {', '.join(PRECISIONS)}.",
            param="precision",
        )


def kv_bytes_per_token(facts: ModelFacts, precision: str) -> int:
    """Bytes of keys and values that one token leaves in the cache, all layers together."""
    size = 4 if precision == "float32" else 2
    return 2 * facts.layers * facts.kv_heads * facts.head_dim * size


def weight_bytes(facts: ModelFacts, precision: str, calibration: Calibration = DEFAULT) -> int:
    """Bytes of all weights as they are held."""
    return sum(
        held_bytes(group, precision, calibration) for group in _held(facts, precision, calibration)
    )


def streamed_bytes(facts: ModelFacts, precision: str, calibration: Calibration = DEFAULT) -> int:
    """Bytes of weights that one step of decoding reads: all but an embedding that is no head."""
    untied = any(group.role == "head" for group in facts.groups)
    untied = untied or precision in calibration.head_copy
    return sum(
        held_bytes(group, precision, calibration)
        for group in _held(facts, precision, calibration)
        if not (untied and group.role == "embedding")
    )


def held_bytes(group: TensorGroup, precision: str, calibration: Calibration = DEFAULT) -> int:
    """Bytes of one group of weights as they are held."""
    if group.role == "vector":
        return group.values * calibration.vector
    table = calibration.embeddings if group.role == "embedding" else calibration.holdings
    kinds = table[precision]
    match kinds.get(group.kind, kinds[""]):
        case "float32":
            return 4 * group.values
        case "bfloat16":
            return 2 * group.values
        case "int8":
            return group.values + group.rows * calibration.int8_row
        case "int4":
            return group.values // 2 + group.values // 32 * calibration.int4_group


def _held(facts: ModelFacts, precision: str, calibration: Calibration) -> list[TensorGroup]:
    groups = list(facts.groups)
    if precision in calibration.head_copy and not any(g.role == "head" for g in groups):
        groups += [
            TensorGroup("head", group.kind, group.values, group.rows)
            for group in groups
            if group.role == "embedding"
        ]
    return groups


def _activation_bytes(facts: ModelFacts, tokens: int, calibration: Calibration) -> int:
    """Of one step: the widest places of a layer, and rows of logits."""
    heads = (facts.heads + 2 * facts.kv_heads) * facts.head_dim
    width = 2 * facts.hidden_size + heads + 2 * facts.intermediate_size
    rows = min(tokens, calibration.logit_rows)
    logits = rows * facts.vocab_size * calibration.logits
    return int(tokens * width * calibration.activation) + logits


def _loading_bytes(facts: ModelFacts, calibration: Calibration) -> int:
    largest = facts.vocab_size * facts.hidden_size
    mapped = (facts.file_bytes or 0) * calibration.loading_file
    return int(largest * calibration.loading_values + mapped)
