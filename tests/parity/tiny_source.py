"""Tiny random encoder-decoders of `transformers` that a wrong model cannot imitate by luck."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.model.weights.checkpoint import open_any
from kataribe.make.model.weights.encoder_decoder_files import load_encoder_decoder
from kataribe.make.model.weights.opened import Checkpoint
from tests.parity.tiny import VOCAB, randomise

T5: dict[str, Any] = {
    "vocab_size": VOCAB,
    "d_model": 48,
    "d_kv": 10,
    "d_ff": 80,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 6,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "layer_norm_epsilon": 1e-3,
    "decoder_start_token_id": 3,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
BART: dict[str, Any] = {
    "vocab_size": VOCAB,
    "d_model": 48,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_ffn_dim": 80,
    "decoder_ffn_dim": 72,
    "encoder_attention_heads": 6,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "scale_embedding": True,
}
V11 = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
SOURCES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "t5": (transformers.T5Config, transformers.T5ForConditionalGeneration, T5),
    "t5_v11": (transformers.T5Config, transformers.T5ForConditionalGeneration, T5 | V11),
    "mt5": (
        transformers.MT5Config,
        transformers.MT5ForConditionalGeneration,
        T5 | {"feed_forward_proj": "gated-gelu"},
    ),
    "bart": (transformers.BartConfig, transformers.BartForConditionalGeneration, BART),
    "mbart": (transformers.MBartConfig, transformers.MBartForConditionalGeneration, BART),
    "pegasus": (transformers.PegasusConfig, transformers.PegasusForConditionalGeneration, BART),
    "marian": (transformers.MarianConfig, transformers.MarianMTModel, BART),
}
"""Name -> classes of `transformers` and settings."""


def build_source(name: str, seed: int, *, untied: bool = False, **changes: Any) -> Any:
    """A random `transformers` model; equal arguments give equal weights."""
    config_class, model_class, base = SOURCES[name]
    config = config_class(**{**base, **changes})
    config._attn_implementation = "eager"
    model = model_class(config).eval().float()
    if untied:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    fixed = {n: p.data for n, p in model.named_parameters() if not p.requires_grad}
    randomise(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for key, value in model.named_parameters():
        if key in fixed:  # sines and cosines
            value.data = fixed[key]
        elif key.endswith(("Attention.q.weight",)):
            # T5 does not scale its scores and is born with small queries instead. With large ones
            # a softmax chooses one token, and float32 alone is 1e-4 off.
            value.data /= config.d_kv**0.5
        elif key.endswith("relative_attention_bias.weight"):
            value.data = torch.randn(value.shape, generator=generator)
    if getattr(config, "scale_decoder_outputs", False):
        model.lm_head.weight.data *= config.d_model**0.5
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.normal_(generator=generator)
    return model


def pairs(seed: int, source: int = 30, target: int = 25) -> tuple[torch.Tensor, torch.Tensor]:
    """Source (3, source) and target (3, target) ids; a few targets are not taught."""
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randint(4, VOCAB, (3, source), generator=generator)
    targets = torch.randint(4, VOCAB, (3, target), generator=generator)
    targets[0, 5] = targets[2, 11] = -100
    return sources, targets


def source_padding(side: str, rows: int, length: int) -> torch.Tensor:
    """(rows, length): row r has 3 + 5 r padding tokens on `side`; none for side ''."""
    mask = torch.ones(rows, length, dtype=torch.bool)
    for row in range(rows):
        gap = 3 + 5 * row
        if side == "left":
            mask[row, :gap] = False
        elif side == "right":
            mask[row, length - gap :] = False
    return mask


def their_logits(
    model: Any, source: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """What `transformers` says when taught `target`; refuses logits too flat to compare.

    Its mBART begins with the last token of the target, so it is given what BART is.
    """
    config = model.config
    with torch.inference_mode():
        if config.model_type == "mbart":
            shifted = torch.full_like(target, config.decoder_start_token_id)
            shifted[:, 1:] = target[:, :-1]
            shifted[shifted == -100] = config.pad_token_id
            given = {"decoder_input_ids": shifted}
        else:
            given = {"labels": target}
        logits: torch.Tensor = model(source, attention_mask=mask.long(), **given).logits
    assert logits.std() >= 1, "a model this quiet proves nothing"
    return logits


def open_source(path: Path) -> Checkpoint[EncoderDecoderConfig]:
    """The folder, which must be one of an encoder-decoder."""
    checkpoint = open_any(path)
    assert isinstance(checkpoint.config, EncoderDecoderConfig)
    return checkpoint  # type: ignore[return-value]


def load_source(path: Path) -> EncoderDecoder:
    """The folder's model in float32."""
    return load_encoder_decoder(open_source(path))


def source_error(
    ours: EncoderDecoder,
    source: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor,
    reference: torch.Tensor,
) -> float:
    """Largest difference in standard deviations of the reference."""
    with torch.inference_mode():
        got = ours(source, target, None if bool(mask.all()) else mask)
    assert got.shape == reference.shape
    difference = (got - reference).abs().max() / reference.std()
    return float("inf") if torch.isnan(difference) else float(difference)
