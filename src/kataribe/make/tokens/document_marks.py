"""Which tokens stand around a document in token data."""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.errors import InputError
from kataribe.make.tokens.tokenizer import Tokenizer

_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]", "[SEP]")
"""Ends of texts, known by name, before the ends of turns which a chat model's file may name."""


@dataclass(frozen=True)
class DocumentMarks:
    """What begins and ends a document.

    Where both are the same token it is written once, before the text: it ends the document before
    it and begins the next one. It is taught as the last token of each document all the same.

    Attributes:
        begin: Written before a document.
        end: Taught (and written, where it is another one) after a document.
    """

    begin: int
    end: int

    @property
    def writes_end(self) -> bool:
        """Whether the end is a token of its own."""
        return self.begin != self.end


def document_marks(tokenizer: Tokenizer) -> DocumentMarks:
    """The marks of a tokenizer: what it puts around texts itself, or its end of text.

    Raises:
        InputError: It has no token that ends a text.
    """
    end = _end(tokenizer)
    begin = end if tokenizer.bos_id is None or _is_shared(tokenizer) else tokenizer.bos_id
    return DocumentMarks(begin, end)


def _is_shared(tokenizer: Tokenizer) -> bool:
    """GPT-2's family: chat models of it may name the beginning of a turn as their BOS.

    One that puts the end before a text itself is what training made of such a tokenizer.
    """
    end = tokenizer.special_id("<|endoftext|>")
    return end is not None and (not tokenizer.add_bos or tokenizer.encode("")[0] == end)


def _end(tokenizer: Tokenizer) -> int:
    around = tokenizer.encode("")  # [CLS] [SEP] and the like
    if around and around[-1] != tokenizer.bos_id:
        return around[-1]
    for text in _ENDS:
        found = tokenizer.special_id(text)
        if found is not None:
            return found
    if tokenizer.eos_ids:
        return min(tokenizer.eos_ids)
    raise InputError(
        "The tokenizer has no token that ends a text (eos_token), so documents cannot be told "
        "apart in a stream of tokens. Add one, or train a tokenizer (kataribe tokenizer train)."
    )
