"""Models of every kind to folders and back, without their trainer knowing which kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from kataribe.base.errors import UnsupportedError
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.encoder import Encoder
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.model.weights.checkpoint import open_any, open_checkpoint
from kataribe.make.model.weights.encoder_decoder_files import (
    load_encoder_decoder,
    save_encoder_decoder,
)
from kataribe.make.model.weights.encoder_loading import load_encoder, save_encoder
from kataribe.make.model.weights.loading import load_model, load_tensor
from kataribe.make.model.weights.names import hf_places
from kataribe.make.model.weights.opened import Checkpoint
from kataribe.make.model.weights.saving import save_pretrained
from kataribe.make.model.weights.sentences import SentenceSettings


def write_model(
    model: nn.Module,
    folder: Path,
    tokenizer: Path | None,
    dtype: torch.dtype = torch.float32,
    *,
    sentences: SentenceSettings | None = None,
) -> None:
    """A Hugging Face folder: config.json, safetensors, and the tokenizer's files."""
    if isinstance(model, Decoder):
        save_pretrained(model, folder, tokenizer, dtype=dtype)
    elif isinstance(model, Encoder):
        save_encoder(model, folder, tokenizer, dtype=dtype, sentences=sentences)
    elif isinstance(model, EncoderDecoder):
        save_encoder_decoder(model, folder, tokenizer, dtype=dtype)
    else:
        raise UnsupportedError(f"There is no layout of files for a {type(model).__name__}.")


def read_model(folder: Path) -> nn.Module:
    """The model in a folder, of whatever kind, in float32 and ready to be trained."""
    opened = open_any(folder)
    found: nn.Module
    if isinstance(opened.config, ModelConfig):
        found = load_model(cast("Checkpoint[ModelConfig]", opened))
    elif isinstance(opened.config, EncoderConfig):
        found = load_encoder(cast("Checkpoint[EncoderConfig]", opened))
    else:
        found = load_encoder_decoder(cast("Checkpoint[EncoderDecoderConfig]", opened))
    return found.requires_grad_().train()


def read_decoder(folder: Path) -> Decoder:
    """The decoder in a folder; `ArchitectureError` for a model of another kind."""
    model = load_model(open_checkpoint(folder))
    model.requires_grad_().train()
    return model


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Parameters by the names of the model's own, float32."""
    tensors = open_any(folder).tensors
    return {name: load_tensor(tensor, torch.float32) for name, tensor in tensors.items()}


def inexact(model: nn.Module) -> list[str]:
    """Parameters that files hold in another form, from which they come back rounded.

    Gemma's norms: files hold the factor less 1.
    """
    if not isinstance(model, Decoder):
        return []
    return [name for name, place in hf_places(model.config).items() if place.offset]
