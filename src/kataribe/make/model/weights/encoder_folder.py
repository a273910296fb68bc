"""Encoders in: a Hugging Face folder, opened tensor by tensor without PyTorch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.families.encoder import encoder_from_hf, is_encoder
from kataribe.make.model.weights.encoder_shapes import BACKBONE, TIED_BIAS, encoder_places
from kataribe.make.model.weights.folder import plain_tensor, read_json, stored_tensors
from kataribe.make.model.weights.opened import Checkpoint, gather
from kataribe.make.model.weights.sources import StoredTensor

_BUFFERS = re.compile(r"(.*\.)?embeddings\.(position_ids|token_type_ids)")
"""What older programs stored beside the parameters: it follows from the settings."""
_OLD_NORM = re.compile(r"(.*LayerNorm)\.(gamma|beta)")
_LEFT_BY_TRAINING = re.compile(r"cls\.seq_relationship\..*|.*\.pooler\..*")
"""Beside a masked head, what only the first training of BERT used."""


def open_encoder(path: Path) -> Checkpoint[EncoderConfig]:
    """Opens a folder with an encoder; raises as `checkpoint.open_checkpoint` does.

    Raises `ArchitectureError` where the folder holds another kind of model.
    """
    settings = read_json(path / "config.json")
    if not is_encoder(settings):
        raise ArchitectureError(
            f"{path.name} is of the architecture {settings.get('model_type')!r:.60}, and what is "
            "asked for here is an encoder (bert, roberta, xlm-roberta, distilbert), which makes "
            "vectors or classifies."
        )
    return open_encoder_folder(path, settings)


def open_encoder_folder(folder: Path, settings: Mapping[str, Any]) -> Checkpoint[EncoderConfig]:
    """The same, with config.json read already."""
    config = encoder_from_hf(settings)
    stored = _stored(folder, config)
    if config.head == "none" and not any(name.startswith("pooler.") for name in stored):
        config = dataclasses.replace(config, pooler=False)
    stored = _without_doubles(stored, config, folder)
    return Checkpoint(folder, config, gather(encoder_places(config), stored, folder), {}, settings)


def _stored(folder: Path, config: EncoderConfig) -> dict[str, StoredTensor]:
    """All tensors by the names with which `transformers` saves a model of this head."""
    found = stored_tensors(folder)
    if config.layers > len(found):  # before anything is built for so many
        raise FormatError(
            f"{folder.name}: config.json claims {config.layers} layers, but there are only "
            f"{len(found)} tensors."
        )
    prefix = BACKBONE[config.family]
    stored: dict[str, StoredTensor] = {}
    for name, tensor in found.items():
        if _BUFFERS.fullmatch(name) or _is_left(name, config):
            continue
        ours = name
        old = _OLD_NORM.fullmatch(name)
        if old:
            ours = f"{old[1]}.{'weight' if old[2] == 'gamma' else 'bias'}"
        if config.head == "none":
            ours = ours.removeprefix(prefix)
        elif ours.startswith(("embeddings.", "encoder.", "transformer.", "pooler.")):
            ours = prefix + ours
        if ours in stored:
            raise FormatError(f"{folder.name} has {ours!r} twice, once as {name!r}.")
        stored[ours] = plain_tensor(folder, name, tensor)
    return stored


def _is_left(name: str, config: EncoderConfig) -> bool:
    """A tensor that this head has no use for, of a model that had another head before."""
    if config.head == "classify" and config.family in ("roberta", "xlm-roberta"):
        return ".pooler." in f".{name}"  # their classifiers read the first vector themselves
    return config.head in ("masked", "tag") and bool(_LEFT_BY_TRAINING.fullmatch(name))


def _without_doubles(
    stored: dict[str, StoredTensor], config: EncoderConfig, folder: Path
) -> dict[str, StoredTensor]:
    """A tied matrix or bias may be stored a second time, as long as it is the same."""
    if config.head != "masked":
        return stored
    places = encoder_places(dataclasses.replace(config, tied=False))
    head, bias = places["head.weight"].source, places["head.bias"].source
    second = TIED_BIAS.get(config.family)
    if not config.tied:
        if second is not None:
            stored.pop(second, None)  # transformers keeps one that no logit reads
        return stored
    pairs = [(head, places["embed.weight"].source)]
    if second is not None:
        if second not in stored and bias in stored:
            stored[second] = stored[bias]
        pairs.append((bias, second))
    for double, first in pairs:
        if double not in stored or first not in stored:
            continue
        one, two = stored[double], stored[first]
        if one.kind != two.kind or one.shape != two.shape or not (one.read() == two.read()).all():
            raise FormatError(
                f"{folder.name}: config.json says that {double!r} is {first!r}, but they differ. "
                "Set tie_word_embeddings to false."
            )
        del stored[double]
    return stored
