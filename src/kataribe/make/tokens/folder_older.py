"""Older tokenizer files, from before tokenizer.json: GPT-2's two files, and SentencePiece's one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Inner

from kataribe.base.errors import FormatError
from kataribe.make.tokens.gguf_metadata import read_tokens
from kataribe.make.tokens.gguf_tokenizer import score_merges
from kataribe.make.tokens.pretokenizers import pre_tokenizer
from kataribe.make.tokens.refusals import Refusals
from kataribe.make.tokens.sentencepiece_file import read_sentencepiece


def convert_older(folder: Path) -> str:
    """The text of a tokenizer.json for a folder that has none.

    Raises `FormatError` when the folder has no older files either, or unknown ones.
    """
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    if vocabulary.exists() and merges.exists():
        return _byte_level(folder, vocabulary, merges)
    model = folder / "tokenizer.model"
    if model.exists():
        return _sentencepiece(model)
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


def _sentencepiece(path: Path) -> str:
    model = read_sentencepiece(path)
    if model.kind not in ("unigram", "bpe"):
        raise FormatError(
            f"{path} is a SentencePiece model of kind {model.kind}; Kataribe converts bpe and "
            "unigram. Save the tokenizer as tokenizer.json with transformers first."
        )
    tokens = read_tokens(path.name, model.metadata())
    unknown = tokens.unknown_id
    with Refusals(str(path)):
        if model.kind == "bpe":
            inner = Inner(
                models.BPE(
                    vocab=tokens.ids,
                    merges=score_merges(tokens),
                    unk_token=None if unknown is None else tokens.pieces[unknown],
                    fuse_unk=True,
                    byte_fallback=model.byte_fallback,
                )
            )
        else:
            pairs = list(zip(tokens.pieces, tokens.scores, strict=True))
            inner = Inner(models.Unigram(pairs, unknown, byte_fallback=model.byte_fallback))
        steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
        if model.removes_extra_spaces:
            steps += [normalizers.Strip(), normalizers.Replace("  ", " ")]
        if steps:
            inner.normalizer = normalizers.Sequence(steps)
        scheme = "first" if model.adds_prefix else "never"
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        pieces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        inner.decoder = decoders.Sequence(
            [*pieces, decoders.Strip(" ", 1, 0)] if model.adds_prefix else pieces
        )
        texts = [tokens.pieces[each] for each in sorted(tokens.control)]
        inner.add_special_tokens([AddedToken(text, normalized=False) for text in texts])
        texts = [tokens.pieces[each] for each in sorted(tokens.user_defined)]
        inner.add_tokens([AddedToken(text, normalized=False) for text in texts])
    return str(inner.to_str())
