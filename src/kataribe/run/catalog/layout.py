"""What a model's folder may hold: weights that cannot run code, and the texts beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from kataribe.base.errors import ArchitectureError, FormatError, NotFoundError
from kataribe.files.atomic import storage_error

FAMILIES = (
    "gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "mixtral", "qwen2moe",
    "qwen3moe", "bitnet",
)  # fmt: skip
"""Families that `make.model` builds, by the names that GGUF uses."""
RECURRENT = ("mamba", "mamba2", "jamba", "kataribe")
"""Families with recurrent layers; of folders only."""
ENCODERS = ("bert", "roberta", "xlm-roberta", "distilbert")
"""Families of encoders, which make vectors or labels and continue no text."""
SOURCES = ("t5", "mt5", "bart", "mbart", "pegasus", "marian")
"""Families of encoder-decoders, which answer a source and do not continue it."""
_MODEL_TYPES = {
    **{family: family for family in (*FAMILIES, *RECURRENT, *ENCODERS, *SOURCES)},
    "gemma3_text": "gemma3",
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
    "camembert": "roberta",
}

INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".npz")
TEXTS = (".json", ".jinja", ".model", ".txt", ".md")
"""Texts and data that tokenizers and templates are made of; none of them can run."""
MAX_TEXT_BYTES = 128 << 20
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_STEP = re.compile(r"[0-9]_[A-Za-z]{1,40}/config\.json")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


def companions(names: Collection[str], weights: Sequence[str]) -> list[str]:
    """The files to take along with `weights`: texts with plain names at the root.

    A GGUF file has all it needs inside, so beside it only what people read is kept.
    """
    packed = weights[0].endswith(".gguf")
    found = []
    for name in sorted(names):
        if not _PLAIN.fullmatch(name) or name == "card.json":
            continue
        document = name.partition(".")[0].upper() in {"LICENSE", "NOTICE", "README"}
        document = document and (name.endswith((".md", ".txt")) or "." not in name)
        if document or (not packed and name.endswith(TEXTS) and not name.endswith(".index.json")):
            found.append(name)
    if INDEX in names and not packed:  # `choose_weights` followed it
        found.append(INDEX)
    return found


def step_files(names: Iterable[str]) -> list[str]:
    """The settings of an embedder's steps: `1_Pooling/config.json` and its like."""
    return sorted(name for name in names if _STEP.fullmatch(name))


def choose_weights(names: Sequence[str], index: Any | None, where: str) -> list[str]:
    """The weight files to take from a folder or repository that lists `names`.

    Args:
        names: Files at its root.
        index: The parsed `model.safetensors.index.json`, when there is one.
        where: Names the place in messages.

    Raises `FormatError` when there are only pickles or nothing, and when several files could be
    meant.
    """
    if index is not None:
        return _shards(names, index, where)
    tensors = sorted(name for name in names if name.endswith(".safetensors"))
    if "model.safetensors" in tensors:
        return ["model.safetensors"]
    if len(tensors) == 1:
        return tensors
    packed = [name for name in names if name.endswith(".gguf") and "mmproj" not in name.lower()]
    if len(packed) == 1 and not tensors:
        return [check_whole_gguf(packed[0])]
    candidates = sorted(tensors + packed)
    if candidates:
        raise FormatError(
            f"{where} holds several models; name one of: {', '.join(candidates[:40])} "
            "(hf:OWNER/NAME:FILE or the file's own path)."
        )
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    if pickles:
        raise FormatError(
            f"{where} holds its weights only as {', '.join(pickles[:5])}. Such files can run code "
            "when they are opened and are refused; look for a safetensors or GGUF version."
        )
    raise FormatError(f"{where} holds no model: no safetensors and no GGUF file.")


def check_whole_gguf(name: str) -> str:
    """The name, unless it is one piece of a split file, which `FormatError` refuses."""
    if _SPLIT.search(name):
        raise FormatError(
            f"{name} is a piece of a split GGUF file. Join the pieces with llama.cpp's "
            "`llama-gguf-split --merge`, then import the result."
        )
    return name


def read_json(path: Path, limit: int = MAX_TEXT_BYTES) -> Any:
    """The JSON of a small file; `FormatError` when it is none or too large to be meant."""
    try:
        if path.stat().st_size > limit:
            raise FormatError(f"{path} has {path.stat().st_size} bytes; {limit} are the most.")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist.") from None
    except RecursionError:
        raise FormatError(f"{path} is nested too deeply.") from None
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {str(error)[:200]}.") from None
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error


def check_family(config: Any, where: str) -> str:
    """The family that a parsed config.json names; `ArchitectureError` when it is not built."""
    kind = config.get("model_type") if isinstance(config, dict) else None
    if isinstance(kind, str) and kind in _MODEL_TYPES:
        return _MODEL_TYPES[kind]
    raise ArchitectureError(
        f"{where} is of the family {kind!r:.60}, which Kataribe does not build; it builds "
        f"{', '.join((*FAMILIES, *RECURRENT, *ENCODERS, *SOURCES))}."
    )


def model_files(folder: Path) -> list[Path]:
    """The files of a folder that make up a model: weights first, then their companions.

    Raises `FormatError` for a folder that holds none.
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    index = read_json(folder / INDEX) if INDEX in names else None
    weights = choose_weights(names, index, str(folder))
    if weights[0].endswith(".safetensors") and "config.json" not in names:
        raise FormatError(f"{folder} has weights but no config.json, so it cannot be built.")
    return [folder / name for name in [*weights, *companions(names, weights)]]


def _shards(names: Iterable[str], index: Any, where: str) -> list[str]:
    table = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(table, dict) or not table:
        raise FormatError(f"{where}: {INDEX} has no weight_map.")
    shards = sorted({str(name) for name in table.values()})
    present = set(names)
    for shard in shards:
        if not _PLAIN.fullmatch(shard) or not shard.endswith(".safetensors"):
            raise FormatError(f"{where}: {INDEX} names {shard!r:.120}, which is no shard.")
        if shard not in present:
            raise FormatError(f"{where}: the shard {shard} is missing.")
    return shards
