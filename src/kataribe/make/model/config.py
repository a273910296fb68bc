"""What a decoder is, in plain frozen values: every difference between families is a field here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from kataribe.base.errors import FormatError

Family: TypeAlias = Literal["gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3"]
Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh", "relu"]
NormKind: TypeAlias = Literal["rms", "layer"]
Mixer: TypeAlias = Literal["attention", "mamba", "mamba2", "hyena"]
RopeKind: TypeAlias = Literal["default", "linear", "dynamic", "yarn", "longrope", "llama3"]

FAMILIES: tuple[Family, ...] = get_args(Family)

MAX_LAYERS = 4096
"""Ten times what the deepest published models have."""
_MAX_VALUES = 1 << 31
"""Largest size of any one matrix's side: a hostile header cannot ask for an endless model."""


@dataclass(frozen=True)
class RopeConfig:
    """One rotary position embedding (Su et al. 2021) and how it is stretched to longer contexts.

    Attributes:
        theta: Base of the geometric series of wavelengths.
        kind: How the inverse frequencies are made; see `rope.inverse_frequencies`.
        factor: By how much the context is stretched; all kinds but `default` and `longrope`.
        original_context: Tokens of context in training, before it was stretched: the limit beyond
            which `dynamic` and `longrope` change, and the measure of `yarn` and `llama3`.
        attention_factor: Multiplies cosine and sine (`yarn`, `longrope`).
        beta_fast: `yarn`: dimensions that turn more often than this are not stretched.
        beta_slow: `yarn`: dimensions that turn less often than this are stretched wholly.
        truncate: `yarn`: the bounds between the two are rounded to whole dimensions.
        low_freq_factor: `llama3`: wavelengths above original_context / this are stretched wholly.
        high_freq_factor: `llama3`: wavelengths below original_context / this are not stretched.
        short_factors: `longrope`: divides each inverse frequency up to the original context.
        long_factors: `longrope`: the same for longer sequences.
    """

    theta: float
    kind: RopeKind = "default"
    factor: float = 1.0
    original_context: int | None = None
    attention_factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _one_of("rope kind", self.kind, get_args(RopeKind))
        _finite("rope theta", self.theta, above=1.0 if self.kind == "yarn" else 0.0)
        _finite("rope factor", self.factor, above=0.0)
        _finite("rope attention_factor", self.attention_factor, above=0.0)
        if self.kind in ("dynamic", "yarn", "longrope", "llama3"):
            _count("rope original_context", self.original_context or 0)
        if self.kind == "yarn":
            _finite("rope beta_slow", self.beta_slow, above=0.0)
            _finite("rope beta_fast", self.beta_fast, above=0.0)
        if self.kind == "llama3":
            _finite("rope low_freq_factor", self.low_freq_factor, above=0.0)
            _finite("rope high_freq_factor", self.high_freq_factor, above=self.low_freq_factor)
        if self.kind == "longrope":
            for factor in self.short_factors + self.long_factors:
                _finite("rope short_factors and long_factors", factor, above=0.0)

    def check_head(self, head_dim: int) -> None:
        """Raises `FormatError` where this embedding cannot turn heads of `head_dim` values."""
        if head_dim % 2:
            raise FormatError(f"head_dim is {head_dim}; rotary positions need an even number.")
        if self.kind == "dynamic" and head_dim < 4:
            raise FormatError(f"head_dim is {head_dim}; dynamic rope needs at least 4.")
        if self.kind == "longrope":
            for name in ("short_factors", "long_factors"):
                found = len(getattr(self, name))
                if found != head_dim // 2:
                    raise FormatError(
                        f"rope {name} has {found} values; heads of {head_dim} need {head_dim // 2}."
                    )


@dataclass(frozen=True)
class AttentionSpec:
    """What an `attend` must know of a layer.

    Attributes:
        window: A token sees itself and the window - 1 tokens before it; None for all before it.
        scale: Multiplies q . k.
        softcap: Scores become softcap * tanh(scores / softcap) before the softmax.
    """

    window: int | None
    scale: float
    softcap: float | None


@dataclass(frozen=True)
class ModelConfig:
    """A decoder-only model; `Decoder` builds any valid one, `families` names the published ones.

    Attributes:
        family: Whose files it comes from; says how files are read and written, never how to
            compute.
        vocab_size: Rows of the embedding; logits per position.
        hidden_size: Width of the residual stream.
        layers: Number of blocks.
        heads: Query heads per layer.
        kv_heads: Key and value heads per layer; `heads` is a multiple of it (Ainslie et al. 2023).
        head_dim: Values per head; need not be hidden_size / heads.
        intermediate_size: Width inside the MLP.
        context_length: Most tokens the model was made for; rows of learned positions.
        windows: Per layer, the sliding window in tokens (Beltagy et al. 2020), None for all.
        rope: Rotary positions; None for learned positions added to the embedding.
        local_rope: Rotary positions of the layers that have a window; None for the same as `rope`.
        norm: `rms` (Zhang and Sennrich 2019) or `layer` (Ba et al. 2016; it has biases).
        norm_eps: Added to the mean square (or variance) before the root.
        qk_norm: RMS norm over head_dim of q and k, before the rotation.
        post_norms: A second norm after attention and after MLP, before the residual is added.
        activation: Nonlinearity of the MLP. `gelu_tanh` is the approximation by tanh.
        gated: The MLP computes down(activation(gate(x)) * up(x)), not down(activation(up(x)))
            (Shazeer 2020).
        qkv_bias: q, k and v have biases.
        output_bias: The attention's output projection has a bias.
        mlp_bias: The MLP's matrices have biases.
        query_scalar: Scores are divided by its square root; usually head_dim.
        scale_by_layer: Scores of layer i are divided by i + 1 too.
        attention_softcap: See `AttentionSpec.softcap`.
        logits_softcap: Logits become softcap * tanh(logits / softcap).
        embedding_scale: Embeddings are multiplied by it (rounded to their type).
        tied: The head is the embedding's matrix.
        mixers: Per layer, what mixes tokens with those before them; empty for attention in all.
    """

    family: Family
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    context_length: int
    windows: tuple[int | None, ...]
    rope: RopeConfig | None
    local_rope: RopeConfig | None = None
    norm: NormKind = "rms"
    norm_eps: float = 1e-6
    qk_norm: bool = False
    post_norms: bool = False
    activation: Activation = "silu"
    gated: bool = True
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    query_scalar: float = 64.0
    scale_by_layer: bool = False
    attention_softcap: float | None = None
    logits_softcap: float | None = None
    embedding_scale: float = 1.0
    tied: bool = False
    mixers: tuple[Mixer, ...] = ()

    def __post_init__(self) -> None:
        _one_of("family", self.family, FAMILIES)
        _one_of("norm", self.norm, get_args(NormKind))
        _one_of("activation", self.activation, get_args(Activation))
        if self.layers > MAX_LAYERS:
            raise FormatError(f"layers is {self.layers}; at most {MAX_LAYERS} are possible.")
        for name in ("vocab_size", "hidden_size", "layers", "heads", "kv_heads", "head_dim",
                     "intermediate_size", "context_length"):  # fmt: skip
            _count(name, getattr(self, name))
        _count("heads * head_dim", self.heads * self.head_dim)
        if self.heads % self.kv_heads:
            raise FormatError(
                f"heads is {self.heads} and kv_heads {self.kv_heads}; heads must be a multiple."
            )
        if len(self.windows) != self.layers:
            raise FormatError(f"windows has {len(self.windows)} entries for {self.layers} layers.")
        for window in set(self.windows) - {None}:
            _count("windows", window or 0)
        _finite("norm_eps", self.norm_eps, above=0.0)
        _finite("query_scalar", self.query_scalar, above=0.0)
        _finite("embedding_scale", self.embedding_scale, above=0.0)
        for name in ("attention_softcap", "logits_softcap"):
            cap = getattr(self, name)
            if cap is not None:
                _finite(name, cap, above=0.0)
        self._check_positions()
        self._check_mixers()

    def _check_positions(self) -> None:
        if self.local_rope is not None and (self.rope is None or not any(self.windows)):
            raise FormatError("local_rope needs rope beside it, and layers with a window.")
        for rope in (self.rope, self.local_rope):
            if rope is not None:
                rope.check_head(self.head_dim)

    def _check_mixers(self) -> None:
        if not self.mixers:
            object.__setattr__(self, "mixers", ("attention",) * self.layers)
        if len(self.mixers) != self.layers:
            raise FormatError(f"mixers has {len(self.mixers)} entries for {self.layers} layers.")
        for mixer in set(self.mixers):
            _one_of("mixers", mixer, get_args(Mixer))

    @property
    def learned_positions(self) -> bool:
        """Positions are learned and added to the embedding."""
        return self.rope is None

    def attention(self, layer: int) -> AttentionSpec:
        """What `attend` must know of layer `layer`, counted from 0."""
        scale = self.query_scalar**-0.5
        if self.scale_by_layer:
            scale /= layer + 1
        return AttentionSpec(self.windows[layer], scale, self.attention_softcap)


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise FormatError(f"{name} is {value!r}; known are {', '.join(known)}.")


def _count(name: str, value: int) -> None:
    if type(value) is not int or not 0 < value < _MAX_VALUES:
        raise FormatError(f"{name} is {value!r}; it must be a whole number from 1 to 2^31 - 1.")


def _finite(name: str, value: float, *, above: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError(f"{name} is {value!r}; it must be a number.")
    if not math.isfinite(value) or value <= above:
        raise FormatError(f"{name} is {value!r}; it must be finite and above {above:g}.")
