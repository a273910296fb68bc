"""Finds personal data: e-mail addresses, phone numbers, cards, My Numbers, addresses, IPs.

Patterns with checks behind them: Luhn's sum (ISO/IEC 7812-1) for cards, the check digit of the
Japanese My Number (Ordinance 85 of 2014 of the Ministry of Internal Affairs, article 5), lengths of
the Japanese numbering plan and of E.164 for phones. Postal addresses are found coarsely.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["email", "ip", "card", "my_number", "phone", "address"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_WIDE: Mapping[int, int] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "‐‑‒–—―−－"), ord("-")),
    0x3000: ord(" "),
}
"""One character for one, so that places stay."""
_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)"
    r"{1,5}[A-Za-z]{2,24}(?![\w-])",
    re.ASCII,
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])", re.ASCII)
_CARD = re.compile(r"(?<![\d.-])(?:\d[ -]?){12,18}\d(?![\d-]|\.\d)", re.ASCII)
_MY_NUMBER = re.compile(r"(?<![\d.-])\d{4}([ -]?)\d{4}\1\d{4}(?![\d-]|\.\d)", re.ASCII)
_PHONE = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"(?<![\w.+-])\+\d{1,3}(?:[ .()-]{0,2}\d{1,5}){2,6}(?![\w-])",
        r"(?<![\d.-])\(?0\d{1,4}\)?[ -]?\(?\d{1,4}\)?[ -]?\d{3,4}(?![\d-]|\.\d)",
        r"(?<![\d.-])(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?![\d-]|\.\d)",
    )
)
_PREFECTURE = "(?:東京都|北海道|京都府|大阪府|[一-龥]{2,3}県)"
_JAPANESE_ADDRESS = re.compile(
    r"(?:〒\s?\d{3}-?\d{4}\s*)?"
    rf"(?:{_PREFECTURE}\s?[一-龥ぁ-んァ-ヶー]{{1,8}}[市区郡町村]|[一-龥ァ-ヶー]{{1,6}}[市区])"
    r"[一-龥ぁ-んァ-ヶー々]{0,14}\s?[0-9一二三四五六七八九十]{1,4}(?:丁目|番地?|-)"
    r"[0-9一二三四五六七八九十丁目番地号の-]{0,14}|〒\s?\d{3}-?\d{4}"
)
_ENGLISH_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9.])\d{1,5} (?:(?:[NSEW]|North|South|East|West)\.? )?(?:[A-Z][\w'-]+ ){1,3}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Square|Terrace)"
    r"(?![A-Za-z])\.?"
    r"(?:,? (?:Apt|Suite|Unit|Flat)\.? ?\w{1,6})?(?:, [A-Z][a-z]+(?: [A-Z][a-z]+)?)?"
    r"(?:,? [A-Z]{2} \d{5}(?:-\d{4})?)?"
)


@dataclass(frozen=True, slots=True)
class Found:
    """Personal data in a text: characters `start` to `end`."""

    kind: Kind
    start: int
    end: int


def find(text: str, kinds: tuple[Kind, ...] = KINDS) -> list[Found]:
    """Everything personal in a text, in order; nothing overlaps.

    Full-width digits and signs are read like plain ones.
    """
    narrow = text.translate(_WIDE)
    found: list[Found] = []
    taken = bytearray(len(text))
    for kind in KINDS:
        if kind not in kinds:
            continue
        for start, end in _FINDERS[kind](narrow):
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append(Found(kind, start, end))
    return sorted(found, key=lambda each: each.start)


def is_card(number: str) -> bool:
    """Whether digits are 13 to 19 with a right sum of Luhn's, begun as cards are."""
    digits = [int(each) for each in number if each.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_my_number(number: str) -> bool:
    """Whether digits are twelve of which the last is right: 11 - sum of P(n) Q(n) mod 11."""
    digits = [int(each) for each in number if each.isdigit()]
    if len(digits) != 12 or len(set(digits)) < 3:
        return False
    places = range(1, 12)  # from the right, the check digit left out
    weighted = sum(digits[11 - n] * (n + 1 if n <= 6 else n - 5) for n in places)
    rest = weighted % 11
    return digits[11] == (0 if rest <= 1 else 11 - rest)


def _emails(text: str) -> Iterator[tuple[int, int]]:
    for found in _EMAIL.finditer(text):
        yield found.span()


def _ips(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_IPV4, _IPV6):
        for found in pattern.finditer(text):
            if found[0].strip(":") and _is_foreign(found[0]):
                yield found.span()


def _is_foreign(said: str) -> bool:
    """An address, and not one that every machine has."""
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for found in _CARD.finditer(text):
        if is_card(found[0]):
            yield found.span()


def _my_numbers(text: str) -> Iterator[tuple[int, int]]:
    for found in _MY_NUMBER.finditer(text):
        if is_my_number(found[0]):
            yield found.span()


def _phones(text: str) -> Iterator[tuple[int, int]]:
    abroad, japan, america = _PHONE
    for found in abroad.finditer(text):
        if 8 <= sum(each.isdigit() for each in found[0]) <= 15:
            yield found.span()
    for found in japan.finditer(text):
        digits = "".join(filter(str.isdigit, found[0]))
        mobile = re.match("0[25789]0", digits) is not None or digits.startswith("0800")
        plain = found[0] == digits
        if len(digits) == (11 if mobile else 10) and (mobile or not plain or digits[1] != "0"):
            yield found.span()
    for found in america.finditer(text):
        yield found.span()


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_JAPANESE_ADDRESS, _ENGLISH_ADDRESS):
        for found in pattern.finditer(text):
            yield found.span()


_FINDERS: Mapping[Kind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "email": _emails,
    "ip": _ips,
    "card": _cards,
    "my_number": _my_numbers,
    "phone": _phones,
    "address": _addresses,
}
