"""Stops a reply that says the same thing over and over.

The text is read character by character. A candidate is a distance at which the text repeats itself;
it is found where the last twelve characters stood before (a rolling hash, Karp and Rabin 1987, in a
table of fixed size) and lives as long as each new character equals the one that far back; what was
equal before it was found is looked up. A few candidates live side by side, since a loop may have
small loops inside. So each character costs a constant time, and a reply of any length a constant
memory.

Equal text three times is no loop yet: rulers, tables, zeros and refrains are. What goes on like
that for 48 tokens more is. Numbers of list items may differ, so a list that says the same under
1, 2, 3 is a loop too.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from kataribe.base.events import FinishReason
from kataribe.base.lm import Request
from kataribe.use.guards.guard import (
    NOTHING,
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
_FEW_LETTERS = 12
_FEW_SIGNS = 12
_MANY = 100
"""So many numbered items with fewer letters and no more signs may be equal: yes, yes, no."""
_BACK = 4
_MOST_BACK = 4 * 4096
"""Characters that are compared backwards, for each that is read and in all: bounds the time."""
_SPARE = 1024
"""Characters by which the text grows before its beginning is cut off."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A text that repeats itself: `unit`, for the `times`-th time."""

    unit: str
    times: int


@dataclass(slots=True)
class _Candidate:
    """A distance at which the text repeats itself.

    Attributes:
        distance: Characters between a place and the one that it equals.
        run: So many characters up to here equal those that far back, numbers of items aside.
        exact: The same, numbers of items too.
    """

    distance: int
    run: int
    exact: int


class LoopFinder:
    """Finds a loop in a text that comes in pieces.

    Args:
        allowance: Tokens that may follow the third repeat.
    """

    def __init__(self, allowance: int = ALLOWANCE) -> None:
        self._allowance = allowance
        self._text: list[str] = []  # characters, and whole numbers of items behind a `_NUMBER`
        self._at: list[float] = []  # tokens up to the end of each
        self._dropped = 0  # of both
        self._hash = 0
        self._seen = array("q", [-1]) * _SLOTS
        self._candidates: list[_Candidate] = []
        self._tokens = 0.0
        self._told = 0
        self._at_start = True  # of a line
        self._head = ""  # a line's spaces and digits, which may be an item's number
        self._last = ""
        self._back = 0  # characters that may be compared backwards

    def push(self, text: str, tokens: int = 0) -> Loop | None:
        """Takes the next text; the loop as soon as its allowance is used up.

        `tokens`: drawn up to the end of `text`; 0 where nobody knows. Then characters count a
        little more than models need, so that a loop is stopped rather too soon than too late.
        """
        worths = self._worths(text, tokens)
        self._told = max(self._told, tokens)
        for character, worth in zip(text, worths, strict=True):
            self._tokens += worth
            # Most characters neither begin a line nor end one.
            inside = not self._at_start and character != "\n"
            found = self._step(character) if inside else self._line(character)
            if found is not None:
                return found
        return None

    def _worths(self, text: str, tokens: int) -> list[float]:
        """Tokens of each character."""
        if tokens > self._told and text:
            return [(tokens - self._told) / len(text)] * len(text)
        worths = []
        for character in text:
            worths.append(_worth(self._last, character))
            self._last = character
        whole = sum(worths)
        # Some servers send their words sign by sign; a piece of several is a token at least.
        return worths if whole >= 1 or len(text) < 2 else [each / whole for each in worths]

    def _line(self, character: str) -> Loop | None:
        """Leaves out numbers at the beginning of lines, then reads on."""
        if self._at_start:
            if len(self._head) < _GRAM and (character.isdigit() or character in " \t"):
                self._head += character
                return None
            head, self._head, self._at_start = self._head, "", character == "\n"
            if head.strip() and character in ".)．）、:":
                found = self._step(_NUMBER + head)
                return found if found is not None else self._step(character)
            for each in head:
                if (found := self._step(each)) is not None:
                    return found
        elif character == "\n":
            self._at_start = True
        return self._step(character)

    def _step(self, character: str) -> Loop | None:
        text = self._text
        text.append(character)
        self._at.append(self._tokens)
        self._back = min(self._back + _BACK, _MOST_BACK)
        last = len(text) - 1
        broken = False
        for candidate in self._candidates:
            before = text[last - candidate.distance]
            if before == character:
                candidate.run += 1
                candidate.exact += 1
            elif before[0] == _NUMBER and character[0] == _NUMBER:
                candidate.run += 1
                candidate.exact = 0
            else:
                candidate.run = 0
                broken = True
        if broken:
            self._candidates = [each for each in self._candidates if each.run]
        self._look_back(last, character[0])
        found = self._judged() if self._candidates else None
        if len(text) > 3 * LONGEST + _SPARE:
            cut = len(text) - 3 * LONGEST
            del text[:cut], self._at[:cut]
            self._dropped += cut
        return found

    def _look_back(self, last: int, character: str) -> None:
        """Makes a candidate of the place where the last characters stood before."""
        text = self._text
        gone = text[-_GRAM - 1][0] if last >= _GRAM else "\0"
        self._hash = (self._hash * _BASE + ord(character) - ord(gone) * _FALL) & _MASK
        slot = (self._hash * 0x9E3779B97F4A7C15 >> 40) % _SLOTS
        here = self._dropped + last
        before, self._seen[slot] = self._seen[slot], here
        distance = here - before
        start = last - distance - _GRAM + 1
        if before < 0 or start < 0 or distance > LONGEST:
            return
        if any(candidate.distance == distance for candidate in self._candidates):
            return
        if not all(map(_alike, text[start : start + _GRAM], text[-_GRAM:])):
            return
        if len(self._candidates) == _MOST:
            self._candidates.remove(min(self._candidates, key=lambda each: each.run))
        self._candidates.append(self._looked_up(distance))

    def _looked_up(self, distance: int) -> _Candidate:
        """A candidate with all of its run, which began before it could be seen."""
        text = self._text
        run = exact = 0
        differs = False
        at = len(text) - 1
        while at >= distance and self._back > 0:
            here, there = text[at], text[at - distance]
            if here != there:
                if not _alike(here, there):
                    break
                differs = True
            run += 1
            exact += not differs
            self._back -= 1
            at -= 1
        return _Candidate(distance, max(run, _GRAM), exact)

    def _judged(self) -> Loop | None:
        for candidate in self._candidates:
            distance = candidate.distance
            if self._is_over(candidate.exact, distance):
                return self._loop(distance, candidate.exact)
            if candidate.run > candidate.exact and self._is_over(candidate.run, distance):
                unit = self._text[-distance:]
                few = sum(each.isalpha() for each in unit) < _FEW_LETTERS
                few = few and sum(not each.isspace() for each in unit) <= _FEW_SIGNS
                if not few or candidate.run > _MANY * distance:
                    return self._loop(distance, candidate.run)
        return None

    def _is_over(self, run: int, distance: int) -> bool:
        """Whether the allowance is used up since the third repeat was complete."""
        since = run - REPEATS * distance
        if since < 0:
            return False
        at = len(self._at) - 1 - since
        return self._tokens - self._at[max(at, 0)] >= self._allowance

    def _loop(self, distance: int, run: int) -> Loop:
        unit = ("#" if each[0] == _NUMBER else each for each in self._text[-distance:])
        return Loop("".join(unit), 1 + run // distance)


def _alike(one: str, other: str) -> bool:
    """Whether two characters are equal, or both are numbers of items."""
    return one == other or one[0] == other[0] == _NUMBER


def _worth(before: str, character: str) -> float:
    """Tokens of a character, rather too many; long runs of one sign are few everywhere.

    Text of the bytes of a small vocabulary has most: three tokens for a Japanese character.
    """
    if before == character:
        if not character.isalpha():
            return 0.5 if character.isdigit() else 0.12
        return 1.2 if character > "\u2e7f" else 0.42
    if character > "\u2e7f":
        return 2.4
    if character > "\x7f":
        return 1.2
    if character == " ":
        return 0.9 if before.isdigit() or before in ",:;" else 0.42
    if character.islower():
        # Letters among signs and digits have a token for one or two of them.
        return 0.5 if before.islower() or before == " " else 0.8
    return 0.9


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
        self._finder: LoopFinder | None = None  # its table is made for the first word
        self._read = 0
        self._done = False

    def push(self, text: str, tokens: int) -> Verdict:
        """Takes the next characters."""
        if self._done:
            return NOTHING
        if self._finder is None:
            self._finder = LoopFinder(self._guard.allowance)
        loop = self._finder.push(text, tokens)
        self._read += len(text)
        if loop is None:
            return NOTHING
        self._done = True
        what = f"the same {len(loop.unit)} characters {loop.times} times"
        place = f"up to character {self._read} of the reply"
        seen = Sighting("repetition", what, place, excerpt(loop.unit), self._guard.action)
        return Verdict(sighting=seen, reason="repetition")

    def finish(self, reason: FinishReason, *, calls: bool) -> Verdict:  # noqa: ARG002
        """Takes the end: nothing to say any more."""
        return NOTHING
