"""Windows of a text: its clauses, its sentences and lines, and these with what follows."""

from __future__ import annotations

from collections.abc import Iterator

from kataribe.use.guards.normalise import Plain

LEAST, MOST = 20, 120
"""Characters of a clause; shorter ones join the next, longer ones are cut between words."""
WIDE = 240
"""Characters of a clause with what follows, at most; two clauses always fit."""
_ENDS = "。!?"
_PAUSES = ',;:、」』")】'
_GAPS = " 、,"


def spans(text: str, said: Plain) -> list[tuple[int, int]]:
    """Windows of a plain text that cover all of it.

    Each clause has one, as long as it is, to the end of its sentence, and with what follows.
    `text` is the original: where its lines ended can no longer be seen in the plain text. A text
    without a character has one empty window.
    """
    units = list(_units(text, said)) or [(0, 0, True)]
    found: dict[tuple[int, int], None] = {}
    covered = 0
    for place, (start, end, ends) in enumerate(units):
        found[start, end] = None
        last, closed = place, ends
        while last + 1 < len(units) and units[last + 1][1] - start <= WIDE:
            last += 1
            if units[last][2] and not closed:
                closed = True
                found[start, units[last][1]] = None
        if units[last][1] > covered:  # else a window before this one reaches as far
            covered = units[last][1]
            found[start, covered] = None
    return list(found)


def _units(text: str, said: Plain) -> Iterator[tuple[int, int, bool]]:
    """Clauses: from, to, and whether a sentence or line ends there."""
    start = 0
    for at, character in enumerate(said.text):
        ends = character in _ENDS or character == "." or text[said.places[at]] == "\n"
        if ends and character == "." and said.text[at + 1 : at + 2] not in ("", " "):
            ends = False  # a number or a name
        size = at + 1 - start
        if size >= LEAST and (ends or (CLAUSES and character in _PAUSES)):
            yield start, at + 1, ends
            start = at + 1
        elif size >= MOST:
            end = _gap(said.text, start, at + 1)
            yield start, end, False
            start = end
    if start < len(said.text):
        yield start, len(said.text), True


def _gap(text: str, start: int, end: int) -> int:
    """The last place between words in a stretch that is too long; its end where there is none."""
    best = max(text.rfind(sign, start + LEAST, end) for sign in _GAPS)
    return best + 1 if best >= 0 else end


CLAUSES = True
