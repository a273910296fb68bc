"""Numbers as people and models write them: "$1,234.50", "３万5000円", "-3/4", "1.5 million"."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_UNITS = {
    "億": 10**8, "千万": 10**7, "百万": 10**6, "万": 10**4, "千": 1000, "百": 100,
    "billion": 10**9, "million": 10**6, "thousand": 1000,
}  # fmt: skip
_JAPANESE = "億|千万|百万|万|千|百"
_NUMBER = re.compile(
    rf"""(?<![\w.])
    (?P<sign>(?<![\w)\]])[-+])? (?:[$€£¥]\s?(?P<inner>-)?)?
    (?:
      (?P<grouped>(?:(?:{_PLAIN})\s?(?:{_JAPANESE}))+ (?:\d+(?!\d))?)
    | (?P<digits>{_PLAIN}) (?:\s?/\s?(?P<below>\d+)(?![\d/]))? (?:\s(?P<unit>[mb]illion|thousand))?
    )""",
    re.ASCII | re.VERBOSE | re.IGNORECASE,
)
_GROUP = re.compile(rf"({_PLAIN})\s?({_JAPANESE})?", re.ASCII)
MOST_DIGITS = 100
"""A longer row of digits is a model in a loop, not an answer."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text: as written, and its one normal form ("1234.5", "-3", "1/3")."""

    written: str
    normal: str


def numbers_in(text: str) -> list[Number]:
    """All numbers of a text, in order. Width, commas, currencies and percent signs mean nothing."""
    plain = unicodedata.normalize("NFKC", text).replace("−", "-")
    found = []
    for match in _NUMBER.finditer(plain):
        value = _value(match)
        if value is not None:
            found.append(Number(match[0].strip(), normal_form(value)))
    return found


def normal_form(value: Fraction) -> str:
    """Decimal digits where they end, else a fraction in lowest terms."""
    rest = value.denominator
    places = 0
    while rest % 10 == 0:
        rest, places = rest // 10, places + 1
    for factor in (2, 5):
        while rest % factor == 0:
            rest, places = rest // factor, places + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(int(value * 10**places))).rjust(places + 1, "0")
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def _value(match: re.Match[str]) -> Fraction | None:
    if len(match[0]) > MOST_DIGITS:
        return None
    if match["grouped"] is not None:
        value = Fraction(0)
        for digits, unit in _GROUP.findall(match["grouped"]):
            value += _digits(digits) * _UNITS.get(unit, 1)
    else:
        below = int(match["below"] or 1)
        if below == 0:
            return None
        value = _digits(match["digits"]) / below * _UNITS.get((match["unit"] or "").lower(), 1)
    return -value if "-" in (match["sign"], match["inner"]) else value


def _digits(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))
