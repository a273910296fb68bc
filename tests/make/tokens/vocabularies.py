"""Small vocabularies made on the spot, and GGUF files and folders that hold them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gguf
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from tests.make.tokens.hard_texts import TEXTS

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6
WORDS = (
    "the quick brown fox jumps over the lazy dog; it's 123 hello world hello there "
    "def f(x): return x  # これはペンです。吾輩は猫である。名前はまだ無い。ガギグ ｶﾞｷﾞ "
)


@cache
def byte_level() -> Tokenizer:
    """GPT-2's kind, trained on the hard texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS * 3, *TEXTS * 2], trainer)
    return tokenizer


@cache
def sentencepiece_pieces() -> tuple[tuple[str, float, int], ...]:
    """SentencePiece's kind: piece, score and type; bytes, a user-defined and control tokens."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(
        [WORDS.replace(" ", "▁") * 3, *TEXTS],
        trainers.BpeTrainer(vocab_size=1100, show_progress=False),
    )
    pieces = sorted(trained.get_vocab(), key=trained.get_vocab().__getitem__)
    letters = [piece for piece in pieces if len(piece) == 1 and piece not in "\0▁"][:200]
    merged = [piece for piece in pieces if len(piece) > 1 and "\0" not in piece]
    merged.remove("\n\n")
    rows = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    rows += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    rows += [("<tool>", 0.0, USER), ("\n\n", 0.0, USER)]
    rows += [(piece, -float(index), NORMAL) for index, piece in enumerate([*merged, "▁", *letters])]
    return tuple(rows)


@cache
def words() -> tuple[str, ...]:
    """BERT's kind, in its own notation (`##` continues a word)."""
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=True)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=800, special_tokens=special, show_progress=False, limit_alphabet=300
    )
    trained.train_from_iterator([WORDS * 3, *TEXTS], trainer)
    return tuple(sorted(trained.get_vocab(), key=trained.get_vocab().__getitem__))


def write_gguf(path: Path, architecture: str, kind: str, **keys: Any) -> Path:
    """A GGUF file of metadata only; lists and numbers become what llama.cpp expects."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_tokenizer_model(kind)
    writer.add_name(str(keys.pop("name", "test")))
    for name, value in keys.items():
        key = f"tokenizer.{name.removeprefix('top_')}" if name.startswith("top_") else ""
        key = key or f"tokenizer.ggml.{name}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, list(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def write_byte_level(path: Path, pre: str | None, **keys: Any) -> Path:
    """The byte-level vocabulary as GGUF, cut into words by the rule `pre`."""
    description = json.loads(byte_level().to_str())["model"]
    ids = description["vocab"]
    pieces = sorted(ids, key=ids.__getitem__)
    return write_gguf(
        path,
        "llama",
        "gpt2",
        **({} if pre is None else {"pre": pre}),
        tokens=pieces,
        token_type=[CONTROL if piece in SPECIAL else NORMAL for piece in pieces],
        merges=[" ".join(merge) for merge in description["merges"]],
        **{"bos_token_id": 0, "eos_token_id": 2} | keys,
    )


def write_sentencepiece(path: Path, *control: str, **keys: Any) -> Path:
    """The SentencePiece vocabulary as GGUF, with more control tokens."""
    rows = [*sentencepiece_pieces(), *((text, 0.0, CONTROL) for text in control)]
    return write_gguf(
        path,
        "llama",
        "llama",
        tokens=[piece for piece, _, _ in rows],
        scores=[score for _, score, _ in rows],
        token_type=[kind for _, _, kind in rows],
        **keys,
    )


def write_words(path: Path, **keys: Any) -> Path:
    """The WordPiece vocabulary as GGUF, in llama.cpp's notation (U+2581 begins a word)."""
    pieces = []
    for piece in words():
        if piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
            pieces.append(piece)
        else:
            pieces.append(piece[2:] if piece.startswith("##") else "▁" + piece)
    special = range(5)
    return write_gguf(
        path,
        "bert",
        "bert",
        tokens=pieces,
        token_type=[CONTROL if index in special else NORMAL for index in range(len(pieces))],
        **{
            "padding_token_id": 0,
            "unknown_token_id": 1,
            "bos_token_id": 2,
            "cls_token_id": 2,
            "seperator_token_id": 3,
            "mask_token_id": 4,
        }
        | keys,
    )


def write_folder(folder: Path, tokenizer: Tokenizer, config: dict[str, Any]) -> Path:
    """A Hugging Face folder with a tokenizer.json and its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config}), encoding="utf-8"
    )
    return folder


def added(tokenizer: Tokenizer, special: Sequence[str], plain: Sequence[str] = ()) -> Tokenizer:
    """The tokenizer with added tokens, special ones and others."""
    tokenizer.add_special_tokens([AddedToken(each, normalized=False) for each in special])
    tokenizer.add_tokens([AddedToken(each, normalized=False) for each in plain])
    return tokenizer
