"""An encoder's parameters: their shapes, their places in files, and exact figures from them.

Shapes are said without building the model; a test holds them against it in every configuration.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from kataribe.make.model.configs.encoder_config import EncoderConfig, EncoderFamily
from kataribe.make.model.configs.shapes import Shape
from kataribe.make.model.weights.names import Place

BACKBONE: Mapping[EncoderFamily, str] = {
    "bert": "bert.",
    "roberta": "roberta.",
    "xlm-roberta": "roberta.",
    "distilbert": "distilbert.",
}
"""Stands before all names but a head's, where the folder holds a head."""

_TOP = {
    "embed": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "types": "embeddings.token_type_embeddings",
    "embed_norm": "embeddings.LayerNorm",
}
_BLOCK = {
    "attention.q": "attention.self.query",
    "attention.k": "attention.self.key",
    "attention.v": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
_BLOCK_DISTIL = {
    "attention.q": "attention.q_lin",
    "attention.k": "attention.k_lin",
    "attention.v": "attention.v_lin",
    "attention.output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "mlp_norm": "output_layer_norm",
}
_MASKED: Mapping[EncoderFamily, Mapping[str, str]] = {
    "bert": {
        "transform": "cls.predictions.transform.dense",
        "transform_norm": "cls.predictions.transform.LayerNorm",
        "head": "cls.predictions.decoder",
    },
    "roberta": {
        "transform": "lm_head.dense",
        "transform_norm": "lm_head.layer_norm",
        "head": "lm_head.decoder",
    },
    "distilbert": {
        "transform": "vocab_transform",
        "transform_norm": "vocab_layer_norm",
        "head": "vocab_projector",
    },
}
TIED_BIAS: Mapping[EncoderFamily, str] = {
    "bert": "cls.predictions.bias",
    "roberta": "lm_head.bias",
    "xlm-roberta": "lm_head.bias",
}
"""Where the bias of a masked head lies whose matrix is the embedding's."""
_CLASSIFIER: Mapping[EncoderFamily, Mapping[str, str]] = {
    "bert": {"pooler": "bert.pooler.dense", "head": "classifier"},
    "roberta": {"pooler": "classifier.dense", "head": "classifier.out_proj"},
    "distilbert": {"pooler": "pre_classifier", "head": "classifier"},
}


def encoder_shapes(config: EncoderConfig) -> dict[str, Shape]:
    """Names as `Encoder.named_parameters()` has them, and in its order; a tied matrix once."""
    hidden = config.hidden_size
    found: dict[str, Shape] = {
        "embed.weight": (config.vocab_size, hidden),
        "positions.weight": (config.position_rows, hidden),
    }
    if config.token_types:
        found["types.weight"] = (config.token_types, hidden)
    found.update(_norm("embed_norm", hidden))
    for layer in range(config.layers):
        found.update((f"blocks.{layer}.{name}", shape) for name, shape in _block(config))
    if config.pooler:
        found.update(_linear("pooler", hidden, hidden))
    if config.head == "masked":
        found.update(_linear("transform", hidden, hidden))
        found.update(_norm("transform_norm", hidden))
        if not config.tied:
            found["head.weight"] = (config.vocab_size, hidden)
        found["head.bias"] = (config.vocab_size,)
    elif config.labels:
        found.update(_linear("head", len(config.labels), hidden))
    return found


def encoder_places(config: EncoderConfig) -> dict[str, Place]:
    """Our name -> place in a Hugging Face folder of the configuration's family."""
    kin: EncoderFamily = "roberta" if config.family == "xlm-roberta" else config.family
    prefix = "" if config.head == "none" else BACKBONE[config.family]
    distil = config.family == "distilbert"
    layers = "transformer.layer" if distil else "encoder.layer"
    block = _BLOCK_DISTIL if distil else _BLOCK
    tops = dict(_MASKED[kin] if config.head == "masked" else _CLASSIFIER[kin])
    if config.head == "none":
        tops = {"pooler": "pooler.dense"}
    elif config.head == "tag":
        tops = {"head": "classifier"}
    places = {}
    for name, shape in encoder_shapes(config).items():
        module, leaf = name.rsplit(".", 1)
        if module.startswith("blocks."):
            _, layer, rest = module.split(".", 2)
            source = f"{prefix}{layers}.{layer}.{block[rest]}"
        else:
            source = tops[module] if module in tops else prefix + _TOP[module]
        full = f"{source}.{leaf}"
        if name == "head.bias" and config.head == "masked" and config.tied:
            full = TIED_BIAS.get(config.family, full)
        places[name] = Place(full, shape)
    return places


def encoder_parameter_count(config: EncoderConfig) -> int:
    """Learned numbers; a tied matrix counts once."""
    return sum(math.prod(shape) for shape in encoder_shapes(config).values())


def encoder_flops(config: EncoderConfig, tokens: int) -> int:
    """Floating-point operations of the matrix products for one text of `tokens` tokens.

    A product of (n, k) with (k, m) counts 2 n k m. Lookups, norms, softmax and nonlinearities are
    left out, as in `counting.flops_per_token`. A pooler and a classifier look at one token.
    """
    hidden = config.hidden_size
    block = 4 * hidden * hidden + 2 * hidden * config.intermediate_size
    attention = 2 * tokens * hidden  # q . k and weights . v, per token
    total = 2 * tokens * config.layers * (block + attention)
    if config.pooler:
        total += 2 * hidden * hidden
    if config.head == "masked":
        total += 2 * tokens * hidden * (hidden + config.vocab_size)
    elif config.labels:
        total += 2 * hidden * len(config.labels) * (1 if config.head == "classify" else tokens)
    return total


def _block(config: EncoderConfig) -> Iterator[tuple[str, Shape]]:
    hidden, inner = config.hidden_size, config.intermediate_size
    for part in ("q", "k", "v", "output"):
        yield from _linear(f"attention.{part}", hidden, hidden)
    yield from _norm("attention_norm", hidden)
    yield from _linear("up", inner, hidden)
    yield from _linear("down", hidden, inner)
    yield from _norm("mlp_norm", hidden)


def _norm(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _linear(name: str, rows: int, columns: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (rows, columns)
    yield f"{name}.bias", (rows,)
