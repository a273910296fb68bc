"""Published encoders: their config.json to `EncoderConfig` and back.

The meaning of each setting is that of `transformers`, whose models define these families. What a
file sets and this room does not know is refused, never ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.make.model.configs.encoder_config import (
    MAX_LABELS,
    EncoderActivation,
    EncoderConfig,
    EncoderFamily,
    Head,
    HeadActivation,
    Problem,
)
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.configs.own_code import brings_code, foreign_code
from kataribe.make.model.families.reading_back import check_reads_back

ENCODER_MODEL_TYPES: Mapping[str, EncoderFamily] = {
    "bert": "bert",
    "roberta": "roberta",
    "xlm-roberta": "xlm-roberta",
    "camembert": "roberta",
    "distilbert": "distilbert",
}
"""`model_type` of config.json -> family."""

_CLASS_PREFIX: Mapping[EncoderFamily, str] = {
    "bert": "Bert",
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
    "distilbert": "DistilBert",
}
_CLASS_HEADS: Mapping[str, Head] = {
    "Model": "none",
    "ForMaskedLM": "masked",
    "ForPreTraining": "masked",
    "ForSequenceClassification": "classify",
    "ForTokenClassification": "tag",
}
_HEAD_CLASSES: Mapping[Head, str] = {
    "none": "Model",
    "masked": "ForMaskedLM",
    "classify": "ForSequenceClassification",
    "tag": "ForTokenClassification",
}
_PROBLEMS: Mapping[str, Problem] = {
    "single_label_classification": "single",
    "multi_label_classification": "multi",
    "regression": "regression",
}
_ACTIVATIONS: Mapping[str, EncoderActivation] = {
    "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu",
}  # fmt: skip
_ACTIVATION_NAMES: Mapping[str, str] = {
    "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "relu": "relu", "silu": "silu",
}  # fmt: skip

_BERT: Mapping[str, Any] = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512,
    "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0, "tie_word_embeddings": True,
}  # fmt: skip
_ROBERTA: Mapping[str, Any] = {**_BERT, "pad_token_id": 1}
ENCODER_DEFAULTS: Mapping[EncoderFamily, Mapping[str, Any]] = {
    "bert": _BERT,
    "roberta": {**_ROBERTA, "vocab_size": 50265},
    "xlm-roberta": _ROBERTA,
    "distilbert": {
        "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 6, "num_attention_heads": 12,
        "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512,
        "pad_token_id": 0, "tie_word_embeddings": True,
    },
}  # fmt: skip
"""What a setting is where config.json leaves it out."""
_DISTIL_NAMES = {
    "dim": "hidden_size", "hidden_dim": "intermediate_size", "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads", "activation": "hidden_act",
}  # fmt: skip
_NEUTRAL = frozenset({
    "architectures", "attention_dropout", "attention_probs_dropout_prob", "auto_map",
    "bos_token_id",
    "chunk_size_feed_forward", "classifier_dropout", "directionality", "dropout", "dtype",
    "eos_token_id", "finetuning_task", "gradient_checkpointing", "hidden_dropout_prob",
    "initializer_range", "keys_to_ignore_at_inference", "label2id", "mask_token_id", "model_type",
    "num_labels", "output_attentions", "output_hidden_states", "output_past", "pooler_fc_size",
    "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
    "qa_dropout", "return_dict", "sep_token_id", "cls_token_id", "seq_classif_dropout",
    "task_specific_params", "tokenizer_class", "torch_dtype", "torchscript", "use_cache",
    "id2label", "max_length", "min_length", "do_sample", "early_stopping", "num_beams",
    "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
    "num_return_sequences", "model_max_length", "use_bfloat16", "embedding_size", "tie_weights_",
})  # fmt: skip
"""Settings of training, of generation and of the writing program: no vector depends on them."""
_NEUTRAL_PREFIXES = ("_", "transformers", "onnx", "torch", "sbert")


def is_encoder(raw: Mapping[str, Any]) -> bool:
    """A parsed config.json describes an encoder of a family that is built here."""
    kind = raw.get("model_type")
    return isinstance(kind, str) and kind in ENCODER_MODEL_TYPES


def encoder_from_hf(raw: Mapping[str, Any]) -> EncoderConfig:
    """The encoder that a config.json describes; a BertModel is said to have its pooler.

    Raises `ArchitectureError` for a family or head that is not built here, `FormatError` for a
    setting that is missing, impossible or unknown.
    """
    kind = raw.get("model_type")
    family = ENCODER_MODEL_TYPES.get(str(kind)) if is_encoder(raw) else None
    foreign = foreign_code(raw, None if family is None else _CLASS_PREFIX[family] + "Model")
    if family is None or foreign:
        raise ArchitectureError(
            f"config.json says architecture {kind!r:.60}{foreign}; encoders built here are "
            f"{', '.join(ENCODER_MODEL_TYPES)}. Choose a model of one of these families."
        )
    if family == "distilbert":
        own = {_DISTIL_NAMES[name]: value for name, value in raw.items() if name in _DISTIL_NAMES}
        raw = {name: value for name, value in raw.items() if name not in _DISTIL_NAMES} | own
    fields = Fields("config.json", {**ENCODER_DEFAULTS[family], **raw}, own_code=brings_code(raw))
    for name, only in (("is_decoder", False), ("add_cross_attention", False),
                       ("is_encoder_decoder", False), ("sinusoidal_pos_embds", False),
                       ("position_embedding_type", "absolute")):  # fmt: skip
        # DistilBERT's sinusoids are stored as a table like any other; only training made them so.
        fields.expect(name, [only, True] if name == "sinusoidal_pos_embds" else [only])
    head = _head(fields)
    config = _read(fields, family, head)
    fields.finish(_NEUTRAL, _NEUTRAL_PREFIXES)
    return config


def encoder_to_hf(config: EncoderConfig) -> dict[str, Any]:
    """The config.json with which `transformers` builds the same model.

    Raises `FormatError` where the family's config.json has no words for this configuration.
    """
    settings: dict[str, Any] = {
        "model_type": config.family,
        "architectures": [_CLASS_PREFIX[config.family] + _HEAD_CLASSES[config.head]],
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.position_rows,
        "hidden_act": _ACTIVATION_NAMES[config.activation],
        "pad_token_id": config.padding_id,
        "tie_word_embeddings": config.tied,
    }
    if config.family == "distilbert":
        names = {ours: theirs for theirs, ours in _DISTIL_NAMES.items()}
        settings = {names.get(name, name): value for name, value in settings.items()}
    else:
        settings |= {"type_vocab_size": config.token_types, "layer_norm_eps": config.norm_eps}
    if config.labels:
        settings["id2label"] = {str(place): name for place, name in enumerate(config.labels)}
        settings["label2id"] = {name: place for place, name in enumerate(config.labels)}
    if config.head == "classify":
        words = {ours: theirs for theirs, ours in _PROBLEMS.items()}
        settings["problem_type"] = words[config.problem]
    back = encoder_from_hf(settings)
    if config.head == "none" and not config.pooler:  # config.json cannot tell, the tensors do
        back = dataclasses.replace(back, pooler=False)
    check_reads_back(config, back)
    return settings


def _read(fields: Fields, family: EncoderFamily, head: Head) -> EncoderConfig:
    distil, roberta = family == "distilbert", family in ("roberta", "xlm-roberta")
    padding = fields.integer("pad_token_id")
    rows = fields.integer("max_position_embeddings")
    offset = padding + 1 if roberta else 0
    if rows <= offset:
        raise FormatError(
            f"{fields.source}: max_position_embeddings is {rows}, of which {offset} stand for no "
            "position; no text would fit."
        )
    activation = _activation(fields)
    problem = _problem(fields, head)
    return EncoderConfig(
        family=family,
        vocab_size=fields.integer("vocab_size"),
        hidden_size=fields.integer("hidden_size"),
        layers=fields.integer("num_hidden_layers"),
        heads=fields.integer("num_attention_heads"),
        intermediate_size=fields.integer("intermediate_size"),
        context_length=rows - offset,
        position_offset=offset,
        token_types=0 if distil else fields.integer("type_vocab_size"),
        norm_eps=1e-12 if distil else fields.number("layer_norm_eps"),
        activation=activation,
        head=head,
        head_activation=_head_activation(family, head, activation),
        pooler=head == "classify" or (head == "none" and not distil),
        labels=_labels(fields) if head in ("classify", "tag") else (),
        problem=problem,
        tied=fields.flag("tie_word_embeddings"),
        padding_id=padding,
    )


def _head(fields: Fields) -> Head:
    names = fields.sequence("architectures") if fields.has("architectures") else ["Model"]
    name = str(names[0]) if names else "Model"
    for ending, head in _CLASS_HEADS.items():
        if name.endswith(ending):
            return head
    known = ", ".join(f"...{ending}" for ending in _CLASS_HEADS)
    raise ArchitectureError(
        f"config.json says architecture {name!r:.60}; heads built here are {known}. Save the model "
        "without its head (transformers: AutoModel) to make vectors with it."
    )


def _head_activation(
    family: EncoderFamily, head: Head, activation: EncoderActivation
) -> HeadActivation:
    if head == "masked":  # RoBERTa's is GELU whatever the blocks have
        return "gelu" if family in ("roberta", "xlm-roberta") else activation
    return "relu" if family == "distilbert" and head == "classify" else "tanh"


def _activation(fields: Fields) -> EncoderActivation:
    word = fields.text("hidden_act")
    if word not in _ACTIVATIONS:
        raise FormatError(
            f"{fields.source}: hidden_act is {word!r:.60}; known are {', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[word]


def _problem(fields: Fields, head: Head) -> Problem:
    """What the logits of a classifier are; one number without a word on it is a regression."""
    told = fields.text("problem_type", "")
    if told and told not in _PROBLEMS:
        raise FormatError(
            f"{fields.source}: problem_type is {told!r:.60}; known are {', '.join(_PROBLEMS)}."
        )
    if head != "classify":
        return "single"
    if told:
        return _PROBLEMS[told]
    return "regression" if len(_labels(fields)) == 1 else "single"


def _labels(fields: Fields) -> tuple[str, ...]:
    """Names in the order of the logits, from id2label, whose keys JSON made texts."""
    if not fields.has("id2label"):
        count = fields.integer("num_labels", 2)
        if count > MAX_LABELS:
            raise FormatError(f"{fields.source}: num_labels is {count}; at most {MAX_LABELS}.")
        return tuple(f"LABEL_{place}" for place in range(count))
    table = fields.mapping("id2label")
    names = [table.get(str(place)) for place in range(len(table))]
    if not all(isinstance(name, str) for name in names):
        raise FormatError(
            f"{fields.source}: id2label must name every label from 0 to {len(table) - 1} by a text."
        )
    return tuple(str(name) for name in names)
