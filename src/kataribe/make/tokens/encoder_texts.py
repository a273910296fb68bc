"""Whole texts to the ids that an encoder reads, with its begin and end tokens, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from kataribe.base.errors import FormatError, InputError, TextLengthError
from kataribe.make.tokens.folder import read_inner
from kataribe.make.tokens.literal import LiteralTokenizer


@dataclass(frozen=True, slots=True)
class EncodedText:
    """One text as an encoder reads it.

    Attributes:
        ids: Token ids, begin and end tokens included.
        spans: For each token its first character in the text and one past its last; (0, 0) for
            tokens that the tokenizer added.
    """

    ids: list[int]
    spans: list[tuple[int, int]]


class EncoderTexts:
    """A tokenizer with the begin and end tokens that its own file asks for.

    Args:
        inner: The library's tokenizer, with neither truncation nor padding.
        limit: Most tokens of one text.
        vocab_size: Ids run from 0 to this, exclusive.
    """

    def __init__(self, inner: tokenizers.Tokenizer, *, limit: int, vocab_size: int) -> None:
        self._inner = inner
        self.limit = limit
        self.vocab_size = vocab_size

    def ids(self, texts: Sequence[str | tuple[int, ...]], prompt: str = "") -> list[list[int]]:
        """The ids of each text behind `prompt`; ids that are given go through as they are.

        The library works in its own threads and leaves the interpreter to others meanwhile.
        Raises `TextLengthError` for a text that is too long, `InputError` for a lone surrogate, an
        id outside the vocabulary or a text of no tokens at all.
        """
        words = [prompt + _checked(text) for text in texts if isinstance(text, str)]
        encoded = iter(self._inner.encode_batch_fast(words))
        found: list[list[int]] = []
        for place, text in enumerate(texts):
            ids = next(encoded).ids if isinstance(text, str) else self._given(text, place)
            self._check_length(len(ids), place, len(texts))
            found.append(ids)
        return found

    def spans(self, texts: Sequence[str]) -> list[EncodedText]:
        """The same with each token's place in the text, for whole texts without a prompt."""
        encoded = self._inner.encode_batch([_checked(text) for text in texts])
        for place, one in enumerate(encoded):
            self._check_length(len(one.ids), place, len(texts))
        return [
            EncodedText(
                one.ids,
                [
                    (0, 0) if special else span
                    for span, special in zip(one.offsets, one.special_tokens_mask, strict=True)
                ],
            )
            for one in encoded
        ]

    def _given(self, ids: tuple[int, ...], place: int) -> list[int]:
        if not ids:
            raise InputError(f"Input {place + 1} is an empty list of token ids.", param="input")
        worst = max(ids)
        if worst >= self.vocab_size or min(ids) < 0:
            wrong = worst if worst >= self.vocab_size else min(ids)
            raise InputError(
                f"Input {place + 1} has the token id {wrong}; the model's run from 0 to "
                f"{self.vocab_size - 1}.",
                param="input",
            )
        return list(ids)

    def _check_length(self, tokens: int, place: int, texts: int) -> None:
        if not tokens:
            raise InputError(
                f"Input {place + 1} has no tokens: it is empty to this model, which puts nothing "
                "around a text. Leave it out.",
                param="input",
            )
        if tokens > self.limit:
            raise TextLengthError(tokens, self.limit, place=place, texts=texts)


def open_encoder_texts(folder: Path, *, limit: int, vocab_size: int) -> EncoderTexts:
    """The tokenizer of a folder in Hugging Face's layout.

    The text of a control token in what people wrote is text, as it is in training.

    Raises `FormatError` for a folder without a tokenizer, with a damaged one, or with one that
    has ids beyond the model's vocabulary.
    """
    inner, _, _ = read_inner(folder)
    size = inner.get_vocab_size(with_added_tokens=True)
    highest = max(inner.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest >= vocab_size:
        raise FormatError(
            f"{folder.name}: the tokenizer has {size} tokens with ids up to {highest}, but the "
            f"model only has {vocab_size}. They do not belong together."
        )
    return EncoderTexts(_literal(inner), limit=limit, vocab_size=vocab_size)


def _literal(genuine: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """The tokenizer for which nobody can write a control token; begin and end come all the same."""
    added = genuine.get_added_tokens_decoder().items()
    control = {token.content: index for index, token in added if token.special}
    inner = LiteralTokenizer(genuine, control).inner
    if genuine.post_processor is not None:
        inner.post_processor = genuine.post_processor
    return inner


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"Character {error.start} of a text is the lone surrogate "
            f"U+{ord(text[error.start]):04X}, half of a character. Send whole characters (UTF-8).",
            param="input",
        ) from error
    return text
