"""Other readings of a text: what is decoded, hidden from people, or put together from pieces."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import unquote

Reading: TypeAlias = Literal["as written", "decoded", "hidden", "put together"]

_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/_-]{16,}={0,2}(?![\w+/])")
_BASE32 = re.compile(r"(?<![\w+/])[A-Z2-7]{24,}={0,6}(?![\w+/=])")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{8,}")
"""Variation selectors, of which each stands for a byte when there are so many of them."""
_HEX = re.compile(r"(?<!\w)(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ ,:]?){10,}(?!\w)")
_BINARY = re.compile(r"(?<!\w)(?:[01]{8}[ ,]?){8,}(?!\w)")
_PERCENT = re.compile(r"(?:[\w.~-]{0,20}%[0-9A-Fa-f]{2}){6,}[\w.~%-]*")
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4}){6,}")
_ENTITIES = re.compile(r"(?:&#(?:x[0-9a-fA-F]+|\d+);\s?){6,}")
_UNSEEN = (
    r"display:\s*none|visibility:\s*hidden|font-size:\s*[01]\b|opacity:\s*0\b"
    r"|color:\s*(?:white|#fff)|\bhidden\b|aria-hidden"
)
_HIDDEN = tuple(
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"<!--(.{4,4000}?)-->",
        r"^\[//\]:\s*#\s*[(\"'](.{4,2000}?)[)\"']\s*$|^\[comment\]:\s*<>\s*\((.{4,2000}?)\)",
        r"<[^<>]{0,200}(?:" + _UNSEEN + r")[^<>]{0,200}>([^<]{4,2000})",
        r"(?:\balt|\btitle|\bcontent|aria-label)\s*=\s*\"([^\"]{12,2000})\"",
        r"\]\([^()\s]{1,500}\s+\"([^\"]{12,2000})\"\)",
        r"!\[([^\]]{24,2000})\]\(",
        r"class=\"\w+\">([^<]{12,2000})<(?=.{0,2000}opacity)",
    )
)
_COMMENT = re.compile(_HIDDEN[1].pattern, re.MULTILINE)
_QUOTED = re.compile(r"\"([^\"\n]{1,200})\"|'([^'\n]{1,200})'|「([^」\n]{1,200})」")
_SPACED = re.compile(r"(?:(?<!\w)\w[ .\-_*|·]{1,3}){6,}\w(?!\w)")
_BARS = re.compile(r"(?:[^|\n]{1,24}\s?\|\s?){4,}[^|\n]{1,24}")
_DOTTED = re.compile(r"(?:\w[.\-_*]){3,}\w")
_LEET = re.compile(
    r"(?<!\w)(?=[\w@$!]*[a-zA-Z])(?=[\w@$!]*[\d@$])[a-zA-Z013457@$!]{2,}[a-zA-Z013457@$](?!\w)"
)
_LEET_LETTERS = str.maketrans("013457@$!", "oieastasi")
_WORDS = re.compile(
    r"\b(?:the|and|you|your|all|to|of|is|in|that|what|rules|instructions|ignore|print|tell)\b",
    re.IGNORECASE,
)
_JAPANESE = re.compile("ください|なさい|して|ます|です|こと|から|ない|した|する")
_MOST = 24
"""Pieces that are decoded; a text with more of them is data."""


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a part of a text.

    Attributes:
        reading: How it was read.
        how: By which means, in a word.
        text: What is read there.
        start: Where the part begins in the text.
        end: Where it ends.
    """

    reading: Reading
    how: str
    text: str
    start: int
    end: int


def views(text: str) -> Iterator[View]:
    """The text itself, then its other readings."""
    yield View("as written", "", text, 0, len(text))
    yield from _decoded(text)
    yield from _hidden(text)
    yield from _turned(text)
    yield from _joined(text)


def _decoded(text: str) -> Iterator[View]:
    # The last of each is a sign that the pattern cannot do without, where there is one.
    ways: tuple[tuple[str, re.Pattern[str], Callable[[str], str | None], str], ...] = (
        ("base64", _BASE64, _from_base64, ""),
        ("base32", _BASE32, _from_base32, ""),
        ("selectors", _SELECTORS, _from_selectors, ""),
        ("hex", _HEX, _from_hex, ""),
        ("binary", _BINARY, _from_binary, ""),
        ("URL escapes", _PERCENT, unquote, "%"),
        ("escapes", _ESCAPES, lambda piece: codecs.decode(piece, "unicode_escape"), "\\u"),
        ("entities", _ENTITIES, html.unescape, "&#"),
    )
    for how, pattern, decode, sign in ways:
        if sign not in text:
            continue
        for number, found in enumerate(pattern.finditer(text)):
            if number == _MOST:
                break
            said = decode(found[0])
            if said is not None and _is_text(said):
                yield View("decoded", how, said, found.start(), found.end())


def _from_base64(piece: str) -> str | None:
    body = piece.rstrip("=").replace("-", "+").replace("_", "/")
    if len(body) % 4 == 1 or body.isdigit():
        return None
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _from_base32(piece: str) -> str | None:
    body = piece.rstrip("=")
    try:
        return base64.b32decode(body + "=" * (-len(body) % 8)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _from_selectors(piece: str) -> str | None:
    codes = (ord(each) for each in piece)
    values = (code - 0xFE00 if code < 0xFE10 else code - 0xE0100 + 16 for code in codes)
    try:
        return bytes(values).decode()
    except UnicodeDecodeError:
        return None


def _from_hex(piece: str) -> str | None:
    try:
        return bytes.fromhex(re.sub(r"0x|\\x|[ ,:]", "", piece)).decode()
    except ValueError:
        return None


def _from_binary(piece: str) -> str | None:
    digits = re.sub("[ ,]", "", piece)
    try:
        return int(digits, 2).to_bytes(len(digits) // 8, "big").decode()
    except UnicodeDecodeError:
        return None


def _is_text(said: str) -> bool:
    """Enough of it are letters and spaces; keys and pictures are not."""
    if len(said) < 8:
        return False
    fine = sum(each.isalpha() or each in " .,!?'\"。、!?" for each in said)
    return fine > 0.8 * len(said)


def _hidden(text: str) -> Iterator[View]:
    if "<" not in text and "](" not in text and "[" not in text:
        return
    for pattern in (*_HIDDEN[:1], _COMMENT, *_HIDDEN[2:]):
        for number, found in enumerate(pattern.finditer(text)):
            if number == _MOST:
                break
            said = next((group for group in found.groups() if group), "")
            if said.strip():
                yield View("hidden", "markup", said, found.start(), found.end())


def _turned(text: str) -> Iterator[View]:
    """Rot13 and reversed text, where that reads more like language than the text itself."""
    if len(text) > 4000:
        return
    usual = len(_WORDS.findall(text))
    if 40 * usual < len(text):  # else most of it is English as it stands
        for how, said in (("rot13", codecs.encode(text, "rot13")), ("reversed", text[::-1])):
            if len(_WORDS.findall(said)) > max(2, usual):
                yield View("decoded", how, said, 0, len(text))
    if text.isascii():  # no Japanese
        return
    if len(_JAPANESE.findall(text[::-1])) > max(1, len(_JAPANESE.findall(text))):
        yield View("decoded", "reversed", text[::-1], 0, len(text))


def _joined(text: str) -> Iterator[View]:
    """Quoted pieces one after another, spaced-out letters, pieces between bars, digits as letters.

    Pieces of ordinary text read as ordinary text when they are joined, so nothing is lost by it.
    """
    quoted = [next(part for part in found if part) for found in _QUOTED.findall(text)]
    if 2 <= len(quoted) <= 60:
        yield View("put together", "pieces", "".join(quoted), 0, len(text))
    if text.count("|") > 3 and (found := _BARS.search(text)):
        wide = " " if found[0].isascii() else ""
        said = re.sub(r"\s?\|\s?", wide, found[0])
        yield View("put together", "pieces", said, found.start(), found.end())
    if _SPACED.search(text):
        # Words lie further apart than letters do; where they do not, letters simply join.
        said = _SPACED.sub(lambda run: re.sub(r"(?<=\w)[ .\-_*|·](?=\w)", "", run[0]), text)
        yield View("put together", "spaced letters", said, 0, len(text))
    elif len(_DOTTED.findall(text)) > 2:
        said = re.sub(r"(?<=\w)[.\-_*](?=\w)", "", text)
        yield View("put together", "spaced letters", said, 0, len(text))
    if len(_LEET.findall(text)) > 2:
        said = _LEET.sub(lambda word: word[0].translate(_LEET_LETTERS), text)
        yield View("put together", "digits for letters", said, 0, len(text))
