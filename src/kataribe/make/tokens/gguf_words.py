"""The GGUF kinds that cut a text into words first: WordPiece (`bert`) and unigram (`t5`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import numpy as np
from tokenizers import (
    NormalizedString,
    models,
    normalizers,
    pre_tokenizers,
)
from tokenizers import (
    Tokenizer as Inner,
)

from kataribe.base.errors import FormatError
from kataribe.make.tokens.charsmap import Charsmap
from kataribe.make.tokens.gguf_metadata import Tokens
from kataribe.make.tokens.pieces import SPACE_MARK, byte_of_piece

UNKNOWN_WORD = "\ufdd0"
"""Written for a word that cannot be cut into pieces; a noncharacter, which no piece is."""
LONGEST_WORD = 200
"""Characters that the library may look up at once, at a cost of their square."""

_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


_UNICODE_15 = (
    (0x0CF3, 0x0CF3, "Mc"), (0x0ECE, 0x0ECE, "Mn"), (0x10EFD, 0x10EFF, "Mn"),
    (0x11241, 0x11241, "Mn"), (0x11B00, 0x11B09, "Po"), (0x11F00, 0x11F01, "Mn"),
    (0x11F03, 0x11F03, "Mc"), (0x11F34, 0x11F35, "Mc"), (0x11F36, 0x11F3A, "Mn"),
    (0x11F3E, 0x11F3F, "Mc"), (0x11F40, 0x11F40, "Mn"), (0x11F41, 0x11F41, "Mc"),
    (0x11F42, 0x11F42, "Mn"), (0x11F43, 0x11F4F, "Po"), (0x13439, 0x1343F, "Cf"),
    (0x13440, 0x13440, "Mn"), (0x13447, 0x13455, "Mn"), (0x1E08F, 0x1E08F, "Mn"),
    (0x1E4EC, 0x1E4EF, "Mn"),
)  # fmt: skip
"""Marks, punctuation and controls that Unicode 15.0 added: llama.cpp knows them, and Python 3.11,
with the data of Unicode 14, does not. The ids of a text must not depend on Python's version."""


class _Letters(dict[int, str]):
    """What becomes of each character, worked out when it is first met (for `str.translate`)."""

    def __init__(self, *, lowercase: bool, strip_accents: bool) -> None:
        super().__init__()
        self._lowercase = lowercase
        self._strip_accents = strip_accents

    def __missing__(self, code: int) -> str:
        self[code] = found = self._of(chr(code))
        return found

    def _of(self, char: str) -> str:
        if char.isspace() and not "\x1c" <= char <= "\x1f":
            return " "
        if self._strip_accents:
            # llama.cpp keeps the first character of a decomposition, also of Korean syllables.
            char = unicodedata.normalize("NFD", char)[0]
        kind = _category(char)
        if (
            kind in ("Cc", "Cf", "Co")
            or char == "\ufffd"
            or (self._strip_accents and kind[0] == "M")
        ):
            return ""
        if self._lowercase and len(char.lower()) == 1:
            char = char.lower()
        ascii_symbol = char < "\x7f" and kind[0] == "S"
        if kind[0] == "P" or ascii_symbol or any(low <= ord(char) <= high for low, high in _CJK):
            return f" {char} "
        return char


def _category(char: str) -> str:
    """The general category (Unicode 15.0, table 4-4)."""
    kind = unicodedata.category(char)
    if kind != "Cn":
        return kind
    code = ord(char)
    return next((added for low, high, added in _UNICODE_15 if low <= code <= high), kind)


class _Words:
    """The normalizer of llama.cpp's WordPiece (`llm_tokenizer_wpm_session::preprocess`)."""

    def __init__(self, vocabulary: Mapping[str, int], letters: _Letters) -> None:
        self._vocabulary = vocabulary
        self._letters = letters
        self._longest = max(map(len, vocabulary))

    def normalize(self, text: NormalizedString) -> None:
        """Rewrites one stretch of text in place."""
        words = text.normalized.translate(self._letters).split()
        written = " ".join(
            SPACE_MARK + word if len(word) < LONGEST_WORD else self._cut(SPACE_MARK + word)
            for word in words
        )
        text.clear()
        text.append(written or " ")

    def _cut(self, word: str) -> str:
        """A long word in pieces: greedily, the longest first, as the library would."""
        pieces: list[str] = []
        start = 0
        while start < len(word):
            ends = range(min(len(word), start + self._longest), start, -1)
            end = next((end for end in ends if word[start:end] in self._vocabulary), None)
            if end is None:
                return UNKNOWN_WORD
            pieces.append(word[start:end])
            start = end
        return " ".join(pieces)


def bert_inner(tokens: Tokens, _: Mapping[str, int]) -> Inner:
    """WordPiece in the file's notation: U+2581 begins a word, a piece inside one has no mark."""
    if tokens.unknown_id is None:
        raise FormatError(f"{tokens.file} has a WordPiece vocabulary without unknown token.")
    vocabulary = tokens.ids
    inner = Inner(
        models.WordPiece(
            vocab=vocabulary,
            unk_token=tokens.pieces[tokens.unknown_id],
            continuing_subword_prefix="",
            max_input_chars_per_word=max(LONGEST_WORD, *map(len, vocabulary)),
        )
    )
    lowercase = tokens.flag("normalizer.lowercase", default=True)
    strip = tokens.flag("normalizer.strip_accents", default=lowercase)
    letters = _Letters(lowercase=lowercase, strip_accents=strip)
    inner.normalizer = normalizers.Normalizer.custom(_Words(vocabulary, letters))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return inner


def t5_inner(tokens: Tokens, _: Mapping[str, int]) -> Inner:
    """SentencePiece's unigram model: the likeliest way to write a text in pieces."""
    if tokens.unknown_id is None:
        raise FormatError(f"{tokens.file} has a unigram vocabulary without unknown token.")
    scores = [
        0.0 if index in tokens.user_defined else score for index, score in enumerate(tokens.scores)
    ]
    # The model must not find a control or byte token in people's words, so it has them under
    # another name; bytes that it needs itself it has at a score which no words fall to.
    byte_fallback = tokens.flag("byte_fallback", default=False)
    pieces = list(tokens.pieces)
    for index, piece in enumerate(tokens.pieces):
        if byte_fallback and byte_of_piece(piece) is not None:
            scores[index] = min(tokens.scores) - 100
        elif index not in tokens.mergeable:
            pieces[index] = f"{UNKNOWN_WORD}{index}"
    pairs = list(zip(pieces, scores, strict=True))
    model = models.Unigram(pairs, tokens.unknown_id, byte_fallback=byte_fallback)
    inner = Inner(model)
    inner.normalizer = sentencepiece_text(tokens)
    return inner


def sentencepiece_text(tokens: Tokens) -> normalizers.Normalizer:
    """What SentencePiece does to a text before it looks for pieces."""
    charsmap = tokens.metadata.get("tokenizer.ggml.precompiled_charsmap")
    written = charsmap is not None and len(charsmap) > 0
    rule = _SentencePieceText(
        Charsmap(np.asarray(charsmap).astype(np.uint8).tobytes()) if written else None,
        prefix=tokens.add_space_prefix,
        squeeze=tokens.flag("remove_extra_whitespaces", default=False),
    )
    return normalizers.Normalizer.custom(rule)


class _SentencePieceText:
    """The normalizer of SentencePiece's models: the map, then spaces, then their mark."""

    def __init__(self, charsmap: Charsmap | None, *, prefix: bool, squeeze: bool) -> None:
        self._charsmap = charsmap
        self._prefix = prefix
        self._squeeze = squeeze

    def normalize(self, text: NormalizedString) -> None:
        """Rewrites one stretch of text in place."""
        written = text.normalized
        if self._charsmap is not None:
            written = self._charsmap.normalize(written)
        if self._squeeze:
            # llama.cpp begins every word with a space then, the first one too.
            written = "".join(f" {word}" for word in written.split(" ") if word)
        elif self._prefix and written.strip(" "):
            written = " " + written
        text.clear()
        text.append(written.replace(" ", SPACE_MARK))
