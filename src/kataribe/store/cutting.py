"""How text becomes what the index of words holds, and a query what is looked for in it.

Japanese, Chinese, Korean and Thai do not part words by spaces: their runs are cut into overlapping
pairs of characters, so that any two or more characters are found wherever they stand. Other words
are kept whole. A change here needs a migration that builds the index anew: what is taken out of it
must be cut as it was when it went in.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Scripts that are written without spaces, kana and kanji first; ・ and free voicing marks are none.
_RUN = (
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3005-\u3007\u303b"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
    "\u1100-\u11ff\uac00-\ud7a3\u3105-\u312f\u0e01-\u0e3a\u0e40-\u0eff\u1000-\u109f\u1780-\u17ff"
)
# Indian scripts write vowels with marks, which Python does not count among the letters.
_INDIC = "\u0900-\u0963\u0966-\u0dff"
_LETTER = rf"(?:[0-9a-z]|(?![{_RUN}])(?:[^\W_]|[{_INDIC}]))"

LONGEST_WORD = 100
"""Characters of a word that count; what is longer is no word but data."""

SHORTEST_BEGINNING = 2
"""Letters of a last word that may go on; a single one would gather a tenth of all words."""

# Written so, the tokenizer of every SQLite leaves a token whole and as it is.
_PLAIN = "0-9a-z\u00df-\u00f6\u00f8-\u024f\u03b1-\u03c9\u0430-\u045f\u3041-\u3096\u30a1-\u30fa"
_PLAIN += "\u30fc\u4e00-\u9fa5\uac00-\ud7a3"

_CODED, _SINGLE = "\ue000", "\ue001"
"""Private characters that begin a token which stands for others: as code points; one alone."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """What must stand together.

    Attributes:
        tokens: As the index holds them, in order.
        open: The last token may go on: it is the beginning of a word.
        sought: The same as `_Pieces.joined` holds it, to be found in there.
    """

    tokens: tuple[str, ...]
    open: bool
    sought: str


def fold(text: str) -> str:
    """Text without the differences that a search overlooks: width, case, accents, hidden signs."""
    if text.isascii():
        return text.lower()
    text = _hidden().sub("", text)
    # A million combining marks in a row would be sorted in quadratic time by the normalisation.
    text = re.sub(r"([^\w\s]{30})[^\w\s]+", r"\1", text)
    if "\uff9e" in text or "\uff9f" in text:  # letters to Python, and marks when normalised
        marks = "".join(char for char in set(text) if _is_mark(char))
        text = re.sub(f"([{marks}]{{30}})[{marks}]+", r"\1", text)
    text = unicodedata.normalize("NFKD", text).casefold()
    text = re.sub("[\u0300-\u036f]+", "", text)  # accents; the voicing of kana is another block
    return unicodedata.normalize("NFC", text)


def _is_mark(char: str) -> bool:
    return unicodedata.combining(unicodedata.normalize("NFKD", char)[0]) != 0


def cut(text: str) -> str:
    """The tokens of a text, parted by spaces, as they go into the index."""
    text = fold(text)
    if text.isascii():
        return _cut_ascii(text)
    tokens: list[str] = []
    singles: dict[str, None] = {}
    for found in _pieces().finditer(text):
        piece = found[0]
        if found.lastgroup == "run":
            tokens += _pairs(piece)
            tokens.append(_coded(piece[-1]))
            singles.update(dict.fromkeys(piece))
        elif (token := _token(found)) is not None:
            tokens.append(token)
    # Each single character once, apart: a search for one need not gather all pairs that begin so.
    tokens += [_SINGLE + _coded(each) for each in singles]
    return " ".join(tokens)


def _cut_ascii(text: str) -> str:
    """The same for text that needs no care, five times as fast."""
    pieces = re.findall(r"[0-9a-z]+|[$+<=>^`|~]", text)
    return " ".join(
        [piece[:LONGEST_WORD] if piece.isalnum() else _coded(piece) for piece in pieces]
    )


def phrases(query: str) -> list[Phrase]:
    """What a query asks for: every phrase of it must be found.

    Words between quotation marks stand together as they are; otherwise spaces part phrases, and
    the last word of all may be only a beginning.
    """
    parts = query.split('"')
    made: list[Phrase] = []
    for number, part in enumerate(parts):
        quoted = number % 2 == 1 and number < len(parts) - 1
        chunks = [part] if quoted else part.split()
        for place, chunk in enumerate(chunks):
            last = not quoted and number == len(parts) - 1 and place == len(chunks) - 1
            phrase = _phrase(fold(chunk), last=last)
            if phrase is not None:
                made.append(phrase)
    return made


def _phrase(text: str, *, last: bool) -> Phrase | None:
    found = list(_telling(text))
    if not found:
        return None
    tokens: list[str] = []
    for each in found[:-1]:
        if each.lastgroup == "run":
            tokens += [*_pairs(each[0]), _coded(each[0][-1])]
        else:
            tokens.append(_token(each) or "")
    end = found[-1]
    goes_on = end.lastgroup == "word" and last and len(end[0]) >= SHORTEST_BEGINNING
    # A run may begin within the text's first one, and end within its last one.
    before = "" if found[0].lastgroup == "run" else _PARTED
    after = "" if goes_on or end.lastgroup == "run" else _PARTED
    sought = before + _PARTED.join(map(_shortened, found)) + after
    if end.lastgroup != "run":
        return Phrase((*tokens, _token(end) or ""), open=goes_on, sought=sought)
    if len(end[0]) > 1:
        return Phrase((*tokens, *_pairs(end[0])), open=False, sought=sought)
    if not tokens:
        return Phrase((_SINGLE + _coded(end[0]),), open=False, sought=sought)
    return Phrase((*tokens, _coded(end[0])), open=True, sought=sought)


def _telling(text: str) -> Iterator[re.Match[str]]:
    """The pieces of folded text that become tokens: most signs do not."""
    return (each for each in _pieces().finditer(text) if each.lastgroup == "run" or _token(each))


def _shortened(found: re.Match[str]) -> str:
    return found[0][:LONGEST_WORD] if found.lastgroup == "word" else found[0]


_PARTED = "\x1f"
"""Stands between pieces; it is a space, so that no piece has it."""


def _pairs(run: str) -> list[str]:
    pairs = list(map(operator.add, run, run[1:]))
    return pairs if _plain().fullmatch(run) else [_coded(pair) for pair in pairs]


def _token(found: re.Match[str]) -> str | None:
    piece = found[0]
    if found.lastgroup == "word":
        return _coded(piece[:LONGEST_WORD])
    return _coded(piece) if unicodedata.category(piece).startswith("S") else None


def _coded(token: str) -> str:
    if (token.isascii() and token.isalnum()) or _plain().fullmatch(token):
        return token
    return _CODED + "".join(f"{ord(each):06x}" for each in token)


@functools.cache
def _plain() -> re.Pattern[str]:
    return re.compile(f"[{_PLAIN}]+")


@functools.cache
def _pieces() -> re.Pattern[str]:
    return re.compile(rf"(?P<run>[{_RUN}]+)|(?P<word>{_LETTER}+)|(?P<sign>[^\w\s])")


@functools.cache
def _hidden() -> re.Pattern[str]:
    """Joiners, direction marks and variation selectors: nobody types them into a search."""
    return re.compile(
        "[\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
        "\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]"
    )


@dataclass(slots=True)
class Budget:
    """Characters that are still looked through to show where words stand, over several texts."""

    left: int

    @property
    def most(self) -> int:
        """What one text may have of it, so that the texts after a long one get some, too."""
        return self.left // 2


def spots(text: str, query: str, budget: Budget | None = None) -> Iterator[tuple[int, int]]:
    """Where a text holds phrases of the query: [start, end) in code points, in order.

    The time that it takes grows with the text times the phrases, whatever stands in them. With a
    budget, only as much of the text is looked through as it allows.
    """
    wanted = list(dict.fromkeys(each.sought for each in phrases(query)))
    if not wanted:
        return
    done = 0
    most = len(text) if budget is None else min(len(text), budget.most)
    for at in range(0, most, _WINDOW):
        piece = text[at : min(at + _WINDOW + _OVERLAP, most)]
        if budget is not None:
            budget.left -= len(piece)
        whole = fold(piece)
        if not any(all(part in whole for part in each.split(_PARTED)) for each in wanted):
            continue  # most windows end here, and only the others are gone through sign by sign
        folded, starts, ends = _mapped(piece)
        for first, last in _Pieces(folded).find(wanted):
            start, end = at + starts[first], at + ends[last]
            if start >= done:
                yield start, end
                done = end


class _Pieces:
    """The pieces of folded text as one string, in which phrases are found as they are.

    A regular expression that skips what stands between pieces would try every way of skipping.
    """

    def __init__(self, folded: str) -> None:
        found = list(_telling(folded))
        self._spans = [each.span() for each in found]
        self._words = [each.lastgroup == "word" for each in found]
        told = [_shortened(each) for each in found]
        # Where each piece begins in `joined`, which has a sign before every one and at the end.
        self._places = list(itertools.accumulate((len(each) + 1 for each in told), initial=1))
        self.joined = _PARTED + "".join(f"{each}{_PARTED}" for each in told)

    def find(self, wanted: Sequence[str]) -> Iterator[tuple[int, int]]:
        """First and last character of each phrase that is there, in order, none within another."""
        nexts = {each: self.joined.find(each) for each in wanted}
        while nexts := {each: place for each, place in nexts.items() if place >= 0}:
            sought = min(nexts, key=lambda each: (nexts[each], -len(each)))
            first = nexts[sought] + sought.startswith(_PARTED)
            last = nexts[sought] + len(sought) - 1 - sought.endswith(_PARTED)
            yield self._start(first), self._end(last)
            for each, place in nexts.items():
                if place <= last:
                    begin = last + 1 - each.startswith(_PARTED)
                    nexts[each] = self.joined.find(each, max(begin, place + 1))

    def _start(self, place: int) -> int:
        number = bisect.bisect_right(self._places, place) - 1
        return self._spans[number][0] + place - self._places[number]

    def _end(self, place: int) -> int:
        number = bisect.bisect_right(self._places, place) - 1
        if self._words[number]:  # of a word that goes on, all of it
            return self._spans[number][1] - 1
        return self._spans[number][0] + place - self._places[number]


_WINDOW, _OVERLAP = 16_384, 1_024
"""A long text is looked through piece by piece, so that an early find comes early."""


def _mapped(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """Folded text, and for each of its characters where it begins and ends in the text."""
    folded = fold(text)
    if len(folded) == len(text) and all(map(_stands_alone, set(text))):
        return folded, range(len(text)), range(1, len(text) + 1)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    while at < len(text):
        end = at + 1
        while end < len(text) and _follows(text[end]):
            end += 1
        parts.append(fold(text[at:end]))
        starts += [at] * len(parts[-1])
        ends += [end] * len(parts[-1])
        at = end
    return "".join(parts), starts, ends


@functools.lru_cache(maxsize=1 << 16)
def _stands_alone(char: str) -> bool:
    """Whether a character folds to one, whatever stands around it."""
    return char.isascii() or (not _follows(char) and len(fold(char)) == 1)


def _follows(char: str) -> bool:
    """Whether a character melts into the one before: marks, voicing, parts of a syllable."""
    return (
        unicodedata.combining(char) != 0
        or char in "\uff9e\uff9f"
        or "\u1160" <= char <= "\u11ff"
        or _hidden().match(char) is not None
    )
