"""Mamba and Mamba-2 (Gu and Dao 2023, Dao and Gu 2024), and Jamba (Lieber et al. 2024).

`transformers` computes each from its settings as is done here, with two exceptions that concern
its own cache only: written token by token, its Mamba-2 forgets `time_step_limit`, and its Mamba
and Jamba begin a second part of a prompt from an empty state. Here a model says the same however
it is read.
"""

from __future__ import annotations

import math
from typing import Any

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ExpertsConfig, Mixer, ModelConfig
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.configs.mixer_config import Mamba2Spec, MambaSpec
from kataribe.make.model.families.layout import FamilyLayout
from kataribe.make.model.families.reading import (
    ACTIVATION_NAMES,
    read_activation,
    read_layers,
    share,
)

UNBOUNDED = 32_768
"""Tokens of context where a file says none: these models have no limit of their own."""

_INFINITE = {"__float__": "Infinity"}
"""How `transformers` writes a number that JSON does not have."""
_COMMON = {
    "state_size": 16, "layer_norm_epsilon": 1e-5, "expand": 2, "conv_kernel": 4, "use_bias": False,
    "use_conv_bias": True, "hidden_act": "silu", "residual_in_fp32": True,
    "max_position_embeddings": UNBOUNDED,
}  # fmt: skip
_MAMBA = _COMMON | {
    "vocab_size": 50280, "hidden_size": 768, "num_hidden_layers": 32, "time_step_rank": "auto",
    "tie_word_embeddings": True,
}  # fmt: skip
_MAMBA2 = _COMMON | {
    "vocab_size": 32768, "hidden_size": 4096, "num_hidden_layers": 64, "state_size": 128,
    "num_heads": 128, "head_dim": 64, "n_groups": 8, "time_step_limit": [0.0, _INFINITE],
    "tie_word_embeddings": False,
}  # fmt: skip
_JAMBA = {
    "vocab_size": 65536, "tie_word_embeddings": False, "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "hidden_act": "silu", "rms_norm_eps": 1e-6,
    "max_position_embeddings": 262144, "num_experts_per_tok": 2, "num_experts": 16,
    "expert_layer_period": 2, "expert_layer_offset": 1, "attn_layer_period": 8,
    "attn_layer_offset": 4, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2,
    "mamba_dt_rank": "auto", "mamba_conv_bias": True, "mamba_proj_bias": False,
    "router_aux_loss_coef": 0.001,
}  # fmt: skip
_INITIAL = (
    "time_step_min", "time_step_max", "time_step_floor", "time_step_scale",
    "time_step_init_scheme", "rescale_prenorm_residual", "use_mambapy", "use_associative_scan",
    "use_mamba_kernels", "chunk_size",
)  # fmt: skip
"""First values, and how to compute what: no logit depends on them."""
_OLDER = ("d_model", "d_inner", "n_layer", "intermediate_size", "pad_vocab_size_multiple")
"""What the first programs called these sizes; `transformers` passes over them, too."""


def _shared(fields: Fields) -> tuple[dict[str, Any], int]:
    """What Mamba and Mamba-2 have in common, and the width inside of their layers."""
    fields.pass_over(_INITIAL)
    fields.pass_over(_OLDER)
    fields.expect("rms_norm", [True])
    fields.pass_over(("fused_add_norm",))
    # Published files say true and false; `transformers` gates first whatever they say.
    fields.pass_over(("norm_before_gate",))
    fields.table("ssm_cfg").finish(("layer",))
    hidden, layers = fields.integer("hidden_size"), read_layers(fields, "num_hidden_layers")
    values = {
        "vocab_size": fields.integer("vocab_size"),
        "hidden_size": hidden,
        "layers": layers,
        "heads": 0,
        "kv_heads": 0,
        "head_dim": 0,
        "intermediate_size": 0,
        "context_length": fields.integer("max_position_embeddings"),
        "windows": (None,) * layers,
        "rope": None,
        "norm_eps": fields.number("layer_norm_epsilon"),
        "positionless": True,
        "float32_residual": fields.flag("residual_in_fp32"),
        "tied": fields.flag("tie_word_embeddings"),
    }
    return values, int(fields.number("expand") * hidden)


def _read_mamba(fields: Fields) -> ModelConfig:
    values, width = _shared(fields)
    spec = MambaSpec(
        width=width,
        states=fields.integer("state_size"),
        kernel=fields.integer("conv_kernel"),
        step_rank=_rank(fields, "time_step_rank", values["hidden_size"]),
        conv_bias=fields.flag("use_conv_bias"),
        bias=fields.flag("use_bias"),
        activation=read_activation(fields, "hidden_act"),
    )
    return ModelConfig(family="mamba", **values, mixers=("mamba",) * values["layers"], mamba=spec)


def _read_mamba2(fields: Fields) -> ModelConfig:
    values, width = _shared(fields)
    fields.pass_over(("time_step_rank",))  # of Mamba-1, and in no use
    spec = Mamba2Spec(
        heads=fields.integer("num_heads"),
        head_dim=fields.integer("head_dim"),
        states=fields.integer("state_size"),
        groups=fields.integer("n_groups"),
        kernel=fields.integer("conv_kernel"),
        conv_bias=fields.flag("use_conv_bias"),
        bias=fields.flag("use_bias"),
        step_limits=_limits(fields),
        activation=read_activation(fields, "hidden_act"),
    )
    if spec.width != width:
        raise FormatError(
            f"{fields.source}: num_heads * head_dim is {spec.width}, but expand * hidden_size is "
            f"{width}; the two must be the same."
        )
    return ModelConfig(
        family="mamba2", **values, mixers=("mamba2",) * values["layers"], mamba2=spec
    )


def _rank(fields: Fields, name: str, hidden: int) -> int:
    if fields.is_text(name):
        fields.expect(name, ["auto"])
        return math.ceil(hidden / 16)
    return fields.integer(name)


def _limits(fields: Fields) -> tuple[float, float]:
    bounds = [
        math.inf if bound == _INFINITE else bound for bound in fields.sequence("time_step_limit")
    ]
    if len(bounds) != 2 or any(type(bound) not in (int, float) for bound in bounds):
        raise FormatError(f"{fields.source}: time_step_limit is {bounds!r:.80}; it is two numbers.")
    return float(bounds[0]), float(bounds[1])


def _read_jamba(fields: Fields) -> ModelConfig:
    fields.pass_over(_INITIAL)
    fields.pass_over(("num_logits_to_keep", "calc_logits_for_entire_prompt"))
    fields.expect("mamba_inner_layernorms", [True])
    fields.expect("sliding_window", [None])
    hidden, layers = fields.integer("hidden_size"), read_layers(fields, "num_hidden_layers")
    attends = _every(fields, "attn_layer", layers)
    mixers: tuple[Mixer, ...] = tuple("attention" if here else "mamba" for here in attends)
    heads = fields.integer("num_attention_heads")
    head_dim = share(fields, hidden, heads)
    kv_heads = fields.optional_integer("num_key_value_heads") or heads
    activation = read_activation(fields, "hidden_act")
    spec = MambaSpec(
        width=fields.integer("mamba_expand") * hidden,
        states=fields.integer("mamba_d_state"),
        kernel=fields.integer("mamba_d_conv"),
        step_rank=_rank(fields, "mamba_dt_rank", hidden),
        conv_bias=fields.flag("mamba_conv_bias"),
        bias=fields.flag("mamba_proj_bias"),
        norms=True,
        activation=activation,
    )
    attention = any(attends)
    return ModelConfig(
        family="jamba",
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        layers=layers,
        heads=heads if attention else 0,
        kv_heads=kv_heads if attention else 0,
        head_dim=head_dim if attention else 0,
        intermediate_size=fields.integer("intermediate_size"),
        context_length=fields.integer("max_position_embeddings"),
        windows=(None,) * layers,
        rope=None,
        norm_eps=fields.number("rms_norm_eps"),
        activation=activation,
        query_scalar=float(head_dim),
        tied=fields.flag("tie_word_embeddings"),
        experts=_read_experts(fields, layers),
        mixers=mixers,
        mamba=None if all(attends) else spec,
        positionless=True,
    )


def _every(fields: Fields, name: str, layers: int) -> list[bool]:
    """Which layers are the ones at an offset of a period."""
    period, offset = fields.integer(f"{name}_period"), fields.integer(f"{name}_offset")
    if offset >= period:
        raise FormatError(
            f"{fields.source}: {name}_offset is {offset}; it must be below {name}_period, {period}."
        )
    return [layer % period == offset for layer in range(layers)]


def _read_experts(fields: Fields, layers: int) -> ExpertsConfig | None:
    sparse, count = _every(fields, "expert_layer", layers), fields.integer("num_experts")
    spec: dict[str, Any] = {
        "per_token": fields.integer("num_experts_per_tok"),
        "width": fields.integer("intermediate_size"),
        "balance": fields.number("router_aux_loss_coef"),
    }
    if count <= 1 or not any(sparse):
        return None
    return ExpertsConfig(count=count, layers=tuple(sparse), **spec)


def _write_shared(config: ModelConfig) -> dict[str, Any]:
    return {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "max_position_embeddings": config.context_length,
        "layer_norm_epsilon": config.norm_eps,
        "residual_in_fp32": config.float32_residual,
    }


def _write_mamba(config: ModelConfig) -> dict[str, Any]:
    spec = config.mamba
    if spec is None:
        raise FormatError("A mamba model has layers of mamba, this one has none.")
    return {
        **_write_shared(config),
        "state_size": spec.states,
        "expand": _ratio(spec.width, config.hidden_size),
        "intermediate_size": spec.width,
        "conv_kernel": spec.kernel,
        "time_step_rank": spec.step_rank,
        "use_conv_bias": spec.conv_bias,
        "use_bias": spec.bias,
        "hidden_act": ACTIVATION_NAMES[spec.activation],
    }


def _write_mamba2(config: ModelConfig) -> dict[str, Any]:
    spec = config.mamba2
    if spec is None:
        raise FormatError("A mamba2 model has layers of mamba2, this one has none.")
    return {
        **_write_shared(config),
        "num_heads": spec.heads,
        "head_dim": spec.head_dim,
        "state_size": spec.states,
        "n_groups": spec.groups,
        "expand": _ratio(spec.width, config.hidden_size),
        "conv_kernel": spec.kernel,
        "time_step_limit": [bound if bound < math.inf else _INFINITE for bound in spec.step_limits],
        "use_conv_bias": spec.conv_bias,
        "use_bias": spec.bias,
        "hidden_act": ACTIVATION_NAMES[spec.activation],
    }


def _write_jamba(config: ModelConfig) -> dict[str, Any]:
    spec, experts = config.mamba, config.experts
    if spec is None:
        raise FormatError("A jamba model has layers of mamba, this one has none.")
    period, offset = _period("attention", [mixer == "attention" for mixer in config.mixers])
    settings = {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads or 1,
        "num_key_value_heads": config.kv_heads or 1,
        "hidden_act": ACTIVATION_NAMES[config.activation],
        "rms_norm_eps": config.norm_eps,
        "max_position_embeddings": config.context_length,
        "attn_layer_period": period,
        "attn_layer_offset": offset,
        "mamba_d_state": spec.states,
        "mamba_d_conv": spec.kernel,
        "mamba_expand": _ratio(spec.width, config.hidden_size),
        "mamba_dt_rank": spec.step_rank,
        "mamba_conv_bias": spec.conv_bias,
        "mamba_proj_bias": spec.bias,
        "num_experts": 1,
    }
    if experts is not None:
        period, offset = _period("experts", list(experts.layers))
        settings |= {
            "expert_layer_period": period,
            "expert_layer_offset": offset,
            "num_experts": experts.count,
            "num_experts_per_tok": experts.per_token,
            "router_aux_loss_coef": experts.balance,
        }
    return settings


def _period(name: str, here: list[bool]) -> tuple[int, int]:
    """The period and offset of the layers that are so."""
    layers = len(here)
    for period in range(1, layers + 2):
        for offset in range(min(period, layers + 1)):
            if [layer % period == offset for layer in range(layers)] == here:
                return period, offset
    raise FormatError(
        f"A jamba config.json cannot say that layers "
        f"{[layer for layer in range(layers) if here[layer]]} have {name}: it has a period and an "
        "offset only. Save the model as family kataribe."
    )


def _ratio(width: int, hidden: int) -> float:
    return width // hidden if width % hidden == 0 else width / hidden


LAYOUTS = (
    FamilyLayout("mamba", "MambaForCausalLM", _MAMBA, _read_mamba, _write_mamba, ("mamba",)),
    FamilyLayout("mamba2", "Mamba2ForCausalLM", _MAMBA2, _read_mamba2, _write_mamba2, ("mamba2",)),
    FamilyLayout("jamba", "JambaForCausalLM", _JAMBA, _read_jamba, _write_jamba, ("jamba",)),
)
