"""Stops a reply that gives away the system message: in one piece, nearly so, or bit by bit.

Both texts are compared as plain letters and digits: small, without spaces, signs and marks. Runs of
letters that stand in the system message are counted where they are close together (a copy with a
few words changed) and over the whole reply (a copy in pieces). What the user has said himself may
be said again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from kataribe.base.abilities import messages_of
from kataribe.base.errors import SettingsError
from kataribe.base.events import FinishReason
from kataribe.base.lm import Request
from kataribe.base.messages import ToolResultPart, text_of
from kataribe.use.guards.guard import (
    NOTHING,
    Action,
    Sighting,
    Verdict,
    check_action,
    check_range,
)
from kataribe.use.guards.normalise import letters_of, plain_character

_WIDE_FROM = "\u2e80"
_GRAM = 12
"""Weight of a run that counts: twelve letters, or six characters of Japanese."""
_GAP = 2 * _GRAM
"""Letters between two runs that may be a changed word, so the words before it are still held."""
_COPIES = 3
"""Places of one run in the system message that are marked; more are boilerplate."""
_LEAST = 30
"""Weight of a system message below which there is nothing in it to give away."""
_SHARE = 0.6
"""Of a short system message, and of any in pieces: so much of it is too much."""


@dataclass(frozen=True, slots=True)
class Leak:
    """The guard `leak`.

    Attributes:
        action: `stop` or `note`.
        letters: So many letters of the system message (half as many of Japanese) in one place of
            the reply are a leak; of a short message six tenths of it.
        secret: What is not to be told; None for the system messages. Give it where the system
            message also holds facts that the model is to tell.
    """

    action: Action = "stop"
    letters: int = 60
    secret: str | None = None
    name: str = field(default="leak", init=False)
    about: str = field(default="Stops a reply that gives away the system message.", init=False)
    holds: str = field(
        default="letters that stand in the system message, until it is clear whether they go on",
        init=False,
    )
    reads_reasoning: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_action(self.name, "action", self.action, ("stop", "note"))
        check_range(self.name, "letters", self.letters, 2 * _GRAM, 10_000)
        if self.secret is not None and not isinstance(self.secret, str):
            raise SettingsError(
                f"The guard leak has secret {self.secret!r:.80}, but it must be a text.",
                param="secret",
            )

    def watch(self, request: Request) -> LeakWatch:
        """A watch on one choice."""
        messages = messages_of(request)
        systems = [text_of(message) for message in messages if message.role == "system"]
        index = _index("\n".join(systems) if self.secret is None else self.secret)
        if index.weight < _LEAST:  # nothing to compare with, so nobody asks what was said
            return LeakWatch(self, index, "")
        said = [text_of(message) for message in messages if message.role in ("user", "tool")]
        said += [
            part.content
            for message in messages
            for part in message.parts
            if isinstance(part, ToolResultPart)
        ]
        return LeakWatch(self, index, letters_of("\n".join(said)))


@dataclass(frozen=True, slots=True)
class _Index:
    """A secret as letters, what each weighs, and where each run of it stands."""

    letters: str
    weight: int
    runs: Mapping[str, tuple[int, ...]]


def _heavy(letter: str) -> int:
    return 2 if letter >= _WIDE_FROM else 1


@lru_cache(maxsize=16)
def _index(secret: str) -> _Index:
    letters = letters_of(secret)
    runs: dict[str, tuple[int, ...]] = {}
    for end in range(1, len(letters) + 1):
        run = _run_before(letters, end)
        if run is not None and len(runs.get(run, ())) < _COPIES:
            runs[run] = (*runs.get(run, ()), end - len(run))
    return _Index(letters, sum(map(_heavy, letters)), runs)


def _run_before(letters: str, end: int) -> str | None:
    """The shortest run of letters before `end` that weighs enough."""
    narrow = letters[max(0, end - _GRAM) : end]
    if narrow.isascii():  # each of them weighs one
        return narrow if len(narrow) == _GRAM else None
    weight, start = 0, end
    while start and weight < _GRAM:
        start -= 1
        weight += _heavy(letters[start])
    return letters[start:end] if weight >= _GRAM else None


class LeakWatch:
    """Compares one choice with the secret, letter by letter."""

    def __init__(self, guard: Leak, index: _Index, said: str) -> None:
        self._guard = guard
        self._index = index
        self._said = said  # by the user and by tools
        self._limit = min(guard.letters, max(_LEAST, int(_SHARE * index.weight)))
        self._done = index.weight < _LEAST
        self._read = 0
        self._recent = ""  # the last letters of the reply
        self._at: deque[int] = deque(maxlen=_GRAM)  # where they stood in the reply
        self._number = 0  # letters read
        self._near: deque[tuple[int, int]] = deque()  # number of a letter, letter of the secret
        self._close: set[int] = set()  # letters of the secret that lie near
        self._close_weight = 0
        self._all: set[int] = set()
        self._all_weight = 0
        self._begin = 0  # of the run of hits that goes on
        self._last = -_GAP

    def push(self, text: str, tokens: int) -> Verdict:  # noqa: ARG002
        """Takes the next characters."""
        if self._done:
            return NOTHING
        for rest, character in zip(range(len(text) - 1, -1, -1), text, strict=True):
            self._read += 1
            for letter in plain_character(character):
                if letter.isalnum() and (seen := self._letter(letter)) is not None:
                    self._done = True
                    return Verdict(self._held() + rest, seen)
        held = self._held()
        return Verdict(held) if held else NOTHING

    def finish(self, reason: FinishReason, *, calls: bool) -> Verdict:  # noqa: ARG002
        """Takes the end: what was held back was no leak."""
        return NOTHING

    def _held(self) -> int:
        if self._guard.action == "note" or self._number - self._last > _GAP:
            return 0
        return self._read - self._begin

    def _letter(self, letter: str) -> Sighting | None:
        self._number += 1
        self._recent = (self._recent + letter)[-_GRAM:]
        self._at.append(self._read - 1)
        run = _run_before(self._recent, len(self._recent))
        places = () if run is None else self._index.runs.get(run, ())
        if run is not None and places and run not in self._said:
            if self._number - self._last > _GAP:
                self._begin = self._at[-len(run)]
            self._last = self._number
            for place in places:
                self._mark(range(place, place + len(run)))
        self._forget()
        return self._judged()

    def _mark(self, letters: range) -> None:
        for at in letters:
            if at not in self._close:
                self._near.append((self._number, at))
                self._close.add(at)
                self._close_weight += _heavy(self._index.letters[at])
            if at not in self._all:
                self._all.add(at)
                self._all_weight += _heavy(self._index.letters[at])

    def _forget(self) -> None:
        """Letters of the secret are near while the reply has not gone on twice the limit."""
        while self._near and self._number - self._near[0][0] > 2 * self._limit:
            _, at = self._near.popleft()
            self._close.remove(at)
            self._close_weight -= _heavy(self._index.letters[at])

    def _judged(self) -> Sighting | None:
        close = self._close_weight
        pieces = max(2 * self._limit, int(_SHARE * self._index.weight))
        if close < self._limit and self._all_weight < pieces:
            return None
        covered = sorted(self._close if close >= self._limit else self._all)
        share = 100 * self._all_weight // self._index.weight
        what = f"{share} % of the system message" if self._guard.secret is None else "a secret"
        how = "together" if close >= self._limit else "in pieces"
        place = f"letters {covered[0]} to {covered[-1]} of it, at character {self._read}"
        return Sighting(self._guard.name, f"{what} {how}", place, "", self._guard.action)
