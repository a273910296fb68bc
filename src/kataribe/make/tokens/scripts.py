"""Which script a character belongs to, as far as tokenizers treat scripts differently."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SCRIPTS = (
    "latin", "kanji", "hiragana", "katakana", "hangul", "cyrillic", "greek", "arabic", "hebrew",
    "thai", "devanagari", "digits", "signs", "blanks", "other",
)  # fmt: skip
_NAMES = {"cjk": "kanji", "ideographic": "kanji"}
_LETTERS = frozenset(SCRIPTS[:11])
_WORDLESS = frozenset({"kanji", "hiragana", "katakana", "thai"})
"""Scripts that are written without spaces between words."""


@lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str:
    """One of `SCRIPTS`, from the character's Unicode name and category."""
    if character.isspace():
        return "blanks"
    kind = unicodedata.category(character)
    if kind == "Nd":
        return "digits"
    if kind[0] in "PS":
        return "signs"
    words = unicodedata.name(character, "").lower().replace("-", " ").split()
    if words[:1] in (["fullwidth"], ["halfwidth"], ["modifier"]):
        words = words[1:]
    first = _NAMES.get(words[0], words[0]) if words else ""
    if character == "ー" or first == "katakana hiragana":
        return "katakana"
    if character == "々":
        return "kanji"
    return first if first in _LETTERS else "other"


def script_numbers(text: str) -> NDArray[np.uint8]:
    """The script of each character: (characters,), numbers of `SCRIPTS`."""
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    known, where = np.unique(codes, return_inverse=True)
    numbers = [SCRIPTS.index(script_of(chr(code))) for code in known.tolist()]
    return np.array(numbers, np.uint8)[where]


def has_words(text: str) -> bool:
    """Whether spaces stand between the words of a text: letters of other scripts prevail."""
    counts = np.bincount(script_numbers(text), minlength=len(SCRIPTS)).tolist()
    wordless = sum(counts[SCRIPTS.index(each)] for each in _WORDLESS)
    return bool(2 * wordless < sum(counts[: len(_LETTERS)]))
