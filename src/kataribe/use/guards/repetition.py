"""Stops a reply that says the same thing over and over.

The text is read character by character. A candidate is a distance at which the text repeats itself;
it is found where the last twelve characters stood before (a rolling hash, Karp and Rabin 1987, in a
table of fixed size) and lives as long as each new character equals the one that far back. A few
candidates live side by side, since a loop may have small loops inside. So each character costs a
constant time, and a reply of any length a constant memory.

Equal text three times is no loop yet: rulers, tables, zeros and refrains are. What goes on like
that for 48 tokens more is. Numbers of list items are left out of the comparison, so a list that
says the same under 1, 2, 3 is a loop too.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from kataribe.base.events import FinishReason
from kataribe.base.lm import Request
from kataribe.use.guards.guard import (
    Action,
    Sighting,
    Verdict,
    check_action,
    check_range,
    excerpt,
)

LONGEST = 4096
"""Characters of the longest text whose repetition is found (about 1,000 tokens)."""
REPEATS = 3
"""A text and so many repeats of it; then the allowance begins to run."""
ALLOWANCE = 48
"""Tokens after the third repeat. The promise is 64; pieces that bring many tokens need the rest."""
_GRAM = 12
_SLOTS = 1 << 13
_MOST = 8
"""Candidates side by side."""
_BASE = 1_000_003
_MASK = (1 << 61) - 1
_FALL = pow(_BASE, _GRAM, 1 << 61)
_NUMBER = "\ue000"
"""Stands where a list item's number stood (a private-use character)."""
_FEWEST_LETTERS = 12
"""Numbered items with fewer letters may be equal: yes, yes, no."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A text that repeats itself: `unit`, for the `times`-th time."""

    unit: str
    times: int


@dataclass(slots=True)
class _Candidate:
    distance: int
    run: int
    third: float | None = None  # tokens when the third repeat was complete


class LoopFinder:
    """Finds a loop in a text that comes in pieces.

    Args:
        allowance: Tokens that may follow the third repeat.
    """

    def __init__(self, allowance: int = ALLOWANCE) -> None:
        self._allowance = allowance
        self._text: list[str] = []
        self._dropped = 0  # characters before self._text
        self._hash = 0
        self._seen = array("q", [-1]) * _SLOTS
        self._candidates: list[_Candidate] = []
        self._tokens = 0.0
        self._told = 0
        self._at_start = True  # of a line
        self._head = ""  # a line's spaces and digits, which may be an item's number

    def push(self, text: str, tokens: int = 0) -> Loop | None:
        """Takes the next text; the loop as soon as its allowance is used up.

        `tokens`: drawn up to the end of `text`; 0 where nobody knows, which counts a little more
        than models need, so that a loop is stopped rather too soon than too late.
        """
        told = (tokens - self._told) / len(text) if tokens > self._told and text else 0.0
        self._told = max(self._told, tokens)
        for character in text:
            self._tokens += told or self._worth(character)
            found = self._line(character)
            if found is not None:
                return found
        return None

    def _line(self, character: str) -> Loop | None:
        """Leaves out numbers at the beginning of lines, then reads on."""
        if self._at_start:
            if len(self._head) < _GRAM and (character.isdigit() or character in " \t"):
                self._head += character
                return None
            head, self._head, self._at_start = self._head, "", character == "\n"
            if head.strip() and character in ".)．）、:":
                head = _NUMBER
            for each in head:
                if (found := self._step(each)) is not None:
                    return found
        elif character == "\n":
            self._at_start = True
        return self._step(character)

    def _step(self, character: str) -> Loop | None:
        self._text.append(character)
        here = self._dropped + len(self._text) - 1
        for candidate in self._candidates:
            if self._text[here - candidate.distance - self._dropped] == character:
                candidate.run += 1
            else:
                candidate.run = 0
        if any(not candidate.run for candidate in self._candidates):
            self._candidates = [each for each in self._candidates if each.run]
        self._look_back(here, character)
        found = self._judged()
        if len(self._text) > 3 * LONGEST:
            cut = len(self._text) - LONGEST - 2 * _GRAM
            del self._text[:cut]
            self._dropped += cut
        return found

    def _look_back(self, here: int, character: str) -> None:
        """Makes a candidate of the place where the last characters stood before."""
        gone = self._text[-_GRAM - 1] if len(self._text) > _GRAM else "\0"
        self._hash = (self._hash * _BASE + ord(character) - ord(gone) * _FALL) & _MASK
        slot = (self._hash * 0x9E3779B97F4A7C15 >> 40) % _SLOTS
        before, self._seen[slot] = self._seen[slot], here
        distance = here - before
        start = before - self._dropped - _GRAM + 1
        if before < 0 or start < 0 or distance > LONGEST:
            return
        if any(candidate.distance == distance for candidate in self._candidates):
            return
        if self._text[start : start + _GRAM] != self._text[-_GRAM:]:
            return
        if len(self._candidates) == _MOST:
            self._candidates.remove(min(self._candidates, key=lambda each: each.run))
        self._candidates.append(_Candidate(distance, _GRAM))

    def _judged(self) -> Loop | None:
        for candidate in self._candidates:
            if candidate.third is None:
                if candidate.run >= REPEATS * candidate.distance:
                    candidate.third = self._tokens
            elif self._tokens - candidate.third >= self._allowance:
                unit = self._text[-candidate.distance :]
                letters = sum(each.isalpha() for each in unit)
                if _NUMBER in unit and letters < _FEWEST_LETTERS:
                    continue
                times = 1 + candidate.run // candidate.distance
                return Loop("".join(unit).replace(_NUMBER, "#"), times)
        return None

    def _worth(self, character: str) -> float:
        """Tokens of a character, rather too many; long runs of one sign are few everywhere.

        Text of the bytes of a small vocabulary has most: three tokens for a Japanese character.
        """
        if self._text and self._text[-1] == character and not character.isalpha():
            return 0.12
        if ord(character) >= 0x2E80:
            return 1.7
        return 0.42 if character.isalpha() or character == " " else 0.9


@dataclass(frozen=True, slots=True)
class Repetition:
    """The guard `repetition`.

    Attributes:
        action: `stop` ends the reply with the reason `repetition`; `note` only tells, once.
        allowance: Tokens that may follow the third repeat.
    """

    action: Action = "stop"
    allowance: int = ALLOWANCE
    name: str = field(default="repetition", init=False)
    about: str = field(default="Stops a reply that says the same thing over and over.", init=False)
    holds: str = field(default="nothing", init=False)
    reads_reasoning: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        check_action(self.name, "action", self.action, ("stop", "note"))
        check_range(self.name, "allowance", self.allowance, 1, 100_000)

    def watch(self, request: Request) -> RepetitionWatch:  # noqa: ARG002
        """A watch on one choice."""
        return RepetitionWatch(self)


class RepetitionWatch:
    """Watches one choice for loops."""

    def __init__(self, guard: Repetition) -> None:
        self._guard = guard
        self._finder = LoopFinder(guard.allowance)
        self._read = 0
        self._done = False

    def push(self, text: str, tokens: int) -> Verdict:
        """Takes the next characters."""
        if self._done:
            return Verdict()
        loop = self._finder.push(text, tokens)
        self._read += len(text)
        if loop is None:
            return Verdict()
        self._done = True
        what = f"the same {len(loop.unit)} characters {loop.times} times"
        place = f"up to character {self._read} of the reply"
        seen = Sighting("repetition", what, place, excerpt(loop.unit), self._guard.action)
        return Verdict(sighting=seen, reason="repetition")

    def finish(self, reason: FinishReason, *, calls: bool) -> Verdict:  # noqa: ARG002
        """Takes the end: nothing to say any more."""
        return Verdict()
