"""All published families: their config.json to `ModelConfig` and back.

Every difference between families ends here as a value of a field. The meaning of each setting is
that of `transformers`, whose models define these families. What a file sets and this room does
not know is refused, never ignored. A new family is a `FamilyLayout` in a file of this package,
listed in `LAYOUTS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kataribe.base.errors import ArchitectureError
from kataribe.make.model.configs.config import Family, ModelConfig
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.configs.own_code import brings_code, foreign_code
from kataribe.make.model.families import experts, gpt2, own, recurrent, rotary, ternary
from kataribe.make.model.families.layout import FamilyLayout
from kataribe.make.model.families.reading_back import check_reads_back
from kataribe.make.model.weights.ternary_files import read_ternary, write_ternary

LAYOUTS: Mapping[Family, FamilyLayout] = {
    layout.family: layout
    for layout in (
        *gpt2.LAYOUTS, *rotary.LAYOUTS, *experts.LAYOUTS, *ternary.LAYOUTS, *recurrent.LAYOUTS,
        *own.LAYOUTS,
    )
}  # fmt: skip
"""Every family that is built here."""
MODEL_TYPES: Mapping[str, Family] = {
    model_type: layout.family for layout in LAYOUTS.values() for model_type in layout.model_types
}
"""`model_type` of config.json -> family."""
DEFAULTS: Mapping[Family, Mapping[str, Any]] = {
    family: layout.defaults for family, layout in LAYOUTS.items()
}
"""What a setting is where config.json leaves it out."""

_NEUTRAL = frozenset({
    "architectures", "attention_dropout", "attn_implementation", "attn_pdrop", "auto_map",
    "bos_token_id",
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
    "decoder_start_token_id", "model_max_length", "router_jitter_noise", "output_router_logits",
})  # fmt: skip
"""Settings of training, of generation and of the writing program: no logit depends on them."""
_NEUTRAL_PREFIXES = ("_", "unsloth", "transformers", "onnx", "torch")


def config_from_hf(raw: Mapping[str, Any]) -> ModelConfig:
    """The model that a config.json describes.

    Raises `ArchitectureError` for a family that is not built here, `FormatError` for a setting
    that is missing, impossible or unknown.
    """
    family = _family(raw)
    own_code = brings_code(raw)
    if isinstance(raw.get("text_config"), Mapping):  # Gemma 3 with images: its text decoder
        shared = {key: raw[key] for key in ("tie_word_embeddings",) if raw.get(key) is not None}
        raw = shared | dict(raw["text_config"])
    weights = read_ternary(raw.get("quantization_config"))
    raw = {name: value for name, value in raw.items() if name != "quantization_config"}
    layout = LAYOUTS[family]
    raw = {layout.aliases.get(name, name): value for name, value in raw.items()}
    own_code = own_code or brings_code(raw)
    fields = Fields("config.json", {**layout.defaults, **raw}, own_code=own_code)
    fields.expect("is_causal", [True])
    fields.expect("is_encoder_decoder", [False])
    fields.expect("add_cross_attention", [False])
    config = layout.read(fields)
    fields.finish(_NEUTRAL, _NEUTRAL_PREFIXES)
    return dataclasses.replace(config, ternary=weights)


def config_to_hf(config: ModelConfig) -> dict[str, Any]:
    """The config.json with which `transformers` builds the same model.

    Raises `FormatError` where the family's config.json has no words for this configuration.
    """
    layout = LAYOUTS[config.family]
    settings = {
        "model_type": layout.model_types[0],
        "architectures": [layout.class_name],
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied,
        **layout.write(config),
        **write_ternary(config),
    }
    back = config_from_hf(settings)
    check_reads_back(config, back)
    return settings


def _family(raw: Mapping[str, Any]) -> Family:
    model_type = raw.get("model_type")
    family = MODEL_TYPES.get(model_type) if isinstance(model_type, str) else None
    foreign = foreign_code(raw, None if family is None else LAYOUTS[family].class_name)
    if family is None or foreign:
        raise ArchitectureError(
            f"config.json says architecture {model_type!r:.60}{foreign}; supported are "
            f"{', '.join(MODEL_TYPES)}. Choose a model of one of these families."
        )
    return family
