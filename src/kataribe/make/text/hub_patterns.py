"""Patterns of file names in a data set's README: `data/train-*`, `**/*.jsonl`, `part-[0-9].txt`.

Whoever wrote the README may have written it to hang its reader, so nothing is tried twice: all
ways to match go on side by side, as the bits of one number, from letter to letter of the name
(Baeza-Yates and Gonnet 1992). A pattern of m letters and a name of n take n steps with numbers of
m bits; `**a**a**a**b` as a regular expression takes longer than anyone waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kataribe.base.errors import FormatError

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)
_BRACES = re.compile(r"\{[^{}]*,[^{}]*\}")
LONGEST = 4096
"""Characters of a pattern: as many as a path may have."""


class Pattern:
    """One pattern.

    `*` stands for any letters but `/`, `?` for one, `[a-z]` for one of these and `[!a-z]` for one
    of the others; `**/` for any folders or none, `**` elsewhere for any letters.

    Raises:
        FormatError: The pattern is too long, or has `{a,b}`, which the hub does not know either.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise FormatError(
                f"The README of the data set has a pattern of {len(text):,} characters "
                f"({text[:40]!r}...); at most {LONGEST:,} are read. Name its files themselves."
            )
        if braces := _BRACES.search(text):
            raise FormatError(
                f"The README of the data set has the pattern {text!r:.120} with braces "
                f"({braces[0]!r:.40}), which patterns of the hub do not have. Download its files "
                "and name their folder."
            )
        text = re.sub(r"\*{3,}", "**", text)
        text = re.sub(r"(\*\*/)+", "**/", text)
        self._letters: list[Callable[[str], bool]] = []
        self._stays = self._stays_in_folder = self._folders = 0
        for part in _PARTS.findall(text):
            here = 1 << len(self._letters)
            if part == "**/":  # not there at all, or any letters and then a slash
                self._folders |= here
                self._stays |= here << 1
                self._letters += [_never, "/".__eq__]
            elif part == "**":
                self._stays |= here
            elif part == "*":
                self._stays_in_folder |= here
            else:
                self._letters.append(_one_of(part))
        self._takes: dict[str, int] = {}
        literal = re.match(r"[^*?\[]*", text)
        self._beginning = literal[0] if literal else ""

    def matches(self, name: str) -> bool:
        """Whether the whole name is one of those that are meant."""
        if not name.startswith(self._beginning):
            return False
        at = self._forward(1)
        for letter in name:
            taken = self._takes.get(letter)
            if taken is None:
                fits = (1 << place for place, takes in enumerate(self._letters) if takes(letter))
                taken = self._takes[letter] = sum(fits)
            stays = self._stays if letter == "/" else self._stays | self._stays_in_folder
            at = self._forward((at & taken) << 1 | at & stays)
            if not at:
                return False
        return bool(at >> len(self._letters) & 1)

    def _forward(self, at: int) -> int:
        """Goes into and past `**/` without taking a letter."""
        folders = at & self._folders
        return at | folders << 1 | folders << 2


def _never(_letter: str) -> bool:
    return False


def _one_of(part: str) -> Callable[[str], bool]:
    """Whether a letter is one that `part` (`a`, `?` or `[...]`) stands for."""
    if part == "?":
        return "/".__ne__
    if len(part) == 1:
        return part.__eq__
    other = part[1] in "!^"
    inside = part[2:-1] if other else part[1:-1]
    ranges = [
        (first, last or first) for first, last in re.findall(r"(.)(?:-(.))?", inside, re.DOTALL)
    ]

    def fits(letter: str) -> bool:
        return letter != "/" and any(a <= letter <= b for a, b in ranges) is not other

    return fits
