"""The safetensors files of a Hugging Face folder, one or sharded, whoever wrote the index."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.files.atomic import storage_error
from kataribe.files.safetensors import SafeTensor, open_safetensors
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.weights.name_tables import hf_names
from kataribe.make.model.weights.names import hf_places
from kataribe.make.model.weights.sources import StoredTensor
from kataribe.make.model.weights.ternary_files import unpacked

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Endings of files that run code when they are opened."""
_MAX_JSON_BYTES = 64 << 20
_KINDS = ("F32", "F16", "BF16", "F64")
_BUFFERS = re.compile(r"(.*\.)?(rotary_emb\.inv_freq|h\.\d+\.attn\.(masked_)?bias)")
"""What older programs stored beside the parameters: it follows from the settings."""
_OTHER_SENSES = re.compile(r"(model\.)?(vision_tower|multi_modal_projector)\..*")
"""Gemma 3's eyes: its text decoder is complete without them."""


def read_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file; `FormatError` or `NotFoundError` names the file."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise FormatError(
                f"{path} is larger than {_MAX_JSON_BYTES >> 20} MiB; no JSON file is."
            )
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist; a model's folder needs it.") from None
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {str(error)[:200]}.") from None
    if not isinstance(value, dict):
        raise FormatError(f"{path} holds a {type(value).__name__}; an object is needed.")
    return value


def refuse_pickle(path: Path) -> FormatError:
    """The error that says why a pickle is not opened, and what to do."""
    return FormatError(
        f"{path.name} is a pickle, which can run any program when it is opened; it is never read. "
        "Convert the model to safetensors (transformers: save_pretrained) and open that folder."
    )


def open_weights(
    folder: Path, config: ModelConfig, settings: Mapping[str, Any]
) -> dict[str, StoredTensor]:
    """All tensors of a folder with config.json `settings`, by the family's names.

    Raises `FormatError` for an index that points outside of its folder, at nothing or at itself,
    or that does not agree with the files it names.
    """
    found = stored_tensors(folder)
    if config.layers > len(found):  # before anything is built for so many
        raise FormatError(
            f"{folder.name}: config.json claims {config.layers} layers, but there are only "
            f"{len(found)} tensors."
        )
    packing = settings.get("quantization_config") or {}
    ternary = unpacked(folder.name, found, packing) if config.ternary == "given" else {}
    stored: dict[str, StoredTensor] = {}
    for name, tensor in found.items():
        scale = name.removesuffix("_scale") in ternary and name not in ternary
        if scale or _BUFFERS.fullmatch(name) or _OTHER_SENSES.fullmatch(name):
            continue
        ours = _canonical(name, config)
        if ours in stored:
            raise FormatError(f"{folder.name} has {ours!r} twice, once as {name!r}.")
        stored[ours] = ternary.get(name) or plain_tensor(folder, name, tensor)
    return _without_double_head(stored, config, folder)


def stored_tensors(folder: Path) -> dict[str, SafeTensor]:
    """All tensors of a folder as its files name them, from one file or from shards."""
    if (folder / INDEX).is_file():
        return _sharded(folder)
    if (folder / SINGLE).is_file():
        return dict(open_safetensors(folder / SINGLE).tensors)
    pickles = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICKLES)
    if pickles:
        raise refuse_pickle(pickles[0])
    raise NotFoundError(f"{folder} holds neither {SINGLE} nor {INDEX}.")


def plain_tensor(folder: Path, name: str, tensor: SafeTensor) -> StoredTensor:
    """A tensor of a type that is read; `FormatError` for packed ones."""
    if tensor.dtype not in _KINDS:
        raise FormatError(
            f"{folder.name}: tensor {name!r} has type {tensor.dtype}; read are "
            f"{', '.join(_KINDS)}. Use the unquantised model or a GGUF file."
        )
    return StoredTensor(tensor.shape, tensor.dtype, tensor.raw)


def _sharded(folder: Path) -> dict[str, SafeTensor]:
    table = read_json(folder / INDEX).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise FormatError(f"{folder / INDEX} has no weight_map.")
    files: dict[str, Mapping[str, SafeTensor]] = {}
    for tensor, name in table.items():
        if (
            not isinstance(name, str)
            or Path(name).name != name
            or not name.endswith(".safetensors")
        ):
            raise FormatError(
                f"{INDEX} places {tensor!r} in {name!r:.100}; a shard is a .safetensors file in "
                "the same folder."
            )
        if name not in files:
            if not (folder / name).is_file():
                raise FormatError(
                    f"{INDEX} places {tensor!r} in {name!r}, which is missing. Fetch it again."
                )
            files[name] = open_safetensors(folder / name).tensors
        if tensor not in files[name]:
            raise FormatError(f"{INDEX} places {tensor!r} in {name!r}, which does not hold it.")
    for name, tensors in files.items():
        stray = next((tensor for tensor in tensors if table.get(tensor) != name), None)
        if stray is not None:
            raise FormatError(f"{name} holds {stray!r}, of which {INDEX} says otherwise.")
    return {tensor: files[name][tensor] for tensor, name in table.items()}


def _canonical(name: str, config: ModelConfig) -> str:
    """The name with which `XForCausalLM` saves: others leave its prefix out or add one."""
    for prefix in ("model.language_model.", "language_model.model.", "language_model."):
        if config.family == "gemma3" and name.startswith(prefix):
            rest = name.removeprefix(prefix)
            return rest if rest.startswith("lm_head.") else f"model.{rest}"
    prefix = hf_names(config.family).prefix
    if prefix == "backbone.":  # Mamba's own program called it so
        name = re.sub(r"^(backbone\.)?embedding\.", "backbone.embeddings.", name)
    return name if name.startswith((prefix, "lm_head.")) else prefix + name


def _without_double_head(
    stored: dict[str, StoredTensor], config: ModelConfig, folder: Path
) -> dict[str, StoredTensor]:
    """A tied head may be stored a second time, as long as it is the same."""
    head = stored.get("lm_head.weight")
    embed = stored.get(hf_places(config)["embed.weight"].source)
    if config.tied and head is not None and embed is not None:
        if head.kind != embed.kind or not (head.read() == embed.read()).all():
            raise FormatError(
                f"{folder.name}: config.json says that the head is the embedding, but "
                "'lm_head.weight' is another matrix. Set tie_word_embeddings to false."
            )
        del stored["lm_head.weight"]
    return stored
