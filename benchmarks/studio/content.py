"""What is said in the measured conversations: mixed, of any length, the same from the same seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from random import Random

from benchmarks.studio.words import ENGLISH, JAPANESE, KANA, KANJI, SENTENCES, SYLLABLES


class Author:
    """Writes Japanese and English, code, tables and lists in turn."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._english = _frequencies(len(ENGLISH))
        self._japanese = _frequencies(len(JAPANESE))

    def question(self) -> str:
        """What a person asks: a paragraph, and now and then a program or a list."""
        choose = self._random.random()
        said = self._paragraph(2)
        if choose < 0.15:
            return f"{said}\n\n{self._code()}"
        if choose < 0.25:
            return f"{said}\n\n{self._list()}"
        return said

    def reply(self, size: int) -> str:
        """Markdown of at least `size` bytes of UTF-8, and hardly more than a block beyond."""
        blocks: list[str] = []
        long = 0
        while long < size:
            blocks.append(self._block())
            long += len(blocks[-1].encode()) + 2
        return "\n\n".join(blocks)

    def passage(self) -> str:
        """A few sentences, as most messages are; every fifth has both languages."""
        if self._random.random() < 0.2:
            return f"{self._japanese_sentence()} {self._english_sentence()}"
        return self._paragraph(self._random.choice((1, 2, 3, 5, 10)))

    def _block(self) -> str:
        makers: tuple[Callable[[], str], ...] = (
            lambda: self._paragraph(4),
            self._list,
            self._code,
            self._table,
            self._heading,
            self._formula,
        )
        return self._random.choices(makers, weights=(50, 15, 12, 8, 10, 5))[0]()

    def _paragraph(self, sentences: int) -> str:
        if self._random.random() < 0.5:
            return "".join(self._japanese_sentence() for _ in range(sentences))
        return " ".join(self._english_sentence() for _ in range(sentences))

    def _english_word(self) -> str:
        if self._random.random() < 0.12:  # a long tail of words that stand here and there
            return "".join(self._random.choices(SYLLABLES, k=self._random.choice((2, 3, 4))))
        return self._random.choices(ENGLISH, cum_weights=self._english)[0]

    def _japanese_word(self) -> str:
        if self._random.random() < 0.2:
            return "".join(self._random.choices(KANJI, k=2))
        return self._random.choices(JAPANESE, cum_weights=self._japanese)[0]

    def _english_sentence(self) -> str:
        words = [self._english_word() for _ in range(self._random.randint(6, 18))]
        return f"{' '.join(words).capitalize()}."

    def _japanese_sentence(self) -> str:
        words = [self._japanese_word() for _ in range(5)]
        if self._random.random() < 0.3:
            words[2] += "".join(self._random.choices(KANA, k=2))
        return self._random.choice(SENTENCES).format(*words)

    def _heading(self) -> str:
        words = " ".join(self._english_word() for _ in range(3))
        return f"## {self._japanese_word()} ({words})"

    def _formula(self) -> str:
        return f"$$\n\\sum_{{i=1}}^{{{self._random.randint(2, 99)}}} p_i \\log p_i\n$$"

    def _list(self) -> str:
        count = self._random.randint(3, 7)
        numbered = self._random.random() < 0.5
        marks = [f"{place}." if numbered else "-" for place in range(1, count + 1)]
        return "\n".join(
            f"{mark} **{self._japanese_word()}** {self._paragraph(1)}" for mark in marks
        )

    def _code(self) -> str:
        name, other = (f"{self._random.choice(SYLLABLES)}_{self._english_word()}" for _ in range(2))
        lines = [f"```python\ndef {name}(rows: list[int], limit: int = 10) -> list[int]:"]
        for _ in range(self._random.randint(2, 9)):
            number = self._random.randint(2, 500)
            lines.append(f"    {other} = [row * {number} for row in rows if row % {number}]")
            lines.append(f"    # {self._japanese_sentence()}")
        return "\n".join([*lines, f"    return sorted({other})[:limit]", "```"])

    def _table(self) -> str:
        rows = ["| 項目 | value | note |", "|---|---:|---|"]
        for _ in range(self._random.randint(3, 10)):
            number = self._random.random() * 1000
            rows.append(f"| {self._japanese_word()} | {number:,.2f} | {self._english_sentence()} |")
        return "\n".join(rows)


def pieces(seed: int) -> Iterator[str]:
    """Tokens of an endless reply: about four letters or two Japanese characters each."""
    author = Author(seed)
    while True:
        text = f"{author.reply(4000)}\n\n"
        at = 0
        while at < len(text):
            size = 4 if text[at].isascii() else 2
            yield text[at : at + size]
            at += size


def _frequencies(words: int) -> list[float]:
    """Running sums of how often words stand: the second half as often as the first, and so on."""
    return list(itertools.accumulate(1 / place for place in range(1, words + 1)))
