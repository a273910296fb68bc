"""Model files out: a Hugging Face folder that `transformers` and what is built on it open."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.files.atomic import storage_error, write_atomic
from kataribe.files.ggml_groups import Bytes
from kataribe.files.safetensors import save_safetensors
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.families import config_to_hf
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.make.model.weights.folder import INDEX, SINGLE, read_json
from kataribe.make.model.weights.loading import load_tensor
from kataribe.make.model.weights.names import Place, hf_places
from kataribe.make.model.weights.ternary_files import is_ternary, pack

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "vocab.json", "merges.txt", "tokenizer.model", "vocab.txt",
    "generation_config.json",
)  # fmt: skip
"""Copied along with a model, where the folder it comes from has them."""
_TOKEN_IDS = {
    "bos_token_id": "bos_token_id",
    "eos_token_id": "eos_token_id",
    "pad_token_id": "padding_token_id",
}
"""Names in config.json -> names in GGUF."""
SHARD_BYTES = 4 << 30

_DTYPES: Mapping[torch.dtype, str] = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}
_Load: TypeAlias = Callable[[str], Tensor]
_Stored: TypeAlias = tuple[str, tuple[int, ...], Bytes]


def save_pretrained(
    model: Decoder | Checkpoint,
    folder: Path,
    tokenizer_source: Path | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    token_ids: Mapping[str, int | list[int] | None] | None = None,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes config.json, safetensors and the tokenizer's files.

    A `Checkpoint` is written tensor by tensor, which turns a GGUF file into a folder without
    ever building the model. No more than one shard is in memory beside the model.

    Args:
        model: What to write; all of its modules must hold plain matrices.
        folder: Made if it is not there. Files of the same names are replaced one by one, and
            config.json last, so that a folder with one is whole.
        tokenizer_source: A folder whose tokenizer files and chat template are copied.
        texts: Further files, name to content, such as tokenizer.json out of a GGUF file.
        token_ids: `bos_token_id`, `eos_token_id` and `pad_token_id` for config.json; None takes
            them from where a checkpoint or the tokenizer comes from. One that nobody knows is
            written as null, because families have defaults that are wrong elsewhere.
        dtype: Of all tensors: float32, float16 or bfloat16; None for the embedding's own.
        shard_bytes: Weights of more bytes are cut into several files and an index.

    Raises:
        UnsupportedError: The model holds packed matrices.
        FormatError: The family's config.json has no words for the model.
        StorageError: The disk.
    """
    config = model.config
    settings = config_to_hf(config)
    load, own = _loader(model)
    dtype = dtype or own
    if dtype not in _DTYPES:
        raise InputError(f"dtype is {dtype}; it must be float32, float16 or bfloat16.")
    known = _token_ids(model, tokenizer_source) if token_ids is None else token_ids
    settings |= {name: known.get(name) for name in _TOKEN_IDS}
    settings["torch_dtype"] = str(dtype).removeprefix("torch.")
    files = {**tokenizer_files(tokenizer_source), **(texts or {})}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(f"{folder} cannot be written", error) from error
    packs = is_ternary if config.ternary == "given" else None
    write_weights(folder, _groups(config), load, dtype, shard_bytes, packs)
    for name, content in files.items():
        write_atomic(folder / name, content)
    write_atomic(folder / "config.json", json.dumps(settings, indent=2, sort_keys=True) + "\n")


def _token_ids(model: Decoder | Checkpoint, source: Path | None) -> Mapping[str, Any]:
    if source is not None and (source / "config.json").is_file():
        return read_json(source / "config.json")
    if not isinstance(model, Checkpoint):
        return {}
    ids = {name: model.settings.get(f"tokenizer.ggml.{gguf}") for name, gguf in _TOKEN_IDS.items()}
    return {**ids, **model.settings}


def _loader(model: Decoder | Checkpoint) -> tuple[_Load, torch.dtype]:
    """How to get a parameter by name, and the type that the model is in."""
    if isinstance(model, Checkpoint):
        kind = model.tensors["embed.weight"].kind
        plain = {name: dtype for dtype, name in _DTYPES.items()}.get(kind, torch.float32)
        return lambda name: load_tensor(model.tensors[name], torch.float32), plain
    found = dict(model.named_parameters())
    missing = [
        name
        for places in _groups(model.config).values()
        for name, place in places
        if name not in found or found[name].shape != place.shape
    ]
    head, embed = (getattr(module, "weight", None) for module in (model.head, model.embed))
    if model.config.tied and head is not embed:
        missing.append("head.weight")
    if missing:
        raise UnsupportedError(
            f"{missing[0]} is packed or replaced ({len(missing)} such parameters), so it cannot be "
            "saved as a plain matrix. Load the model in float32 or bfloat16 and save that."
        )
    return lambda name: found[name].detach().cpu(), model.embed.weight.dtype


def _groups(config: ModelConfig) -> dict[str, list[tuple[str, Place]]]:
    """Tensor of the file -> our parameters in it, in order of their rows."""
    groups: dict[str, list[tuple[str, Place]]] = {}
    for name, place in hf_places(config).items():
        groups.setdefault(place.source, []).append((name, place))
    return groups


def write_weights(
    folder: Path,
    groups: Mapping[str, list[tuple[str, Place]]],
    load: _Load,
    dtype: torch.dtype,
    shard_bytes: int = SHARD_BYTES,
    packs: Callable[[str], bool] | None = None,
) -> None:
    """Safetensors of parameters that `load` gives by name, grouped by the tensor they lie in.

    Those that `packs` says yes to, by name, are ternary and become bytes with a scale beside them.
    """
    shards = list(_shards(groups, dtype.itemsize, shard_bytes))
    names = [SINGLE] if len(shards) == 1 else [
        f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        for number in range(1, len(shards) + 1)
    ]  # fmt: skip
    for old in (SINGLE, INDEX):
        if old not in names:
            (folder / old).unlink(missing_ok=True)
    table: dict[str, str] = {}
    total = 0
    for name, sources in zip(names, shards, strict=True):
        arrays: dict[str, _Stored] = {}
        for source in sources:
            ternary = packs is not None and packs(groups[source][0][0])
            whole = _assemble(groups[source], load, torch.float32 if ternary else dtype)
            arrays |= _packed(source, whole) if ternary else {source: _stored(whole)}
        save_safetensors(folder / name, arrays, {"format": "pt"})
        table |= dict.fromkeys(arrays, name)
        total += sum(raw.nbytes for _, _, raw in arrays.values())
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(table.items()))}
        write_atomic(folder / INDEX, json.dumps(index, indent=2) + "\n")


def _shards(
    groups: Mapping[str, list[tuple[str, Place]]], item: int, most: int
) -> Iterator[list[str]]:
    shard: list[str] = []
    filled = 0
    for source, places in groups.items():
        size = _values(places) * item
        if shard and filled + size > most:
            yield shard
            shard, filled = [], 0
        shard.append(source)
        filled += size
    yield shard


def _values(places: list[tuple[str, Place]]) -> int:
    return sum(math.prod(place.shape) for _, place in places)


def _assemble(places: list[tuple[str, Place]], load: _Load, dtype: torch.dtype) -> Tensor:
    """The file's tensor from our parameters: the way back of `names.Place`."""
    parts = [load(name) for name, _ in places]
    whole = parts[0] if len(parts) == 1 else torch.cat(parts)
    place = places[0][1]
    if place.offset:
        whole = whole.float() - place.offset
    if place.turned:
        whole = whole.T
    return whole.to(dtype).contiguous()


def _stored(tensor: Tensor) -> _Stored:
    raw = tensor.reshape(-1).view(torch.uint8).numpy()
    return _DTYPES[tensor.dtype], tuple(tensor.shape), np.asarray(raw)


def _packed(source: str, whole: Tensor) -> dict[str, _Stored]:
    packed, scale = pack(source, whole.numpy())
    return {
        source: ("U8", packed.shape, packed.reshape(-1)),
        f"{source}_scale": ("F32", scale.shape, scale.view(np.uint8)),
    }


def tokenizer_files(source: Path | None) -> dict[str, str | bytes]:
    """Tokenizer files of a folder by name; none for none."""
    if source is None:
        return {}
    if not source.is_dir():
        raise InputError(
            f"{source} is not a folder with tokenizer files. For a GGUF file, give the text of "
            "its tokenizer.json instead."
        )
    return {
        name: (source / name).read_bytes() for name in TOKENIZER_FILES if (source / name).is_file()
    }
