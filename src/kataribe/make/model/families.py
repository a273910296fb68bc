"""Published families: their config.json to `ModelConfig` and back.

Every difference between families ends here as a value of a field. The meaning of each setting is
that of `transformers`, whose models define these families. What a file sets and this room does
not know is refused, never ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.make.model.config import MAX_LAYERS, Activation, Family, ModelConfig
from kataribe.make.model.fields import Fields
from kataribe.make.model.rope_settings import rope_from_hf, rope_to_hf

MODEL_TYPES: Mapping[str, Family] = {
    "gpt2": "gpt2",
    "llama": "llama",
    "mistral": "mistral",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "gemma3_text": "gemma3",
}
"""`model_type` of config.json -> family."""

ARCHITECTURES: Mapping[Family, tuple[str, str]] = {
    "gpt2": ("gpt2", "GPT2LMHeadModel"),
    "llama": ("llama", "LlamaForCausalLM"),
    "mistral": ("mistral", "MistralForCausalLM"),
    "qwen2": ("qwen2", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
    "gemma2": ("gemma2", "Gemma2ForCausalLM"),
    "gemma3": ("gemma3_text", "Gemma3ForCausalLM"),
}
"""Family -> `model_type` and class name that a saved config.json says."""

ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
"""Names in config.json; the four of the tanh approximation differ in rounding only."""
_ACTIVATION_NAMES: Mapping[Activation, str] = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "relu": "relu",
}

_DECODER = {
    "num_key_value_heads": None, "head_dim": None, "hidden_act": "silu", "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}  # fmt: skip
_QWEN = _DECODER | {
    "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 32768,
    "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28,
    "layer_types": None, "attention_bias": False,
}  # fmt: skip
_GEMMA = {
    "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "attention_bias": False,
    "query_pre_attn_scalar": 256, "sliding_window": 4096, "layer_types": None,
    "tie_word_embeddings": True,
}  # fmt: skip
DEFAULTS: Mapping[Family, Mapping[str, Any]] = {
    "gpt2": {
        "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
        "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
        "tie_word_embeddings": True,
    },
    "llama": _DECODER | {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048,
        "attention_bias": False, "mlp_bias": False,
    },
    "mistral": _DECODER | {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 131072, "sliding_window": 4096,
    },
    "qwen2": {name: value for name, value in _QWEN.items() if name != "attention_bias"},
    "qwen3": _QWEN | {"head_dim": 128},
    "gemma2": _GEMMA | {
        "vocab_size": 256000, "max_position_embeddings": 8192, "final_logit_softcapping": 30.0,
        "attn_logit_softcapping": 50.0,
    },
    "gemma3": _GEMMA | {
        "vocab_size": 262208, "max_position_embeddings": 131072, "sliding_window_pattern": 6,
        "final_logit_softcapping": None,
    },
}  # fmt: skip
"""What a setting is where config.json leaves it out; published files do leave out a lot."""
_GPT2_NAMES = {
    "hidden_size": "n_embd", "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
}  # fmt: skip

_NEUTRAL = frozenset({
    "architectures", "attention_dropout", "attn_implementation", "attn_pdrop", "bos_token_id",
    "cache_implementation", "chunk_size_feed_forward", "classifier_dropout", "dtype", "embd_pdrop",
    "eos_token_id", "finetuning_task", "gradient_checkpointing", "hidden_dropout", "id2label",
    "initializer_range", "is_decoder", "is_llama_config", "keys_to_ignore_at_inference", "label2id",
    "model_type", "n_ctx", "num_labels", "output_attentions", "output_hidden_states",
    "output_scores", "pad_token_id", "pretraining_tp", "problem_type", "reorder_and_upcast_attn",
    "resid_pdrop", "return_dict", "sep_token_id", "summary_activation", "summary_first_dropout",
    "summary_proj_to_labels", "summary_type", "summary_use_proj", "task_specific_params",
    "tokenizer_class", "torch_dtype", "torchscript", "transformers_version", "use_bfloat16",
    "use_cache", "max_length", "min_length", "do_sample", "early_stopping", "num_beams",
    "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
    "num_return_sequences", "return_dict_in_generate", "remove_invalid_values",
    "decoder_start_token_id", "model_max_length",
})  # fmt: skip
"""Settings of training, of generation and of the writing program: no logit depends on them."""
_NEUTRAL_PREFIXES = ("_", "unsloth", "transformers", "onnx", "torch")


def config_from_hf(raw: Mapping[str, Any]) -> ModelConfig:
    """The model that a config.json describes.

    Raises `ArchitectureError` for a family that is not built here, `FormatError` for a setting
    that is missing, impossible or unknown.
    """
    family = _family(raw)
    if isinstance(raw.get("text_config"), Mapping):  # Gemma 3 with images: its text decoder
        shared = {key: raw[key] for key in ("tie_word_embeddings",) if raw.get(key) is not None}
        raw = shared | dict(raw["text_config"])
    if raw.get("quantization_config"):
        raise FormatError(
            "config.json has a quantization_config: its weights are packed in a way that is not "
            "read here. Use the unquantised model or a GGUF file."
        )
    if family == "gpt2":
        raw = {_GPT2_NAMES.get(name, name): value for name, value in raw.items()}
    fields = Fields("config.json", {**DEFAULTS[family], **raw})
    fields.expect("is_encoder_decoder", [False])
    fields.expect("add_cross_attention", [False])
    config = _read_gpt2(fields) if family == "gpt2" else _read_rotary(fields, family)
    fields.finish(_NEUTRAL, _NEUTRAL_PREFIXES)
    return config


def config_to_hf(config: ModelConfig) -> dict[str, Any]:
    """The config.json with which `transformers` builds the same model.

    Raises `FormatError` where the family's config.json has no words for this configuration.
    """
    model_type, class_name = ARCHITECTURES[config.family]
    settings = {
        "model_type": model_type,
        "architectures": [class_name],
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied,
        **(_write_gpt2(config) if config.family == "gpt2" else _write_rotary(config)),
    }
    back = config_from_hf(settings)
    for field in dataclasses.fields(ModelConfig):
        wanted, got = getattr(config, field.name), getattr(back, field.name)
        if wanted != got:
            raise FormatError(
                f"A {config.family} config.json cannot say {field.name} = {wanted!r:.80}: it would "
                f"be read as {got!r:.80}. Change the model, or save it as another family."
            )
    return settings


def _family(raw: Mapping[str, Any]) -> Family:
    model_type = raw.get("model_type")
    family = MODEL_TYPES.get(model_type) if isinstance(model_type, str) else None
    custom = raw.get("auto_map")
    if family is None or custom:
        what = f"architecture {model_type!r:.60}" + (" with code of its own" if custom else "")
        raise ArchitectureError(
            f"config.json says {what}; supported are {', '.join(MODEL_TYPES)}. Choose a model of "
            "one of these families."
        )
    return family


def _read_gpt2(fields: Fields) -> ModelConfig:
    hidden, heads = fields.integer("n_embd"), fields.integer("n_head")
    layers = _layers(fields, "n_layer")
    head_dim = _share(fields, hidden, heads)
    return ModelConfig(
        family="gpt2",
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        intermediate_size=fields.optional_integer("n_inner") or 4 * hidden,
        context_length=fields.integer("n_positions"),
        windows=(None,) * layers,
        rope=None,
        norm="layer",
        norm_eps=fields.number("layer_norm_epsilon"),
        activation=_activation(fields, "activation_function"),
        gated=False,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        query_scalar=float(head_dim) if fields.flag("scale_attn_weights") else 1.0,
        scale_by_layer=fields.flag("scale_attn_by_inverse_layer_idx"),
        tied=fields.flag("tie_word_embeddings"),
    )


def _read_rotary(fields: Fields, family: Family) -> ModelConfig:
    """All families but GPT-2: they name alike what they have in common."""
    gemma = family in ("gemma2", "gemma3")
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    layers = _layers(fields, "num_hidden_layers")
    context = fields.integer("max_position_embeddings")
    head_dim = fields.optional_integer("head_dim") or _share(fields, hidden, heads)
    rope, local_rope = rope_from_hf(fields, context, layered=family == "gemma3")
    windows = _windows(fields, family, layers)
    bias = family == "qwen2" or fields.flag("attention_bias", default=False)
    return ModelConfig(
        family=family,
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        kv_heads=fields.optional_integer("num_key_value_heads") or heads,
        head_dim=head_dim,
        intermediate_size=fields.integer("intermediate_size"),
        context_length=context,
        windows=windows,
        rope=rope,
        local_rope=local_rope if any(windows) else None,
        norm_eps=fields.number("rms_norm_eps"),
        qk_norm=family in ("qwen3", "gemma3"),
        post_norms=gemma,
        activation=_activation(fields, "hidden_activation" if gemma else "hidden_act"),
        qkv_bias=bias,
        output_bias=bias and family != "qwen2",
        mlp_bias=fields.flag("mlp_bias", default=False) if family == "llama" else False,
        tied=fields.flag("tie_word_embeddings"),
        **(_read_gemma(fields, family, hidden) if gemma else {"query_scalar": float(head_dim)}),
    )


def _read_gemma(fields: Fields, family: Family, hidden: int) -> dict[str, Any]:
    fields.expect("use_bidirectional_attention", [False])
    fields.text("hidden_act", "")  # an older name beside hidden_activation; nothing reads it
    if family == "gemma3":  # has no such cap, and transformers passes over it
        fields.expect("attn_logit_softcapping", [None])
    return {
        "query_scalar": fields.number("query_pre_attn_scalar"),
        "attention_softcap": fields.optional_number("attn_logit_softcapping"),
        "logits_softcap": fields.optional_number("final_logit_softcapping"),
        "embedding_scale": hidden**0.5,
    }


def _windows(fields: Fields, family: Family, layers: int) -> tuple[int | None, ...]:
    """The sliding window of each layer."""
    if family == "llama":
        return (None,) * layers
    window = fields.optional_integer("sliding_window")
    if family == "mistral":
        return (window,) * layers
    if family in ("qwen2", "qwen3"):
        window = window if fields.flag("use_sliding_window") else None
        first = fields.integer("max_window_layers")
        slides = [window is not None and layer >= first for layer in range(layers)]
    else:
        pattern = 2 if family == "gemma2" else fields.integer("sliding_window_pattern")
        slides = [(layer + 1) % max(pattern, 1) > 0 for layer in range(layers)]
    if fields.has("layer_types"):
        slides = _slides(fields, layers)
    if any(slides) and window is None:
        raise FormatError(
            f"{fields.source} has layers of sliding_attention, but no sliding_window in use."
        )
    return tuple(window if slide else None for slide in slides)


def _slides(fields: Fields, layers: int) -> list[bool]:
    types = fields.sequence("layer_types")
    known = {"sliding_attention": True, "full_attention": False}
    unknown = [kind for kind in types if not isinstance(kind, str) or kind not in known]
    if unknown or len(types) != layers:
        raise FormatError(
            f"{fields.source}: layer_types names {len(types)} layers of {layers}"
            + (f", and {unknown[0]!r:.60}" if unknown else "")
            + f"; known are {', '.join(known)}."
        )
    return [known[kind] for kind in types]


def _layers(fields: Fields, name: str) -> int:
    layers = fields.integer(name)
    if not 1 <= layers <= MAX_LAYERS:
        raise FormatError(f"{fields.source}: {name} is {layers}; possible are 1 to {MAX_LAYERS}.")
    return layers


def _share(fields: Fields, hidden: int, heads: int) -> int:
    if heads < 1 or hidden % heads:
        raise FormatError(
            f"{fields.source}: {hidden} values cannot be divided among {heads} heads, and no "
            "head_dim is given."
        )
    return hidden // heads


def _activation(fields: Fields, name: str) -> Activation:
    word = fields.text(name)
    if word not in ACTIVATIONS:
        raise FormatError(
            f"{fields.source}: {name} is {word!r:.60}; known are {', '.join(ACTIVATIONS)}."
        )
    return ACTIVATIONS[word]


def _write_gpt2(config: ModelConfig) -> dict[str, Any]:
    return {
        "n_embd": config.hidden_size,
        "n_head": config.heads,
        "n_layer": config.layers,
        "n_inner": config.intermediate_size,
        "n_positions": config.context_length,
        "layer_norm_epsilon": config.norm_eps,
        "activation_function": _ACTIVATION_NAMES[config.activation],
        "scale_attn_weights": config.query_scalar == config.head_dim,
        "scale_attn_by_inverse_layer_idx": config.scale_by_layer,
    }


def _write_rotary(config: ModelConfig) -> dict[str, Any]:
    if config.rope is None:
        raise FormatError(f"A {config.family} model has rotary positions, this one has none.")
    settings: dict[str, Any] = {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_eps,
        **rope_to_hf(config.rope, config.local_rope, layered=config.family == "gemma3"),
    }
    gemma = config.family in ("gemma2", "gemma3")
    settings["hidden_activation" if gemma else "hidden_act"] = _ACTIVATION_NAMES[config.activation]
    if config.family in ("llama", "qwen3", "gemma2", "gemma3"):
        settings["attention_bias"] = config.qkv_bias
    if config.family == "llama":
        settings["mlp_bias"] = config.mlp_bias
    if gemma:
        settings["query_pre_attn_scalar"] = _whole(config.query_scalar)
        settings["final_logit_softcapping"] = config.logits_softcap
        if config.family == "gemma2":
            settings["attn_logit_softcapping"] = config.attention_softcap
    if config.family != "llama":
        window = next((window for window in config.windows if window is not None), None)
        settings["sliding_window"] = window
    if config.family in ("qwen2", "qwen3"):
        settings["use_sliding_window"] = any(config.windows)
    if config.family in ("qwen2", "qwen3", "gemma2", "gemma3"):
        settings["layer_types"] = [
            "full_attention" if window is None else "sliding_attention" for window in config.windows
        ]
    return settings


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value
