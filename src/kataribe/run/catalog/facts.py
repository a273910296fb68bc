"""Facts of a model from the headers of its files: sizes, and every weight's kind and count."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.files.gguf import GGUFFile, open_gguf
from kataribe.files.safetensors import open_safetensors
from kataribe.run.catalog.cards import ModelFacts, TensorGroup
from kataribe.run.catalog.layout import (
    ENCODERS,
    FAMILIES,
    RECURRENT,
    SOURCES,
    check_family,
    model_files,
    read_json,
)
from kataribe.run.catalog.recurrent_facts import recurrent_facts
from kataribe.run.catalog.source_words import usual_words

_EMBEDDINGS = (
    "token_embd.weight", "embed_tokens.weight", "wte.weight", "word_embeddings.weight",
    "shared.weight", "backbone.embeddings.weight", "backbone.embedding.weight",
)  # fmt: skip
_HEADS = (
    "output.weight", "lm_head.weight", "lm_head.decoder.weight", "cls.predictions.decoder.weight",
    "vocab_projector.weight",
)  # fmt: skip
_POSITIONS = (
    "position_embd.weight", "wpe.weight", "position_embeddings.weight",
    "token_type_embeddings.weight", "embed_positions.weight",
)  # fmt: skip
_NO_WEIGHTS = (
    "rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight", ".attn.bias",
    "weight_scale",
    ".attn.masked_bias", "rotary_emb.inv_freq", "position_ids",
)  # fmt: skip
_TERNARY = 4
"""Values in a byte of a ternary matrix (BitNet)."""
_SECOND = re.compile(r"(model\.)?(encoder|decoder)\.embed_tokens\.weight")
"""What some encoder-decoders store beside the embedding that both stacks share."""
_OTHER_SENSES = re.compile(r"(model\.)?(vision_tower|multi_modal_projector)\.")

_QWEN = {
    "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
    "max_position_embeddings": 32768,
}  # fmt: skip
_GEMMA = {
    "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
}  # fmt: skip
_BERT = {
    "vocab_size": 30522, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 512, "pad_token_id": 0,
}  # fmt: skip
_DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "gpt2": {
        "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
    },
    "llama": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048,
    },
    "mistral": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
    },
    "qwen2": _QWEN,
    "qwen3": _QWEN | {"head_dim": 128},
    "gemma2": _GEMMA | {"vocab_size": 256000, "max_position_embeddings": 8192},
    "gemma3": _GEMMA | {"vocab_size": 262208, "max_position_embeddings": 131072},
    "mixtral": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
    },
    "qwen2moe": _QWEN | {
        "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 16,
    },
    "qwen3moe": _QWEN | {
        "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 24,
        "num_key_value_heads": 4,
    },
    "bitnet": {
        "vocab_size": 128256, "hidden_size": 2560, "intermediate_size": 6912,
        "num_hidden_layers": 30, "num_attention_heads": 20, "num_key_value_heads": 5,
        "max_position_embeddings": 2048,
    },
    "bert": _BERT,
    "roberta": _BERT | {"vocab_size": 50265, "pad_token_id": 1},
    "xlm-roberta": _BERT | {"pad_token_id": 1},
    "distilbert": _BERT | {"num_hidden_layers": 6},
}  # fmt: skip
"""Sizes where config.json leaves them out, as `make.model.families` has them; a test compares."""
_TIED = frozenset({"gpt2", "gemma2", "gemma3", "mamba", *ENCODERS})
"""Families whose head is the embedding where config.json does not say."""
_GPT2_NAMES = {
    "hidden_size": "n_embd", "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
}  # fmt: skip
_DISTIL_NAMES = {
    "dim": "hidden_size", "hidden_dim": "intermediate_size", "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
}  # fmt: skip


def read_facts(path: Path) -> ModelFacts:
    """Facts of a GGUF file or a folder in Hugging Face's layout; opens every header.

    Raises `FormatError` for what is not sound, `ArchitectureError` for other families.
    """
    return _folder_facts(path) if path.is_dir() else gguf_facts(open_gguf(path))


def gguf_facts(file: GGUFFile) -> ModelFacts:
    """Facts of an open GGUF file."""
    architecture = file.metadata.get("general.architecture")
    if architecture not in FAMILIES:
        raise ArchitectureError(
            f"{file.path} is of the family {architecture!r:.60}, which Kataribe does not build; it "
            f"builds {', '.join(FAMILIES)}."
        )
    family = "mixtral" if file.metadata.get("llama.expert_count") else architecture
    numbers = _Numbers(file.metadata, f"{architecture}.", str(file.path))
    groups = group_tensors((t.name, t.kind, t.shape) for t in file.tensors.values())
    heads = numbers.whole("attention.head_count")
    hidden = numbers.whole("embedding_length")
    return ModelFacts(
        family=str(family),
        layers=numbers.whole("block_count"),
        hidden_size=hidden,
        heads=heads,
        kv_heads=numbers.whole("attention.head_count_kv", heads),
        head_dim=numbers.whole("attention.key_length", hidden // heads),
        intermediate_size=numbers.whole("feed_forward_length"),
        vocab_size=_vocabulary(groups),
        context_length=numbers.whole("context_length"),
        groups=groups,
        file_bytes=file.path.stat().st_size,
    )


def config_facts(
    config: Mapping[str, Any], groups: tuple[TensorGroup, ...], size: int | None, where: str
) -> ModelFacts:
    """Facts of a parsed config.json and its weights."""
    family = check_family(config, where)
    told = _text_config(config, family)
    if family in RECURRENT:
        return recurrent_facts(told, family, groups, size, where)
    numbers = _Numbers({**_DEFAULTS.get(family, {}), **told}, "", where)
    if family == "gpt2":
        hidden, heads = numbers.whole("n_embd"), numbers.whole("n_head")
        return ModelFacts(
            family=family,
            layers=numbers.whole("n_layer"),
            hidden_size=hidden,
            heads=heads,
            kv_heads=heads,
            head_dim=_share(hidden, heads, where),
            intermediate_size=numbers.optional("n_inner") or 4 * hidden,
            vocab_size=numbers.whole("vocab_size"),
            context_length=numbers.whole("n_positions"),
            groups=groups,
            file_bytes=size,
        )
    hidden, heads = numbers.whole("hidden_size"), numbers.whole("num_attention_heads")
    return ModelFacts(
        family=family,
        layers=numbers.whole("num_hidden_layers"),
        hidden_size=hidden,
        heads=heads,
        kv_heads=numbers.optional("num_key_value_heads") or heads,
        head_dim=numbers.optional("head_dim") or _share(hidden, heads, where),
        intermediate_size=numbers.whole("intermediate_size"),
        vocab_size=numbers.whole("vocab_size"),
        context_length=numbers.whole("max_position_embeddings") - _unused_positions(told, family),
        groups=groups,
        file_bytes=size,
    )


def is_tied(config: Mapping[str, Any], family: str) -> bool:
    """Whether a parsed config.json says that the head is the embedding."""
    return bool(_text_config(config, family).get("tie_word_embeddings", family in _TIED))


def group_tensors(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]],
) -> tuple[TensorGroup, ...]:
    """Adds up (name, kind, shape) of all weights by role and kind."""
    found: dict[tuple[str, str], list[int]] = {}
    for name, kind, shape in tensors:
        if name.endswith(_NO_WEIGHTS) or _OTHER_SENSES.match(name):
            continue
        held = _TERNARY if kind == "U8" else 1
        counts = found.setdefault((_role(name, shape), kind), [0, 0])
        counts[0] += held * math.prod(shape)
        counts[1] += held * math.prod(shape[:-1])
    return tuple(TensorGroup(*key, *counts) for key, counts in sorted(found.items()))


def _folder_facts(folder: Path) -> ModelFacts:
    files = model_files(folder)
    if files[0].suffix == ".gguf":
        return gguf_facts(open_gguf(files[0]))
    config = read_json(folder / "config.json")
    tied = is_tied(config, check_family(config, str(folder)))
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for path in files:
        if path.suffix == ".safetensors":
            for tensor in open_safetensors(path).tensors.values():
                if tensor.name in tensors:
                    raise FormatError(f"{folder} holds the tensor {tensor.name!r} twice.")
                tensors[tensor.name] = (tensor.dtype, tensor.shape)
    groups = group_tensors(
        (name, kind, shape)
        for name, (kind, shape) in tensors.items()
        if not (tied and name.endswith(_HEADS)) and not _SECOND.fullmatch(name)
    )
    return config_facts(config, groups, sum(p.stat().st_size for p in files), str(folder))


def _text_config(config: Mapping[str, Any], family: str) -> Mapping[str, Any]:
    """The settings of the text decoder: Gemma 3 with images keeps them in a table of their own."""
    inner = config.get("text_config")
    if isinstance(inner, Mapping):
        tied = config.get("tie_word_embeddings")
        return {**({} if tied is None else {"tie_word_embeddings": tied}), **inner}
    if family in SOURCES:
        return usual_words(config, family)
    if family == "gpt2":
        return {_GPT2_NAMES.get(name, name): value for name, value in config.items()}
    if family == "distilbert":
        own = {_DISTIL_NAMES[name]: config[name] for name in _DISTIL_NAMES if name in config}
        return {**config, **own}
    return config


def _unused_positions(config: Mapping[str, Any], family: str) -> int:
    """Rows of RoBERTa's position table that stand for no position: up to its padding token."""
    if family not in ("roberta", "xlm-roberta"):
        return 0
    padding = config.get("pad_token_id", _DEFAULTS[family]["pad_token_id"])
    return padding + 1 if isinstance(padding, int) and 0 <= padding < 1 << 20 else 0


def _share(hidden: int, heads: int, where: str) -> int:
    if hidden % heads:
        raise FormatError(f"{where}: {hidden} values cannot be divided by {heads} heads.")
    return hidden // heads


def _role(name: str, shape: tuple[int, ...]) -> str:
    if name.endswith(_EMBEDDINGS):
        return "embedding"
    if name.endswith(_HEADS) and "attn" not in name:
        return "head"
    return "vector" if len(shape) < 2 or name.endswith(_POSITIONS) else "matrix"


def _vocabulary(groups: Iterable[TensorGroup]) -> int:
    return sum(group.rows for group in groups if group.role == "embedding")


class _Numbers:
    """Whole positive numbers out of metadata that a stranger wrote."""

    def __init__(self, values: Mapping[str, Any], prefix: str, where: str) -> None:
        self._values = values
        self._prefix = prefix
        self._where = where

    def whole(self, name: str, default: int | None = None) -> int:
        """The number; the largest where the file has one for each layer."""
        value = self._values.get(self._prefix + name)
        if value is None and default is not None and default > 0:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, list) and value:
            value = max(value) if all(isinstance(item, int) for item in value) else None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
            raise FormatError(
                f"{self._where} has {self._prefix}{name} = {value!r:.60}; a whole number above 0 "
                "is needed."
            )
        return value

    def optional(self, name: str) -> int | None:
        """The same, or None where the file says null, 0 or nothing."""
        value = self._values.get(self._prefix + name)
        if value is None or (value == 0 and not isinstance(value, bool)):
            return None
        return self.whole(name)
