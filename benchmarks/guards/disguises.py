"""Ways in which attackers write an order so that a filter does not read it."""

from __future__ import annotations

import base64
import codecs
import random
import unicodedata
from collections.abc import Callable, Mapping
from urllib.parse import quote

_LOOK_ALIKE = str.maketrans("aeopcxyiAEOPCTHK", "аеорсхуіАЕОРСТНК")
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_HALF = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF66, 0xFF9E)}


def _between(text: str, sign: str) -> str:
    return sign.join(text)


def _zero_width(text: str, draw: random.Random) -> str:
    return "".join(each + draw.choice(("", "\u200b", "\u200d", "\u2060")) for each in text)


def _spaced(text: str, draw: random.Random) -> str:
    del draw
    return "   ".join(" ".join(word) for word in text.split())


def _dotted(text: str, draw: random.Random) -> str:
    sign = draw.choice(".-_*")
    return " ".join(_between(word, sign) for word in text.split())


def _fullwidth(text: str, draw: random.Random) -> str:
    del draw
    return "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text)


def _accents(text: str, draw: random.Random) -> str:
    return "".join(
        each + (draw.choice("\u0301\u0302\u0336") if each.isalpha() else "") for each in text
    )


def _katakana(text: str, draw: random.Random) -> str:
    del draw
    return "".join(chr(ord(each) + 0x60) if "ぁ" <= each <= "ゖ" else each for each in text)


def _halfwidth(text: str, draw: random.Random) -> str:
    return "".join(_HALF.get(each, each) for each in _katakana(text, draw))


def _tags(text: str, draw: random.Random) -> str:
    del draw
    return "".join(chr(0xE0000 + ord(each)) for each in text if " " <= each <= "~")


def _b64(text: str, draw: random.Random) -> str:
    del draw
    return base64.b64encode(text.encode()).decode()


def _hex(text: str, draw: random.Random) -> str:
    return text.encode().hex(*([" "] if draw.random() < 0.3 else []))


def _binary(text: str, draw: random.Random) -> str:
    del draw
    return " ".join(f"{byte:08b}" for byte in text.encode())


def _unicode(text: str, draw: random.Random) -> str:
    del draw
    return "".join(f"\\u{ord(each):04x}" for each in text)


DISGUISES: Mapping[str, Callable[[str, random.Random], str]] = {
    "zero_width": _zero_width,
    "homoglyph": lambda text, draw: "".join(
        each.translate(_LOOK_ALIKE) if draw.random() < 0.7 else each for each in text
    ),
    "spaced": lambda text, draw: _spaced(text, draw) if " " in text else " ".join(text),
    "dotted": _dotted,
    "leet": lambda text, draw: "".join(
        each.translate(_LEET) if draw.random() < 0.8 else each for each in text
    ),
    "fullwidth": _fullwidth,
    "accents": _accents,
    "katakana": _katakana,
    "halfwidth": _halfwidth,
    "tags": _tags,
    "b64": _b64,
    "hex": _hex,
    "binary": _binary,
    "unicode": _unicode,
    "rot13": lambda text, _: codecs.encode(text, "rot13"),
    "url": lambda text, _: quote(text),
    "reversed": lambda text, _: text[::-1],
}
