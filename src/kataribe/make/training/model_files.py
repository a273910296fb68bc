"""Models of every kind to folders and back, without their trainer knowing which kind it is."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from kataribe.base.errors import UnsupportedError
from kataribe.make.model.checkpoint import open_checkpoint
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.loading import load_model, load_tensor
from kataribe.make.model.names import hf_places
from kataribe.make.model.saving import save_pretrained


def write_model(
    model: nn.Module, folder: Path, tokenizer: Path | None, dtype: torch.dtype = torch.float32
) -> None:
    """A Hugging Face folder: config.json, safetensors, and the tokenizer's files."""
    if isinstance(model, Decoder):
        save_pretrained(model, folder, tokenizer, dtype=dtype)
        return
    raise UnsupportedError(f"There is no layout of files for a {type(model).__name__}.")


def read_model(folder: Path) -> Decoder:
    """The model in a folder, in float32 and ready to be trained."""
    return load_model(open_checkpoint(folder), dtype=torch.float32).requires_grad_().train()


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Parameters by the names of the model's own, float32."""
    tensors = open_checkpoint(folder).tensors
    return {name: load_tensor(tensor, torch.float32) for name, tensor in tensors.items()}


def inexact(model: nn.Module) -> list[str]:
    """Parameters that files hold in another form, from which they come back rounded.

    Gemma's norms: files hold the factor less 1.
    """
    if not isinstance(model, Decoder):
        return []
    return [name for name, place in hf_places(model.config).items() if place.offset]
