"""Windows of a text: its sentences and lines, each alone and with what follows."""

from __future__ import annotations

from collections.abc import Iterator

from kataribe.use.guards.normalise import Plain

LEAST, MOST = 20, 120
"""Characters of a sentence; shorter ones join the next, longer ones are cut between words."""
WIDE = 240
"""Characters of a sentence with what follows, at most; two sentences always fit."""
_ENDS = "。!?"
_GAPS = " 、,"


def spans(text: str, said: Plain) -> list[tuple[int, int]]:
    """Windows of a plain text that cover all of it: each sentence, and each with those after it.

    `text` is the original: where its lines ended can no longer be seen in the plain text. A text
    without a character has one empty window.
    """
    units = list(_units(text, said)) or [(0, 0)]
    found: dict[tuple[int, int], None] = {}
    last = covered = 0
    for place, (start, end) in enumerate(units):
        found[start, end] = None
        last = max(last, place)
        while last + 1 < len(units) and units[last + 1][1] - start <= WIDE:
            last += 1
        if units[last][1] > covered:  # else a window before this one reaches as far
            covered = units[last][1]
            found[start, covered] = None
    return list(found)


def _units(text: str, said: Plain) -> Iterator[tuple[int, int]]:
    """Sentences and lines, none too short (but for the last) and none too long."""
    start = 0
    for at, character in enumerate(said.text):
        ends = character in _ENDS or character == "." or text[said.places[at]] == "\n"
        if ends and character == "." and said.text[at + 1 : at + 2] not in ("", " "):
            ends = False  # a number or a name
        size = at + 1 - start
        if (ends and size >= LEAST) or size >= MOST:
            end = at + 1 if ends else _gap(said.text, start, at + 1)
            yield start, end
            start = end
    if start < len(said.text):
        yield start, len(said.text)


def _gap(text: str, start: int, end: int) -> int:
    """The last place between words in a stretch that is too long; its end where there is none."""
    best = max(text.rfind(sign, start + LEAST, end) for sign in _GAPS)
    return best + 1 if best >= 0 else end
