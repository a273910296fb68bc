"""Published encoder-decoders: their config.json to `EncoderDecoderConfig` and back.

The meaning of each setting is that of `transformers`, whose models define these families. What a
file sets and this room does not know is refused, never ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.make.model.configs.config import Activation
from kataribe.make.model.configs.encoder_decoder_config import (
    SOURCE_FAMILIES,
    EncoderDecoderConfig,
    PositionKind,
    SourceFamily,
    StackConfig,
)
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.configs.own_code import brings_code, foreign_code
from kataribe.make.model.families.reading import (
    ACTIVATION_NAMES,
    ACTIVATIONS,
    read_activation,
    read_layers,
    share,
)
from kataribe.make.model.families.reading_back import check_reads_back

_CLASSES: Mapping[SourceFamily, str] = {
    "t5": "T5ForConditionalGeneration",
    "mt5": "MT5ForConditionalGeneration",
    "bart": "BartForConditionalGeneration",
    "mbart": "MBartForConditionalGeneration",
    "pegasus": "PegasusForConditionalGeneration",
    "marian": "MarianMTModel",
}
_T5_LENGTH = 512
"""Tokens that the published T5 models were trained on, source and target alike."""
_T5: Mapping[str, Any] = {
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6, "feed_forward_proj": "relu", "pad_token_id": 0,
    "tie_word_embeddings": True, "n_positions": _T5_LENGTH,
}  # fmt: skip
_BART: Mapping[str, Any] = {
    "vocab_size": 50265, "max_position_embeddings": 1024, "encoder_layers": 12,
    "encoder_ffn_dim": 4096, "encoder_attention_heads": 16, "decoder_layers": 12,
    "decoder_ffn_dim": 4096, "decoder_attention_heads": 16, "activation_function": "gelu",
    "d_model": 1024, "scale_embedding": False, "pad_token_id": 1, "tie_word_embeddings": True,
}  # fmt: skip
SOURCE_DEFAULTS: Mapping[SourceFamily, Mapping[str, Any]] = {
    "t5": _T5,
    "mt5": {
        **_T5, "vocab_size": 250112, "d_ff": 1024, "num_layers": 8, "num_heads": 6,
        "feed_forward_proj": "gated-gelu",
    },
    "bart": {**_BART, "decoder_start_token_id": 2},
    "mbart": _BART,
    "pegasus": {**_BART, "decoder_start_token_id": 0, "pad_token_id": 0},
    "marian": {
        **_BART, "vocab_size": 58101, "decoder_start_token_id": 58100, "pad_token_id": 58100,
    },
}  # fmt: skip
"""What a setting is where config.json leaves it out."""


@dataclass(frozen=True)
class _Kin:
    """What one of BART's kin is built like; config.json need not say it, and some files do."""

    positions: PositionKind
    offset: int
    norm_first: bool
    final_norm: bool
    embedding_norm: bool


_KIN: Mapping[SourceFamily, _Kin] = {
    "bart": _Kin("learned", 2, norm_first=False, final_norm=False, embedding_norm=True),
    "mbart": _Kin("learned", 2, norm_first=True, final_norm=True, embedding_norm=True),
    "pegasus": _Kin("sinusoidal", 0, norm_first=True, final_norm=True, embedding_norm=False),
    "marian": _Kin("sinusoidal", 0, norm_first=False, final_norm=False, embedding_norm=False),
}
_NEUTRAL = frozenset({
    "activation_dropout", "architectures", "attention_dropout", "auto_map", "bad_words_ids",
    "bos_token_id",
    "chunk_size_feed_forward", "classif_dropout", "classifier_dropout", "decoder_layerdrop",
    "decoder_start_token_id", "diversity_penalty", "do_sample", "dropout", "dropout_rate", "dtype",
    "early_stopping", "encoder_layerdrop", "encoder_no_repeat_ngram_size", "eos_token_id",
    "extra_pos_embeddings", "finetuning_task", "force_bos_token_to_be_generated",
    "forced_bos_token_id", "forced_eos_token_id", "gradient_checkpointing", "id2label", "init_std",
    "initializer_factor", "initializer_range", "is_encoder_decoder", "label2id", "length_penalty",
    "max_length", "min_length", "model_max_length", "model_type", "no_repeat_ngram_size",
    "num_beam_groups", "num_beams", "num_hidden_layers", "num_labels", "num_return_sequences",
    "output_attentions", "output_hidden_states", "output_past", "output_scores", "pad_token_id",
    "prefix", "problem_type", "remove_invalid_values", "repetition_penalty", "return_dict",
    "return_dict_in_generate", "sep_token_id", "task_specific_params", "temperature",
    "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript", "typical_p",
    "use_bfloat16", "use_cache",
})  # fmt: skip
"""Settings of training, of generation and of the writing program: no logit depends on them."""
_NEUTRAL_PREFIXES = ("_", "transformers", "onnx", "torch")


def source_config_from_hf(raw: Mapping[str, Any]) -> EncoderDecoderConfig:
    """The encoder-decoder that a config.json describes.

    Whether a T5's head is its embedding, only its tensors tell; `tied` is what the file claims.

    Raises `ArchitectureError` for a family that is not built here, `FormatError` for a setting
    that is missing, impossible or unknown.
    """
    family = next((name for name in SOURCE_FAMILIES if name == raw.get("model_type")), None)
    foreign = foreign_code(raw, None if family is None else _CLASSES[family])
    if family is None or foreign:
        raise ArchitectureError(
            f"config.json says architecture {raw.get('model_type')!r:.60}{foreign}; "
            f"encoder-decoders built here are {', '.join(SOURCE_FAMILIES)}. "
            "Choose a model of one of these families."
        )
    if raw.get("quantization_config"):
        raise FormatError(
            "config.json has a quantization_config: its weights are packed in a way that is not "
            "read here. Use the unquantised model."
        )
    fields = Fields("config.json", {**SOURCE_DEFAULTS[family], **raw}, own_code=brings_code(raw))
    fields.expect("is_encoder_decoder", [True])
    fields.expect("is_decoder", [False])
    kin = _KIN.get(family)
    config = _read_t5(fields, family) if kin is None else _read_kin(fields, family, kin)
    fields.finish(_NEUTRAL, _NEUTRAL_PREFIXES)
    return config


def source_config_to_hf(config: EncoderDecoderConfig) -> dict[str, Any]:
    """The config.json with which `transformers` builds the same model.

    Raises `FormatError` where the family's config.json has no words for this configuration.
    """
    settings: dict[str, Any] = {
        "model_type": config.family,
        "architectures": [_CLASSES[config.family]],
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "d_model": config.hidden_size,
        "decoder_start_token_id": config.start_id,
        "pad_token_id": config.pad_id,
        **(_write_t5(config) if config.family not in _KIN else _write_kin(config)),
    }
    back = source_config_from_hf(settings)
    if config.family not in _KIN:  # the tensors tell
        back = dataclasses.replace(back, tied=config.tied)
    check_reads_back(config, back)
    return settings


def _read_t5(fields: Fields, family: SourceFamily) -> EncoderDecoderConfig:
    hidden, layers = fields.integer("d_model"), read_layers(fields, "num_layers")
    decoder_layers = layers
    if fields.has("num_decoder_layers"):
        decoder_layers = read_layers(fields, "num_decoder_layers")
    activation, gated = _read_projection(fields)
    encoder = StackConfig(
        layers, fields.integer("num_heads"), fields.integer("d_kv"), fields.integer("d_ff"), 1.0
    )
    tied = fields.flag("tie_word_embeddings")
    # A tied head is fed smaller vectors; newer programs say so apart, because they tie always.
    scaled = fields.flag("scale_decoder_outputs", default=tied) and family == "t5"
    pad = fields.integer("pad_token_id")
    return EncoderDecoderConfig(
        family=family,
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        encoder=encoder,
        decoder=dataclasses.replace(encoder, layers=decoder_layers),
        source_length=fields.integer("n_positions"),
        target_length=fields.integer("n_positions"),
        positions="relative",
        relative_buckets=fields.integer("relative_attention_num_buckets"),
        relative_distance=fields.integer("relative_attention_max_distance"),
        norm="rms",
        norm_eps=fields.number("layer_norm_epsilon"),
        norm_first=True,
        final_norm=True,
        activation=activation,
        gated=gated,
        bias=False,
        output_scale=hidden**-0.5 if scaled else 1.0,
        tied=tied,
        start_id=fields.integer("decoder_start_token_id", pad),
        pad_id=pad,
    )


def _read_projection(fields: Fields) -> tuple[Activation, bool]:
    """The nonlinearity, and whether it is gated; T5's `gated-gelu` means the one by tanh."""
    word = fields.text("feed_forward_proj")
    bare = "gelu_new" if word == "gated-gelu" else word.removeprefix("gated-")
    activation = ACTIVATIONS.get(bare)
    if activation is None:
        raise FormatError(
            f"{fields.source}: feed_forward_proj is {word!r:.60}; known are "
            f"{', '.join(ACTIVATIONS)}, each also with 'gated-' before it."
        )
    gated = word.startswith("gated-")
    # Newer programs write down what follows from it.
    fields.expect("is_gated_act", [gated])
    derived = fields.text("dense_act_fn", bare)
    if ACTIVATIONS.get(derived) != activation:
        raise FormatError(
            f"{fields.source}: dense_act_fn is {derived!r:.60}, but feed_forward_proj {word!r:.60}."
        )
    return activation, gated


def _read_kin(fields: Fields, family: SourceFamily, kin: _Kin) -> EncoderDecoderConfig:
    _expect_kin(fields, kin)
    hidden = fields.integer("d_model")
    length = fields.integer("max_position_embeddings")
    return EncoderDecoderConfig(
        family=family,
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        encoder=_read_stack(fields, "encoder", hidden),
        decoder=_read_stack(fields, "decoder", hidden),
        source_length=length,
        target_length=length,
        positions=kin.positions,
        position_offset=kin.offset,
        norm_first=kin.norm_first,
        final_norm=kin.final_norm,
        embedding_norm=kin.embedding_norm,
        activation=read_activation(fields, "activation_function"),
        embedding_scale=hidden**0.5 if fields.flag("scale_embedding") else 1.0,
        logits_bias=True,
        tied=fields.flag("tie_word_embeddings"),
        start_id=fields.integer("decoder_start_token_id"),
        pad_id=fields.integer("pad_token_id"),
    )


def _expect_kin(fields: Fields, kin: _Kin) -> None:
    """Old files say how their family is built; where one says something else, it is none of it."""
    for name, value in (
        ("normalize_before", kin.norm_first),
        ("normalize_embedding", kin.embedding_norm),
        ("add_final_layer_norm", kin.final_norm),
        ("static_position_embeddings", kin.positions == "sinusoidal"),
        ("add_bias_logits", False),
        ("share_encoder_decoder_embeddings", True),
    ):
        fields.expect(name, [value])
    if fields.has("decoder_vocab_size"):
        fields.expect("decoder_vocab_size", [fields.integer("vocab_size")])


def _read_stack(fields: Fields, name: str, hidden: int) -> StackConfig:
    heads = fields.integer(f"{name}_attention_heads")
    head_dim = share(fields, hidden, heads)
    layers = read_layers(fields, f"{name}_layers")
    return StackConfig(layers, heads, head_dim, fields.integer(f"{name}_ffn_dim"), float(head_dim))


def _write_t5(config: EncoderDecoderConfig) -> dict[str, Any]:
    scaled = config.output_scale != 1.0
    word = {"gelu_tanh": "gelu_new", "gelu": "gelu_python"}.get(
        config.activation, ACTIVATION_NAMES[config.activation]
    )
    if config.gated:
        word = "gated-gelu" if config.activation == "gelu_tanh" else f"gated-{word}"
    return {
        "d_kv": config.encoder.head_dim,
        "d_ff": config.encoder.intermediate_size,
        "num_layers": config.encoder.layers,
        "num_decoder_layers": config.decoder.layers,
        "num_heads": config.encoder.heads,
        "n_positions": config.source_length,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_distance,
        "layer_norm_epsilon": config.norm_eps,
        "feed_forward_proj": word,
        "tie_word_embeddings": scaled if config.family == "t5" else config.tied,
    }


def _write_kin(config: EncoderDecoderConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "max_position_embeddings": config.source_length,
        "activation_function": ACTIVATION_NAMES[config.activation],
        "scale_embedding": config.embedding_scale != 1.0,
        "tie_word_embeddings": config.tied,
    }
    for name, stack in (("encoder", config.encoder), ("decoder", config.decoder)):
        settings |= {
            f"{name}_layers": stack.layers,
            f"{name}_attention_heads": stack.heads,
            f"{name}_ffn_dim": stack.intermediate_size,
        }
    return settings
