"""The GGUF kinds that cut a text into words first: WordPiece (`bert`) and unigram (`t5`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tokenizers import Regex, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Inner

from kataribe.base.errors import FormatError
from kataribe.make.tokens.gguf_metadata import Tokens
from kataribe.make.tokens.pieces import SPACE_MARK

CONTINUING = "\ufdd0"
"""Marks pieces inside a word. A noncharacter, so that it can be no piece's own beginning."""
LONGEST_WORD = 400
"""Characters; a longer word is unknown. Looking a word up costs the square of its length."""


def bert_inner(tokens: Tokens, _: Mapping[str, int]) -> Inner:
    """WordPiece. The file marks the pieces that begin a word by U+2581, the library the others."""
    vocabulary: dict[str, int] = {}
    for index, piece in enumerate(tokens.pieces):
        if index in tokens.control or index in tokens.user_defined:
            vocabulary[piece] = index
        elif piece.startswith(SPACE_MARK) and len(piece) > 1:
            vocabulary[piece[1:]] = index
        else:
            vocabulary[CONTINUING + piece] = index
    if tokens.unknown_id is None or len(vocabulary) != len(tokens.pieces):
        raise FormatError(f"{tokens.file} has a WordPiece vocabulary without unknown token.")
    inner = Inner(
        models.WordPiece(
            vocab=vocabulary,
            unk_token=tokens.pieces[tokens.unknown_id],
            continuing_subword_prefix=CONTINUING,
            max_input_chars_per_word=LONGEST_WORD,
        )
    )
    lowercase = tokens.flag("normalizer.lowercase", default=True)
    strip = tokens.flag("normalizer.strip_accents", default=lowercase)
    inner.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=strip, lowercase=lowercase
    )
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return inner


def t5_inner(tokens: Tokens, _: Mapping[str, int]) -> Inner:
    """SentencePiece's unigram model: the likeliest way to write a text in pieces."""
    if tokens.unknown_id is None:
        raise FormatError(f"{tokens.file} has a unigram vocabulary without unknown token.")
    scores = [
        0.0 if index in tokens.user_defined else score for index, score in enumerate(tokens.scores)
    ]
    model = models.Unigram(
        list(zip(tokens.pieces, scores, strict=True)), tokens.unknown_id, byte_fallback=False
    )
    inner = Inner(model)
    steps: list[Any] = []
    charsmap = tokens.metadata.get("tokenizer.ggml.precompiled_charsmap")
    if charsmap is not None and len(charsmap):
        steps.append(normalizers.Precompiled(np.asarray(charsmap).astype(np.uint8).tobytes()))
    if tokens.flag("remove_extra_whitespaces", default=False):
        steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    if tokens.add_space_prefix:
        steps.append(normalizers.Prepend(SPACE_MARK))
    steps.append(normalizers.Replace(" ", SPACE_MARK))
    inner.normalizer = normalizers.Sequence(steps)
    return inner
