"""Which language a text is in."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from kataribe.make.text.document import CODE, UNKNOWN

_KANA = re.compile(r"[ぁ-ゖァ-ヺｦ-ﾝ]")
_HAN = re.compile(r"[一-鿿々㐀-䶿]")
_LETTERS = re.compile(r"[^\W\d_]")
_SIGNS = re.compile(r"[][{}()<>=;_`$#@\\|&*+/%^~]")
_SIGNS_SHARE = 0.05
"""Signs among the visible characters from which a stretch looks like code or formulas: the standard
library has 8 % in the middle, sources in TypeScript 15 %, prose under 1 %."""
_STRETCHES = 9
_STRETCH = 230
"""Characters looked at, from each of nine places evenly over the text: 2,100 take 0.3 ms, a whole
page 0.6 ms."""
_WIDE = 3
"""A kanji or kana counts as so many letters, as it has so many bytes and says as much."""
_FEWEST_LETTERS = 12
"""Shorter texts are in no language that statistics could tell."""
_KANA_SHARE = 0.05
"""Kana among the letters from which a text is Japanese: an English text on Japanese quotes less."""
_CHINESE = frozenset({"zh", "wuu", "yue"})


_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da "
    "de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy "
    "hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg "
    "li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or "
    "os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta "
    "te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
_ISO_639_1 = frozenset(_CODES.split())
"""The two-letter codes of ISO 639-1."""


def told_language(value: object) -> str | None:
    """The code that a record's own field tells, without its region (`en-GB` is `en`).

    None for everything that is no code (`Japanese`, `xx`), whose text tells its language itself.
    """
    code = re.split("[-_]", value, maxsplit=1)[0].lower() if isinstance(value, str) else ""
    return code if code == CODE or code in _ISO_639_1 else None


def language_of(text: str) -> str:
    """An ISO 639-1 code, or `und`; of a text in several, the one that fills most of it.

    Long texts are looked at in nine places, each of which votes with its letters; places that look
    like code vote where there are no others. Kana decide for Japanese, because only Japanese is
    written with them; the rest is told by py3langid (Lui and Baldwin 2012), whose models of Chinese
    are one language here.
    """
    votes = [_Stretch.of(each) for each in _stretches(text)]
    votes = [each for each in votes if each.letters and not each.code] or votes
    japanese = [each for each in votes if each.kana >= _KANA_SHARE * max(each.letters, 1)]
    rest = [each for each in votes if each not in japanese]
    wide = [each for each in rest if 2 * each.han > each.letters]
    if japanese:  # what has no kana there are headings and names
        japanese, rest = japanese + wide, [each for each in rest if each not in wide]
    if sum(each.weight for each in japanese) > sum(each.weight for each in rest):
        return "ja"
    return _by_statistics(rest)


@dataclass(frozen=True)
class _Stretch:
    """A stretch of text, and how many letters of which kind it has."""

    text: str
    letters: int
    kana: int
    han: int
    code: bool

    @classmethod
    def of(cls, text: str) -> _Stretch:
        visible = max(sum(map(len, text.split())), 1)
        return cls(
            text,
            len(_LETTERS.findall(text)),
            len(_KANA.findall(text)),
            len(_HAN.findall(text)),
            len(_SIGNS.findall(text)) > _SIGNS_SHARE * visible,
        )

    @property
    def weight(self) -> int:
        """What its vote counts."""
        return self.letters + (_WIDE - 1) * (self.kana + self.han)


def _by_statistics(stretches: list[_Stretch]) -> str:
    letters = sum(each.letters for each in stretches)
    han = sum(each.han for each in stretches)
    if letters - han < _FEWEST_LETTERS:
        return "zh" if han >= _FEWEST_LETTERS else UNKNOWN
    found = str(_identifier().classify("\n".join(each.text for each in stretches))[0])
    if found in _CHINESE:
        return "zh"
    return found if found != "zxx" else UNKNOWN


def _stretches(text: str) -> list[str]:
    """The text itself in stretches where it is short, else some from all over it."""
    if len(text) <= _STRETCHES * _STRETCH:
        return [text[at : at + _STRETCH] for at in range(0, len(text), _STRETCH)]
    step = (len(text) - _STRETCH) / (_STRETCHES - 1)
    starts = [int(number * step) for number in range(_STRETCHES)]
    return [text[at : at + _STRETCH] for at in starts]


@functools.cache
def _identifier() -> Any:
    import py3langid

    return py3langid
