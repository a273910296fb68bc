"""Encoder-decoders in: a Hugging Face folder, opened tensor by tensor without PyTorch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.make.model.configs.encoder_decoder_config import (
    SOURCE_FAMILIES,
    T5_KIN,
    EncoderDecoderConfig,
)
from kataribe.make.model.families.encoder_decoder import source_config_from_hf
from kataribe.make.model.weights.encoder_decoder_shapes import source_places
from kataribe.make.model.weights.folder import plain_tensor, read_json, stored_tensors
from kataribe.make.model.weights.opened import Checkpoint, gather
from kataribe.make.model.weights.sources import StoredTensor

_UNREAD = re.compile(
    r".*\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
    r"|(model\.)?(encoder|decoder)\.version"
)
"""What older programs stored and no model reads."""
_SECOND = re.compile(r"(model\.)?(encoder|decoder)\.embed_tokens\.weight")
"""The shared embedding, once more."""
_HEAD = "lm_head.weight"


def holds_encoder_decoder(path: Path) -> bool:
    """A folder's config.json names a family of encoder-decoders; nothing else is looked at."""
    if not (path / "config.json").is_file():
        return False
    return read_json(path / "config.json").get("model_type") in SOURCE_FAMILIES


def open_encoder_decoder(path: Path) -> Checkpoint[EncoderDecoderConfig]:
    """Opens a folder with an encoder-decoder; raises as `checkpoint.open_checkpoint` does.

    Raises `ArchitectureError` where the folder holds another kind of model.
    """
    settings = read_json(path / "config.json")
    if settings.get("model_type") not in SOURCE_FAMILIES:
        raise ArchitectureError(
            f"{path.name} is of the architecture {settings.get('model_type')!r:.60}, and what is "
            f"asked for here is an encoder-decoder ({', '.join(SOURCE_FAMILIES)}), which reads a "
            "source and writes a target."
        )
    return open_encoder_decoder_folder(path, settings)


def open_encoder_decoder_folder(
    folder: Path, settings: Mapping[str, Any]
) -> Checkpoint[EncoderDecoderConfig]:
    """The same, with config.json read already."""
    config = source_config_from_hf(settings)
    stored = _stored(folder, config)
    config = _with_head(stored, config, folder)
    if config.logits_bias and "final_logits_bias" not in stored:
        stored["final_logits_bias"] = _zeros((1, config.vocab_size))
    generation = folder / "generation_config.json"
    return Checkpoint(
        folder,
        config,
        gather(source_places(config), stored, folder),
        read_json(generation) if generation.is_file() else {},
        settings,
    )


def forced_start(checkpoint: Checkpoint[EncoderDecoderConfig]) -> tuple[int, ...]:
    """The ids that every reply begins with: the start token, and one that is forced behind it.

    `FormatError` for a forced one that the model does not have.
    """
    config = checkpoint.config
    told = (checkpoint.generation, checkpoint.settings)
    forced = next((each["forced_bos_token_id"] for each in told
                   if each.get("forced_bos_token_id") is not None), None)  # fmt: skip
    if forced is None:
        return (config.start_id,)
    if type(forced) is not int or not 0 <= forced < config.vocab_size:
        raise FormatError(
            f"{checkpoint.path.name}: forced_bos_token_id is {forced!r:.60}; the model's ids go "
            f"from 0 to {config.vocab_size - 1}."
        )
    return config.start_id, forced


def _stored(folder: Path, config: EncoderDecoderConfig) -> dict[str, StoredTensor]:
    """All tensors by the names with which `transformers` saves the model with its head."""
    found = stored_tensors(folder)
    layers = config.encoder.layers + config.decoder.layers
    if layers > len(found):  # before anything is built for so many
        raise FormatError(
            f"{folder.name}: config.json claims {layers} layers, but there are only {len(found)} "
            "tensors."
        )
    prefix = "" if config.family in T5_KIN else "model."
    stored: dict[str, StoredTensor] = {}
    seconds: dict[str, StoredTensor] = {}
    for name, tensor in found.items():
        ours = name if name.startswith((prefix, "lm_head.", "final_")) else prefix + name
        # Sines and cosines are made anew; some files store them.
        made = config.positions == "sinusoidal" and ours.endswith(".embed_positions.weight")
        if made or _UNREAD.fullmatch(name):
            continue
        target = seconds if _SECOND.fullmatch(name) else stored
        if ours in target:
            raise FormatError(f"{folder.name} has {ours!r} twice, once as {name!r}.")
        target[ours] = plain_tensor(folder, name, tensor)
    embed = f"{prefix}shared.weight"
    for name, second in sorted(seconds.items()):
        if not _same(stored.setdefault(embed, second), second):
            raise FormatError(
                f"{folder.name}: {name!r} is not {embed!r}, but source and target of these models "
                "share one embedding. A model with two is not built here."
            )
    return stored


def _with_head(
    stored: dict[str, StoredTensor], config: EncoderDecoderConfig, folder: Path
) -> EncoderDecoderConfig:
    """The configuration with `tied` as the tensors have it; a tied head is left out of them."""
    embed = stored.get(source_places(config)["embed.weight"].source)
    head = stored.get(_HEAD)
    if head is not None and embed is not None and _same(head, embed):
        del stored[_HEAD]
        head = None
    if config.family in T5_KIN:  # config.json claims what is not so in many published ones
        return dataclasses.replace(config, tied=head is None)
    if head is not None:
        raise FormatError(
            f"{folder.name}: config.json says that the head is the embedding, but {_HEAD!r} is "
            "another matrix. It is not the model that its settings describe."
        )
    return config


def _same(one: StoredTensor, two: StoredTensor) -> bool:
    return (
        one.kind == two.kind
        and one.shape == two.shape
        and (one is two or bool((one.read() == two.read()).all()))
    )


def _zeros(shape: tuple[int, ...]) -> StoredTensor:
    """Zeros for what files leave out: a bias of the logits that never was trained."""
    return StoredTensor(shape, "F32", lambda: np.zeros(4 * shape[0] * shape[1], np.uint8))
