"""Encoder-decoders in and out of memory: a checkpoint into a module, a module into a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.files.atomic import storage_error, write_atomic
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.model.families.encoder_decoder import source_config_to_hf
from kataribe.make.model.layers.source_attention import sinusoids
from kataribe.make.model.weights.encoder_decoder_shapes import (
    LOGITS_BIAS,
    source_places,
    source_shapes,
)
from kataribe.make.model.weights.folder import read_json
from kataribe.make.model.weights.loading import load_tensor
from kataribe.make.model.weights.names import Place
from kataribe.make.model.weights.opened import Checkpoint
from kataribe.make.model.weights.saving import SHARD_BYTES, tokenizer_files, write_weights
from kataribe.make.model.weights.skeleton import Undrawn

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "forced_bos_token_id")


def load_encoder_decoder(
    checkpoint: Checkpoint[EncoderDecoderConfig],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> EncoderDecoder:
    """The model with its matrices in `dtype` (norms stay float32), in evaluation mode.

    Parameters are read one after the other; beside the model there is never more than one of
    them in memory.
    """
    with torch.device("meta"), Undrawn():
        model = EncoderDecoder(checkpoint.config)
    for name in source_shapes(checkpoint.config):
        module_name, leaf = name.rsplit(".", 1)
        module = model.get_submodule(module_name)
        kept = dtype if isinstance(module, nn.Linear | nn.Embedding) else torch.float32
        value = load_tensor(checkpoint.tensors[name], kept).to(device)
        setattr(module, leaf, nn.Parameter(value))
    if model.logits_bias is not None:
        bias = load_tensor(checkpoint.tensors[LOGITS_BIAS], torch.float32)
        model.logits_bias = bias.flatten().to(device)
    model.tie()
    return model.eval()


def save_encoder_decoder(
    model: EncoderDecoder,
    folder: Path,
    tokenizer_source: Path | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    token_ids: Mapping[str, int | list[int] | None] | None = None,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes config.json, safetensors and the tokenizer's files, so that `transformers` opens them.

    Args:
        model: What to write; all of its modules must hold plain matrices.
        folder: Made if it is not there; config.json comes last, so that a folder with one is whole.
        tokenizer_source: A folder whose tokenizer files are copied.
        texts: Further files, name to content.
        token_ids: `bos_token_id`, `eos_token_id` and `forced_bos_token_id` for config.json; None
            takes them from `tokenizer_source`, and what nobody knows is written as null.
        dtype: Of all tensors: float32, float16 or bfloat16; None for the embedding's own.
        shard_bytes: Weights of more bytes are cut into several files and an index.

    Raises:
        UnsupportedError: The model holds packed matrices.
        FormatError: The family's config.json has no words for the model.
        StorageError: The disk.
    """
    kind = dtype or model.embed.weight.dtype
    if kind not in _DTYPES:
        raise InputError(f"dtype is {kind}; it must be float32, float16 or bfloat16.")
    settings = source_config_to_hf(model.config)
    known = token_ids
    if known is None:
        found = tokenizer_source is not None and (tokenizer_source / "config.json").is_file()
        known = read_json(tokenizer_source / "config.json") if tokenizer_source and found else {}
    settings |= {name: known.get(name) for name in _TOKEN_IDS}
    settings["torch_dtype"] = str(kind).removeprefix("torch.")
    tensors = _tensors(model)
    files = {**tokenizer_files(tokenizer_source), **(texts or {})}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(f"{folder} cannot be written", error) from error
    groups = {place.source: [(name, place)] for name, place in _places(model.config).items()}
    write_weights(folder, groups, lambda name: tensors[name].detach().cpu(), kind, shard_bytes)
    for name, content in files.items():
        write_atomic(folder / name, content)
    write_atomic(folder / "config.json", json.dumps(settings, indent=2, sort_keys=True) + "\n")


def _places(config: EncoderDecoderConfig) -> dict[str, Place]:
    """Where everything goes; Pegasus' files hold its sines and cosines, too."""
    places = source_places(config)
    if config.family == "pegasus":
        for stack, length in (("encoder", config.source_length), ("decoder", config.target_length)):
            source = f"model.{stack}.embed_positions.weight"
            places[f"{stack}.sinusoids"] = Place(source, (length, config.hidden_size))
    return places


def _tensors(model: EncoderDecoder) -> dict[str, Tensor]:
    """Every tensor of the file by our name."""
    config = model.config
    found: dict[str, Tensor] = dict(model.named_parameters())
    if model.logits_bias is not None:
        found[LOGITS_BIAS] = model.logits_bias[None]
    places = _places(config)
    for name, place in places.items():
        if name.endswith(".sinusoids"):
            at = torch.arange(place.shape[0])
            found[name] = sinusoids(at, config.hidden_size, torch.float32)
    for name, place in places.items():
        if name not in found or found[name].shape != place.shape:
            raise UnsupportedError(
                f"{name} is packed or replaced, so it cannot be saved as a plain matrix. Load the "
                "model in float32 or bfloat16 and save that."
            )
    if config.tied and model.head.weight is not model.embed.weight:
        raise UnsupportedError("The head is not the embedding, though the model is tied: tie() it.")
    return found
