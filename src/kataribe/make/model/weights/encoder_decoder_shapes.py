"""An encoder-decoder's parameters: names, shapes, places in files, and exact figures.

A test holds this list against the module itself, in every configuration.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from kataribe.make.model.configs.encoder_decoder_config import (
    T5_KIN,
    EncoderDecoderConfig,
    StackConfig,
)
from kataribe.make.model.configs.shapes import Shape
from kataribe.make.model.weights.names import Place

LOGITS_BIAS = "logits_bias"
"""Our name of what is added to the logits: a buffer, so none of `source_shapes`."""
_STACKS = ("encoder", "decoder")
_T5_SELF, _T5_CROSS = "layer.0.SelfAttention", "layer.1.EncDecAttention"
_KIN_BLOCK: Mapping[str, str] = {
    "attention_norm": "self_attn_layer_norm",
    "attention.output": "self_attn.out_proj",
    "cross_norm": "encoder_attn_layer_norm",
    "cross.output": "encoder_attn.out_proj",
    "mlp_norm": "final_layer_norm",
    "mlp.up": "fc1",
    "mlp.down": "fc2",
    **{f"attention.{part}": f"self_attn.{part}_proj" for part in "qkv"},
    **{f"cross.{part}": f"encoder_attn.{part}_proj" for part in "qkv"},
}


def source_shapes(config: EncoderDecoderConfig) -> dict[str, Shape]:
    """Names as `EncoderDecoder.named_parameters()` has them; a tied head has none."""
    wide = (config.vocab_size, config.hidden_size)
    found: dict[str, Shape] = {"embed.weight": wide}
    for name in _STACKS:
        found.update(_stack(config, name))
    if not config.tied:
        found["head.weight"] = wide
    return found


def source_places(config: EncoderDecoderConfig) -> dict[str, Place]:
    """Our name -> place in a Hugging Face folder of the configuration's family."""
    find = _t5_source if config.family in T5_KIN else _kin_source
    places = {}
    for name, shape in source_shapes(config).items():
        module, leaf = name.rsplit(".", 1)
        places[name] = Place(f"{find(config, module)}.{leaf}", shape)
    if config.logits_bias:
        places[LOGITS_BIAS] = Place("final_logits_bias", (1, config.vocab_size))
    return places


def source_parameter_count(config: EncoderDecoderConfig) -> int:
    """Learned numbers; a tied head counts once, and the bias of the logits is not learned."""
    return sum(math.prod(shape) for shape in source_shapes(config).values())


def source_cache_bytes(config: EncoderDecoderConfig, bytes_per_value: int = 2) -> int:
    """Bytes of keys and values that one token takes in all layers of the decoder.

    A token of the source takes as many (keys and values for attention to it) as one that is
    written (those for attention to what stands before).
    """
    return 2 * config.decoder.layers * config.decoder.width * bytes_per_value


def encoder_flops(config: EncoderDecoderConfig, source: int) -> int:
    """Floating-point operations of the matrix products that reading a whole source takes.

    The encoder's, and those that make the keys and values at which the decoder looks. What is
    counted is as in `counting.flops_per_token`.
    """
    stack, decoder = config.encoder, config.decoder
    attention = 2 * stack.layers * stack.width * source
    look = 2 * decoder.layers * config.hidden_size * decoder.width
    return 2 * source * (_matrices(config, "encoder") + look + attention)


def decoder_flops(config: EncoderDecoderConfig, position: int, source: int) -> int:
    """The same for the target's token at `position` (0 is the start token) over a source."""
    stack = config.decoder
    look = 2 * stack.layers * config.hidden_size * stack.width
    attention = 2 * stack.layers * stack.width * (position + 1 + source)
    head = config.vocab_size * config.hidden_size
    return 2 * (_matrices(config, "decoder") - look + head + attention)


def _matrices(config: EncoderDecoderConfig, name: str) -> int:
    """Numbers in the matrices of one stack's blocks."""
    return sum(
        math.prod(shape)
        for each, shape in source_shapes(config).items()
        if each.startswith(f"{name}.blocks.") and len(shape) == 2
    )


def _stack(config: EncoderDecoderConfig, name: str) -> Iterator[tuple[str, Shape]]:
    stack = config.encoder if name == "encoder" else config.decoder
    length = config.source_length if name == "encoder" else config.target_length
    if config.positions == "learned":
        rows = length + config.position_offset
        yield f"{name}.positions.weight", (rows, config.hidden_size)
    if config.embedding_norm:
        yield from _norm(config, f"{name}.embedding_norm")
    if config.positions == "relative":
        yield f"{name}.relative.weight", (config.relative_buckets, stack.heads)
    for layer in range(stack.layers):
        yield from _block(config, stack, f"{name}.blocks.{layer}", crosses=name == "decoder")
    if config.final_norm:
        yield from _norm(config, f"{name}.norm")


def _block(
    config: EncoderDecoderConfig, stack: StackConfig, name: str, *, crosses: bool
) -> Iterator[tuple[str, Shape]]:
    hidden, inner, width = config.hidden_size, stack.intermediate_size, stack.width
    for part in ("attention", "cross") if crosses else ("attention",):
        yield from _norm(config, f"{name}.{part}_norm")
        for matrix in "qkv":
            yield from _linear(config, f"{name}.{part}.{matrix}", width, hidden)
        yield from _linear(config, f"{name}.{part}.output", hidden, width)
    yield from _norm(config, f"{name}.mlp_norm")
    for matrix in ("gate", "up") if config.gated else ("up",):
        yield from _linear(config, f"{name}.mlp.{matrix}", inner, hidden)
    yield from _linear(config, f"{name}.mlp.down", hidden, inner)


def _norm(config: EncoderDecoderConfig, name: str) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (config.hidden_size,)
    if config.norm == "layer":
        yield f"{name}.bias", (config.hidden_size,)


def _linear(
    config: EncoderDecoderConfig, name: str, rows: int, columns: int
) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (rows, columns)
    if config.bias:
        yield f"{name}.bias", (rows,)


def _t5_source(config: EncoderDecoderConfig, module: str) -> str:
    tops = {"embed": "shared", "head": "lm_head"}
    if module in tops:
        return tops[module]
    stack, rest = module.split(".", 1)
    if rest == "norm":
        return f"{stack}.final_layer_norm"
    if rest == "relative":
        return f"{stack}.block.0.{_T5_SELF}.relative_attention_bias"
    _, layer, rest = rest.split(".", 2)
    last = "layer.1" if stack == "encoder" else "layer.2"
    up = {"up": "wi_1", "gate": "wi_0"} if config.gated else {"up": "wi"}
    inside = {
        "attention_norm": "layer.0.layer_norm",
        "attention.output": f"{_T5_SELF}.o",
        "cross_norm": "layer.1.layer_norm",
        "cross.output": f"{_T5_CROSS}.o",
        "mlp_norm": f"{last}.layer_norm",
        "mlp.down": f"{last}.DenseReluDense.wo",
        **{f"mlp.{ours}": f"{last}.DenseReluDense.{theirs}" for ours, theirs in up.items()},
        **{f"attention.{part}": f"{_T5_SELF}.{part}" for part in "qkv"},
        **{f"cross.{part}": f"{_T5_CROSS}.{part}" for part in "qkv"},
    }
    return f"{stack}.block.{layer}.{inside[rest]}"


def _kin_source(config: EncoderDecoderConfig, module: str) -> str:
    del config
    tops = {"embed": "model.shared", "head": "lm_head"}
    if module in tops:
        return tops[module]
    stack, rest = module.split(".", 1)
    ends = {
        "positions": "embed_positions",
        "embedding_norm": "layernorm_embedding",
        "norm": "layer_norm",
    }
    if rest in ends:
        return f"model.{stack}.{ends[rest]}"
    _, layer, rest = rest.split(".", 2)
    return f"model.{stack}.layers.{layer}.{_KIN_BLOCK[rest]}"
