"""Older tokenizer files, from before tokenizer.json: GPT-2's two files, and SentencePiece's one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models, normalizers

from kataribe.base.errors import FormatError
from kataribe.make.tokens.gguf_metadata import read_tokens
from kataribe.make.tokens.gguf_tokenizer import build_tokenizer
from kataribe.make.tokens.pretokenizers import pre_tokenizer
from kataribe.make.tokens.refusals import Refusals
from kataribe.make.tokens.sentencepiece_file import read_sentencepiece
from kataribe.make.tokens.templates import ChatTemplate
from kataribe.make.tokens.tokenizer import Tokenizer


def convert_older(folder: Path) -> str:
    """The text of a tokenizer.json for a folder that has none.

    Raises `FormatError` when the folder has no older files either, or unknown ones.
    """
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    if vocabulary.exists() and merges.exists():
        return _byte_level(folder, vocabulary, merges)
    raise FormatError(
        f"{folder} has no tokenizer: neither tokenizer.json, nor vocab.json with merges.txt, nor "
        "tokenizer.model. Fetch the model again, with all of its small files."
    )


def _tokenizer_class(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}.") from error
    return str(config.get("tokenizer_class") or "GPT2Tokenizer").removesuffix("Fast")


def _byte_level(folder: Path, vocabulary: Path, merges: Path) -> str:
    rules = {"GPT2Tokenizer": "gpt-2", "Qwen2Tokenizer": "qwen2"}
    name = _tokenizer_class(folder)
    if name not in rules:
        raise FormatError(
            f"{folder} has vocab.json and merges.txt for {name}; without a tokenizer.json Kataribe "
            f"knows only {' and '.join(rules)}. Save the tokenizer with transformers first."
        )
    with Refusals(str(folder)):
        inner = Inner(models.BPE.from_file(str(vocabulary), str(merges)))
    inner.pre_tokenizer = pre_tokenizer(rules[name]).build()
    inner.decoder = decoders.ByteLevel()
    if name == "Qwen2Tokenizer":
        inner.normalizer = normalizers.NFC()
    return str(inner.to_str())


def load_sentencepiece(
    path: Path, config: Mapping[str, Any], template: ChatTemplate | None
) -> Tokenizer:
    """The tokenizer of a SentencePiece model file, with SentencePiece's own ids.

    Args:
        path: The `tokenizer.model`.
        config: The folder's tokenizer_config.json.
        template: The folder's chat template.
    """
    model = read_sentencepiece(path)
    if model.kind not in ("unigram", "bpe"):
        raise FormatError(
            f"{path} is a SentencePiece model of kind {model.kind}; Kataribe reads bpe and "
            "unigram. Save the tokenizer as tokenizer.json with transformers first."
        )
    around = {
        f"tokenizer.ggml.{name}": bool(config.get(name, default))
        for name, default in (("add_bos_token", model.kind == "bpe"), ("add_eos_token", False))
    }
    tokens = read_tokens(path.name, {**model.metadata(), **around})
    return build_tokenizer(tokens, chat_adds_bos=False).with_template(template)
