"""What a text is made the same in, each of it a choice."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from kataribe.base.errors import InputError

UnicodeForm = Literal["none", "nfc", "nfkc"]

_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029]")
_PAGES = re.compile(r"[\v\f]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n{4,}")
_BLANKS = " \t\u3000\u00a0"


@dataclass(frozen=True, slots=True)
class Normal:
    """How texts are normalised; the default changes nothing that a reader would see."""

    unicode: UnicodeForm = "nfc"
    """`none` keeps every character. `nfc` writes the same character in one way: the two code
    points of a Mac's か + ゙ become が; compatibility ideographs (U+FA19 神) become the plain ones.
    `nfkc` also maps what looks different but counts as the same: half-width ｶﾞ to ガ, full-width
    ＡＢＣ！ to ABC!, ① to 1, ㍿ to 株式会社, the ideographic space to a space. A model trained
    on that can never write ①, and "２０" and "20" are no longer two things to it. Source code
    is left alone: there a character is a value."""
    line_ends: bool = True
    """CR LF, CR and Unicode's line separators become LF."""
    controls: bool = True
    """Control characters go, but for tab and LF; so do byte order marks in the middle. A form
    feed or vertical tab becomes LF."""
    trailing: bool = True
    """Spaces at the ends of lines go, and runs of more than two blank lines become two."""

    def __post_init__(self) -> None:
        if self.unicode not in get_args(UnicodeForm):
            raise InputError(
                f"The Unicode form is {self.unicode!r}; it is one of "
                f"{', '.join(get_args(UnicodeForm))}.",
                param="unicode",
            )


def normalise(text: str, normal: Normal, *, code: bool = False) -> tuple[str, tuple[str, ...]]:
    """The normalised text, and the names of the choices that changed it."""
    changed: list[str] = []
    for name, step in (
        ("line_ends", _line_ends if normal.line_ends else None),
        ("controls", _without_controls if normal.controls else None),
        (normal.unicode, None if code or normal.unicode == "none" else _form(normal.unicode)),
        ("trailing", _without_trailing if normal.trailing else None),
    ):
        if step is not None:
            before, text = text, step(text)
            if text != before:
                changed.append(name)
    return text, tuple(changed)


def comparable(text: str) -> str:
    """The text as it is compared: lower case, every run of white space one space."""
    return " ".join(text.lower().split())


def _line_ends(text: str) -> str:
    return _LINE_ENDS.sub("\n", text)


def _without_controls(text: str) -> str:
    return _CONTROLS.sub("", _PAGES.sub("\n", text))


def _form(name: UnicodeForm) -> Callable[[str], str]:
    form: Literal["NFC", "NFKC"] = "NFC" if name == "nfc" else "NFKC"

    def apply(text: str) -> str:
        return text if text.isascii() else unicodedata.normalize(form, text)

    return apply


def _without_trailing(text: str) -> str:
    # Line by line: a regular expression takes quadratic time in a long run of spaces.
    text = "\n".join(line.rstrip(_BLANKS) for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n\n", text).strip("\n")
