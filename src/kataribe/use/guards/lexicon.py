"""Words by what they do in an order to a model, English and Japanese.

The classes stand in `lexicon.toml`. Where a detector of letters knows only words that it has seen,
a class lets it take a word for its neighbours. As with the rules no class decides alone, and each
names the families of attacks that it was written for.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kataribe.use.guards.normalise import plain

LEXICON = "lexicon.toml"
NEAR = 60
"""Characters between the beginnings of two words that belong together, at most."""
_BEGINS = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]|[^A-Za-z0-9 ]")
"""A Latin word begins; words of other scripts may begin anywhere."""
_QUOTED = re.compile(
    r"\"[^\"]{1,400}\"|“[^”]{1,400}”|「[^」]{1,400}」|『[^』]{1,400}』|'[^']{8,400}'"
)


@dataclass(frozen=True, slots=True)
class WordClass:
    """Words that do the same.

    Attributes:
        name: What they do, in a few words.
        families: The families of attacks that it was written for.
        around: It tells about the text around it, too.
        stems: How its words begin, as plain text; `True` where nothing may follow.
        pattern: Finds what no list of words can hold.
    """

    name: str
    families: frozenset[str]
    around: bool
    stems: tuple[tuple[str, bool], ...]
    pattern: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Mention:
    """A place in plain text where a word of a class stands: the class's number, from, to."""

    number: int
    start: int
    end: int


@cache
def classes() -> tuple[WordClass, ...]:
    """The classes of the package, in the order of their file; those with `around` come last."""
    text = files("kataribe.use.guards").joinpath(LEXICON).read_text(encoding="utf-8")
    found = tuple(
        WordClass(
            each["name"],
            frozenset(each.get("families", ())),
            each.get("around", False),
            tuple(_stem(word) for word in f"{each.get('en', '')} {each.get('ja', '')}".split()),
            re.compile(each["pattern"]) if "pattern" in each else None,
        )
        for each in tomllib.loads(text)["classes"]
    )
    assert [each.around for each in found] == sorted(each.around for each in found)
    return found


def _stem(word: str) -> tuple[str, bool]:
    said = plain(word.removesuffix("$").replace("_", " ")).text
    return said, word.endswith("$")


@cache
def _index() -> Mapping[str, Sequence[tuple[str, bool, int]]]:
    """Every stem by its first two characters (Latin words: three), with what it stands for.

    That is the stem, whether the word ends there, its class.
    """
    index: dict[str, list[tuple[str, bool, int]]] = {}
    for number, each in enumerate(classes()):
        for stem, ends in each.stems:
            first = 3 if stem.isascii() and len(stem) > 2 else 2
            index.setdefault(stem[:first], []).append((stem, ends, number))
    return index


def mentions(text: str) -> list[Mention]:
    """Every word of a class in plain text, by place; a class is told once for a place."""
    index = _index()
    found: dict[tuple[int, int], int] = {}
    for begin in _BEGINS.finditer(text):
        at = begin.start()
        known = index.get(text[at : at + 2], ())
        if begin[0] < "\x80":
            known = (*known, *index.get(text[at : at + 3], ()))
        for stem, ends, number in known:
            if not text.startswith(stem, at):
                continue
            end = at + len(stem)
            if ends and end < len(text) and _is_latin(text[end]) and stem[-1] != ":":
                continue
            found[at, number] = max(end, found.get((at, number), 0))
    for number, each in enumerate(classes()):
        for match in each.pattern.finditer(text) if each.pattern else ():
            found[match.start(), number] = match.end()
    return [Mention(number, at, end) for (at, number), end in sorted(found.items())]


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def pairs(found: Sequence[Mention]) -> list[tuple[int, int, int, int]]:
    """Words of two classes close to each other: the lower class, the higher, from, to.

    Their order does not matter: verbs come first in English and last in Japanese.
    """
    near = []
    starts = [each.start for each in found]
    for place, one in enumerate(found):
        for other in found[place + 1 : bisect_left(starts, one.start + NEAR)]:
            if one.number != other.number:
                low, high = sorted((one.number, other.number))
                near.append((low, high, one.start, max(one.end, other.end)))
    return near


def quoted(text: str) -> list[tuple[int, int]]:
    """Stretches of plain text between quotation marks."""
    return [found.span() for found in _QUOTED.finditer(text)]
