"""Encoders in and out of memory: a checkpoint into an `Encoder`, an `Encoder` into a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.files.atomic import storage_error, write_atomic
from kataribe.files.safetensors import ArraySource, save_safetensors
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.encoder import Encoder
from kataribe.make.model.families.encoder import encoder_to_hf
from kataribe.make.model.weights.encoder_shapes import TIED_BIAS, encoder_places, encoder_shapes
from kataribe.make.model.weights.folder import INDEX, SINGLE
from kataribe.make.model.weights.loading import load_tensor
from kataribe.make.model.weights.opened import Checkpoint
from kataribe.make.model.weights.saving import TOKENIZER_FILES
from kataribe.make.model.weights.sentences import SentenceSettings, sentence_files, sentence_paths
from kataribe.make.model.weights.skeleton import Undrawn

_DTYPES: Mapping[torch.dtype, str] = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}


def encoder_skeleton(config: EncoderConfig) -> Encoder:
    """The encoder on PyTorch's `meta` device, to be filled."""
    with torch.device("meta"), Undrawn():
        return Encoder(config)


def load_encoder(
    checkpoint: Checkpoint[EncoderConfig],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Encoder:
    """The encoder with its parameters in `dtype` (norms stay float32), in evaluation mode."""
    model = encoder_skeleton(checkpoint.config)
    for name in encoder_shapes(checkpoint.config):
        module_name, leaf = name.rsplit(".", 1)
        module = model.get_submodule(module_name)
        kept = torch.float32 if isinstance(module, nn.LayerNorm) else dtype
        value = load_tensor(checkpoint.tensors[name], kept).to(device)
        setattr(module, leaf, nn.Parameter(value))
    model.tie()
    return model.eval()


def save_encoder(
    model: Encoder,
    folder: Path,
    tokenizer_source: Path | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    sentences: SentenceSettings | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Writes a folder that `transformers` opens, and sentence-transformers where it is an embedder.

    Args:
        model: What to write.
        folder: Made if it is not there; config.json comes last, so that a folder with one is whole.
        tokenizer_source: A folder whose tokenizer files are copied.
        texts: Further files, name to content.
        sentences: How its vectors become one of a text; None for a model that makes none.
        dtype: Of all tensors: float32, float16 or bfloat16; None for the embedding's own.

    Raises `InputError`, `UnsupportedError` for replaced modules, `FormatError`, `StorageError`.
    """
    kind = dtype or model.embed.weight.dtype
    if kind not in _DTYPES:
        raise InputError(f"dtype is {kind}; it must be float32, float16 or bfloat16.")
    settings = encoder_to_hf(model.config) | {"torch_dtype": str(kind).removeprefix("torch.")}
    arrays = _arrays(model, kind)
    files: dict[str, str | bytes] = dict(texts or {})
    if tokenizer_source is not None:
        if not tokenizer_source.is_dir():
            raise InputError(f"{tokenizer_source} is not a folder with tokenizer files.")
        for name in TOKENIZER_FILES:
            if (tokenizer_source / name).is_file():
                files.setdefault(name, (tokenizer_source / name).read_bytes())
    if sentences is not None:
        files |= sentence_files(sentences, model.config.hidden_size, model.config.context_length)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in ("config.json", INDEX, *(() if sentences else sentence_paths())):
            (folder / old).unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(f"{folder} cannot be written", error) from error
    save_safetensors(folder / SINGLE, arrays, {"format": "pt"})
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_atomic(folder / name, content)
    write_atomic(folder / "config.json", json.dumps(settings, indent=2, sort_keys=True) + "\n")


def _arrays(model: Encoder, dtype: torch.dtype) -> dict[str, ArraySource]:
    found = dict(model.named_parameters())
    arrays: dict[str, ArraySource] = {}
    for name, place in encoder_places(model.config).items():
        value = found.get(name)
        if value is None or value.shape != place.shape:
            raise UnsupportedError(
                f"{name} is packed or replaced, so it cannot be saved as a plain matrix. Load the "
                "model in float32 or bfloat16 and save that."
            )
        plain = value.detach().cpu().to(dtype).contiguous()
        raw = plain.reshape(-1).view(torch.uint8).numpy()
        arrays[place.source] = (_DTYPES[dtype], tuple(plain.shape), np.asarray(raw))
    second = TIED_BIAS.get(model.config.family)
    if model.config.head == "masked" and second is not None and second not in arrays:
        # No logit reads this one, but transformers calls a folder without it incomplete.
        arrays[second] = arrays[encoder_places(model.config)["head.bias"].source]
    return arrays
