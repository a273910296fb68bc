"""What a decoder is, in plain frozen values: every difference between families is a field here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.checks import count, finite, one_of
from kataribe.make.model.configs.mixer_config import HyenaSpec, Mamba2Spec, MambaSpec

Family: TypeAlias = Literal[
    "gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "mixtral", "qwen2moe",
    "qwen3moe", "bitnet", "mamba", "mamba2", "jamba", "kataribe",
]  # fmt: skip
Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh", "relu", "relu2"]
Scoring: TypeAlias = Literal["softmax_topk", "topk_softmax"]
TernaryWeights: TypeAlias = Literal["rounded", "given"]
NormKind: TypeAlias = Literal["rms", "layer"]
Mixer: TypeAlias = Literal["attention", "mamba", "mamba2", "hyena"]
RopeKind: TypeAlias = Literal["default", "linear", "dynamic", "yarn", "longrope", "llama3"]

FAMILIES: tuple[Family, ...] = get_args(Family)

MAX_LAYERS = 4096
"""Ten times what the deepest published models have."""


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
        one_of("rope kind", self.kind, get_args(RopeKind))
        finite("rope theta", self.theta, above=1.0 if self.kind == "yarn" else 0.0)
        finite("rope factor", self.factor, above=0.0)
        finite("rope attention_factor", self.attention_factor, above=0.0)
        if self.kind in ("dynamic", "yarn", "longrope", "llama3"):
            count("rope original_context", self.original_context or 0)
        if self.kind == "yarn":
            finite("rope beta_slow", self.beta_slow, above=0.0)
            finite("rope beta_fast", self.beta_fast, above=0.0)
        if self.kind == "llama3":
            finite("rope low_freq_factor", self.low_freq_factor, above=0.0)
            finite("rope high_freq_factor", self.high_freq_factor, above=self.low_freq_factor)
        if self.kind == "longrope":
            for factor in self.short_factors + self.long_factors:
                finite("rope short_factors and long_factors", factor, above=0.0)

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
class ExpertsConfig:
    """A mixture of experts in place of the MLP (Shazeer et al. 2017; Fedus et al. 2021).

    Attributes:
        count: Experts per sparse layer.
        per_token: Of them, how many a token goes through.
        width: Inside of each expert.
        layers: Per layer, whether it has experts; the others have an ordinary MLP.
        scoring: The weights of the chosen experts: `softmax_topk` is a share of the softmax over
            all of them, `topk_softmax` the softmax over the chosen ones.
        normalized: The shares of `softmax_topk` are divided by their sum; which is what
            `topk_softmax` gives, too, so that the two together are refused.
        shared_width: Inside of an expert that every token goes through; 0 for none.
        shared_gate: The shared expert's result is multiplied by a sigmoid of the token.
        balance: Coefficient of the load-balance loss in training; see `experts`.
    """

    count: int
    per_token: int
    width: int
    layers: tuple[bool, ...]
    scoring: Scoring = "softmax_topk"
    normalized: bool = False
    shared_width: int = 0
    shared_gate: bool = False
    balance: float = 0.001

    def __post_init__(self) -> None:
        for name in ("count", "per_token", "width"):
            count(f"experts {name}", getattr(self, name))
        count("experts count * width", self.count * self.width)
        one_of("experts scoring", self.scoring, get_args(Scoring))
        if self.per_token > self.count:
            raise FormatError(f"A token goes through {self.per_token} of {self.count} experts.")
        if self.scoring == "topk_softmax" and self.normalized:
            raise FormatError("Weights of topk_softmax add up to one; normalized must be false.")
        if self.shared_width or self.shared_gate:
            count("experts shared_width", self.shared_width)
        finite("experts balance + 1", self.balance + 1, above=1 - 1e-9)
        if not any(self.layers):
            raise FormatError("No layer has experts. Leave them out of the configuration.")


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
        experts: What stands in place of the MLP in some or all layers.
        ternary: Matrices of blocks hold -1, 0 and 1 times one scale, and what they multiply is
            rounded to 8 bits per token (Ma et al. 2024, BitNet b1.58). `rounded`: at every use,
            from ordinary weights, which is how they are trained; `given`: they are so already.
        inner_norms: A norm before the attention's output projection and one before the MLP's.
        mixers: Per layer, what mixes tokens with those before them; empty for attention in all.
            Where no layer attends, `heads`, `kv_heads` and `head_dim` are 0.
        mamba: What layers of `mamba` are.
        mamba2: What layers of `mamba2` are.
        hyena: What layers of `hyena` are.
        positionless: Without `rope`, tokens are told no positions at all: recurrent layers know
            the order by themselves, and attention sees how much there is before each token.
        float32_residual: The residual stream is float32 whatever the type of the weights; for
            models without attention and MLPs (`intermediate_size` is 0).
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
    experts: ExpertsConfig | None = None
    ternary: TernaryWeights | None = None
    inner_norms: bool = False
    mixers: tuple[Mixer, ...] = ()
    mamba: MambaSpec | None = None
    mamba2: Mamba2Spec | None = None
    hyena: HyenaSpec | None = None
    positionless: bool = False
    float32_residual: bool = False

    def __post_init__(self) -> None:
        one_of("family", self.family, FAMILIES)
        one_of("norm", self.norm, get_args(NormKind))
        one_of("activation", self.activation, get_args(Activation))
        if self.layers > MAX_LAYERS:
            raise FormatError(f"layers is {self.layers}; at most {MAX_LAYERS} are possible.")
        for name in ("vocab_size", "hidden_size", "layers", "context_length"):
            count(name, getattr(self, name))
        self._check_mixers()
        self._check_blocks()
        if len(self.windows) != self.layers:
            raise FormatError(f"windows has {len(self.windows)} entries for {self.layers} layers.")
        for window in set(self.windows) - {None}:
            count("windows", window or 0)
        finite("norm_eps", self.norm_eps, above=0.0)
        finite("query_scalar", self.query_scalar, above=0.0)
        finite("embedding_scale", self.embedding_scale, above=0.0)
        for name in ("attention_softcap", "logits_softcap"):
            cap = getattr(self, name)
            if cap is not None:
                finite(name, cap, above=0.0)
        self._check_positions()
        self._check_experts()
        if self.ternary is not None:
            one_of("ternary", self.ternary, get_args(TernaryWeights))

    def _check_positions(self) -> None:
        if self.local_rope is not None and (self.rope is None or not any(self.windows)):
            raise FormatError("local_rope needs rope beside it, and layers with a window.")
        if self.positionless and self.rope is not None:
            raise FormatError("positionless is for models without rope.")
        for rope in (self.rope, self.local_rope):
            if rope is not None:
                rope.check_head(self.head_dim)

    def _check_mixers(self) -> None:
        if not self.mixers:
            object.__setattr__(self, "mixers", ("attention",) * self.layers)
        if len(self.mixers) != self.layers:
            raise FormatError(f"mixers has {len(self.mixers)} entries for {self.layers} layers.")
        for mixer in sorted(set(self.mixers)):
            one_of("mixers", mixer, get_args(Mixer))
        for name in ("mamba", "mamba2", "hyena"):
            if (getattr(self, name) is not None) != (name in self.mixers):
                raise FormatError(
                    f"{name} must be given where layers are of {name}, and only there; mixers "
                    f"names {', '.join(sorted(set(self.mixers)))}."
                )
        if self.is_recurrent and (self.post_norms or self.ternary or self.inner_norms):
            raise FormatError(
                "Layers of mamba, mamba2 and hyena are built without post_norms, inner_norms and "
                "ternary matrices. Leave these out."
            )

    def _check_blocks(self) -> None:
        """Sizes of attention and MLP, which are 0 where there are none."""
        attends = "attention" in self.mixers
        sizes = ("heads", "kv_heads", "head_dim")
        for name in sizes if attends else ():
            count(name, getattr(self, name))
        if not attends and any(getattr(self, name) != 0 for name in sizes):
            raise FormatError("No layer attends, so heads, kv_heads and head_dim must be 0.")
        if attends:
            count("heads * head_dim", self.heads * self.head_dim)
            if self.heads % self.kv_heads:
                raise FormatError(
                    f"heads is {self.heads} and kv_heads {self.kv_heads}; heads must be a multiple."
                )
        if attends or self.intermediate_size != 0:
            count("intermediate_size", self.intermediate_size)
        if self.float32_residual and (attends or self.intermediate_size):
            raise FormatError("float32_residual is for models without attention and MLPs.")

    def _check_experts(self) -> None:
        if self.experts is None:
            return
        if len(self.experts.layers) != self.layers:
            raise FormatError(
                f"experts layers has {len(self.experts.layers)} entries for {self.layers} layers."
            )
        if not self.gated:
            raise FormatError("Experts are gated MLPs; gated must be true.")

    def has_experts(self, layer: int) -> bool:
        """Layer `layer`, counted from 0, has experts in place of its MLP."""
        return self.experts is not None and self.experts.layers[layer]

    @property
    def learned_positions(self) -> bool:
        """Positions are learned and added to the embedding."""
        return self.rope is None and not self.positionless

    @property
    def is_recurrent(self) -> bool:
        """Some layers keep a state, so that the past is more than keys and values by position."""
        return any(mixer != "attention" for mixer in self.mixers)

    def attention(self, layer: int) -> AttentionSpec:
        """What `attend` must know of layer `layer`, counted from 0."""
        scale = self.query_scalar**-0.5
        if self.scale_by_layer:
            scale /= layer + 1
        return AttentionSpec(self.windows[layer], scale, self.attention_softcap)
