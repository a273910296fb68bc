"""What an encoder-decoder is, in plain frozen values: T5, BART and their kin are fields here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import MAX_LAYERS, Activation, NormKind

SourceFamily: TypeAlias = Literal["t5", "mt5", "bart", "mbart", "pegasus", "marian"]
PositionKind: TypeAlias = Literal["relative", "learned", "sinusoidal"]

SOURCE_FAMILIES: tuple[SourceFamily, ...] = get_args(SourceFamily)
T5_KIN: tuple[SourceFamily, ...] = ("t5", "mt5")

_MOST = 1 << 31
"""Largest size of any one matrix's side: a hostile header cannot ask for an endless model."""


@dataclass(frozen=True)
class StackConfig:
    """One of the two stacks of blocks.

    Attributes:
        layers: Number of blocks.
        heads: Heads of every attention in them.
        head_dim: Values per head; need not be hidden_size / heads.
        intermediate_size: Width inside the MLP.
        query_scalar: Scores are divided by its square root: 1 in T5, which leaves it to the first
            values of its matrices, head_dim elsewhere.
    """

    layers: int
    heads: int
    head_dim: int
    intermediate_size: int
    query_scalar: float

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "head_dim", "intermediate_size"):
            _count(name, getattr(self, name))
        _count("heads * head_dim", self.width)
        if self.layers > MAX_LAYERS:
            raise FormatError(f"layers is {self.layers}; at most {MAX_LAYERS} are possible.")
        _above_zero("query_scalar", self.query_scalar)

    @property
    def width(self) -> int:
        """Values of all heads."""
        return self.heads * self.head_dim

    @property
    def kv_heads(self) -> int:
        """Key and value heads: as many as query heads in all of these models."""
        return self.heads

    @property
    def mixers(self) -> tuple[str, ...]:
        """How each layer mixes tokens."""
        return ("attention",) * self.layers

    @property
    def scale(self) -> float:
        """Multiplies q . k."""
        return float(self.query_scalar**-0.5)


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """A model that reads a source whole and then writes (Vaswani et al. 2017).

    `EncoderDecoder` builds any valid one.

    Attributes:
        family: Whose files it comes from; says how files are read and written, never how to
            compute.
        vocab_size: Rows of the embedding, which both stacks share; logits per position.
        hidden_size: Width of the residual streams.
        encoder: The stack that reads the source, both ways.
        decoder: The stack that writes, and looks at the encoder's result in every block.
        source_length: Most tokens of a source; rows of learned or sinusoidal positions. With
            relative positions nothing in the model ends there: it is what it was trained on.
        target_length: The same for what it writes, the start token included.
        positions: `relative` adds a learned number to each score by the bucket of its distance
            (Raffel et al. 2020); the others add a vector to the embedding, a learned one or sines
            and cosines (Vaswani et al. 2017).
        relative_buckets: Buckets of distances; 0 without relative positions.
        relative_distance: From this distance on all fall into one bucket; 0 without.
        position_offset: Rows at the beginning of learned positions that are never used.
        norm: `rms` (Zhang and Sennrich 2019) or `layer` (Ba et al. 2016; it has biases).
        norm_eps: Added to the mean square (or variance) before the root.
        norm_first: Norms stand before attention and MLP, not after the residual has been added.
        final_norm: Each stack ends with a norm.
        embedding_norm: Each stack begins with a norm.
        activation: Nonlinearity of the MLP.
        gated: As in `ModelConfig`.
        bias: All matrices of the blocks have biases.
        embedding_scale: Embeddings are multiplied by it.
        output_scale: The decoder's hidden vectors are multiplied by it before the head.
        logits_bias: A vector is added to the logits.
        tied: The head is the embedding's matrix; always, but for T5 and mT5.
        start_id: The token before the first that is written; teaching shifts targets right by it.
        pad_id: Stands in the decoder's input where nothing is taught.
    """

    family: SourceFamily
    vocab_size: int
    hidden_size: int
    encoder: StackConfig
    decoder: StackConfig
    source_length: int
    target_length: int
    positions: PositionKind
    relative_buckets: int = 0
    relative_distance: int = 0
    position_offset: int = 0
    norm: NormKind = "layer"
    norm_eps: float = 1e-5
    norm_first: bool = False
    final_norm: bool = False
    embedding_norm: bool = False
    activation: Activation = "gelu"
    gated: bool = False
    bias: bool = True
    embedding_scale: float = 1.0
    output_scale: float = 1.0
    logits_bias: bool = False
    tied: bool = True
    start_id: int = 0
    pad_id: int = 0

    def __post_init__(self) -> None:
        _one_of("family", self.family, SOURCE_FAMILIES)
        _one_of("positions", self.positions, get_args(PositionKind))
        _one_of("norm", self.norm, get_args(NormKind))
        _one_of("activation", self.activation, get_args(Activation))
        for name in ("vocab_size", "hidden_size", "source_length", "target_length"):
            _count(name, getattr(self, name))
        for name in ("norm_eps", "embedding_scale", "output_scale"):
            _above_zero(name, getattr(self, name))
        for name in ("start_id", "pad_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise FormatError(
                    f"{name} is {getattr(self, name)}; the model's ids go from 0 to "
                    f"{self.vocab_size - 1}."
                )
        if not 0 <= self.position_offset < _MOST:
            raise FormatError(f"position_offset is {self.position_offset}; 0 or more is possible.")
        if not self.tied and self.family not in T5_KIN:
            raise FormatError(
                f"A {self.family} model whose head is not its embedding has an embedding for each "
                f"stack, too, and is not built here; {' and '.join(T5_KIN)} can have such a head."
            )
        self._check_relative()

    def _check_relative(self) -> None:
        buckets, distance = self.relative_buckets, self.relative_distance
        if (self.positions == "relative") != (self.family in T5_KIN):
            raise FormatError(
                f"A {self.family} model has no {self.positions} positions; {' and '.join(T5_KIN)} "
                "have relative ones, the others have none of these."
            )
        if self.positions != "relative":
            if buckets or distance:
                raise FormatError("relative_buckets and relative_distance need such positions.")
            return
        # The encoder halves the buckets for the two directions, and half of those are exact.
        if not 4 <= buckets < _MOST or buckets % 2:
            raise FormatError(f"relative_buckets is {buckets}; an even number from 4 is needed.")
        if not buckets // 2 < distance < _MOST:
            raise FormatError(
                f"relative_distance is {distance}; it must be above half of the {buckets} buckets."
            )

    @property
    def bounded(self) -> bool:
        """`source_length` and `target_length` are ends of the model itself."""
        return self.positions != "relative"

    @property
    def context_length(self) -> int:
        """Tokens of source and target together, as long as each keeps to its own limit."""
        return self.source_length + self.target_length


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise FormatError(f"{name} is {value!r}; known are {', '.join(known)}.")


def _count(name: str, value: int) -> None:
    if type(value) is not int or not 0 < value < _MOST:
        raise FormatError(f"{name} is {value!r}; it must be a whole number from 1 to 2^31 - 1.")


def _above_zero(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError(f"{name} is {value!r}; it must be a number.")
    if not math.isfinite(value) or value <= 0:
        raise FormatError(f"{name} is {value!r}; it must be finite and above 0.")
