"""One thread of words of a reply (its text, or its thoughts), let out as far as watches allow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kataribe.base.events import TokenLogprob
from kataribe.use.guards.guard import NOTHING, Verdict, Watch


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters, the log-probabilities of their tokens, and the tokens drawn up to their end."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    tokens: int = 0


class Strand:
    """Words in, words out.

    Args:
        watches: What looks at the words.
        restore: Placeholders, and what is put in their place on the way out.
        skip: Characters at the beginning that no watch looks at (an echoed prompt).
    """

    def __init__(self, watches: Sequence[Watch], restore: Mapping[str, str], skip: int = 0) -> None:
        self.watches = tuple(watches)
        self.hold = 0
        self._restorer = Restorer(restore)
        self._skip = skip
        self._waiting: deque[Piece] = deque()
        self._length = 0  # of what waits
        self._out: list[str] = []
        self._in: list[str] = []
        self._late: tuple[TokenLogprob, ...] = ()

    @property
    def heard(self) -> str:
        """All that came in."""
        return "".join(self._in)

    @property
    def said(self) -> str:
        """All that went out."""
        return "".join(self._out)

    def push(self, piece: Piece) -> list[Verdict]:
        """Takes a piece; what the watches saw in it. `release` then gives what may go out."""
        self._in.append(piece.text)
        self._waiting.append(piece)
        self._length += len(piece.text)
        looked = piece.text[self._skip :]
        self._skip = max(0, self._skip - len(piece.text))
        hold = 0
        seen: list[Verdict] = []
        for watch in self.watches:
            verdict = watch.push(looked, piece.tokens)
            if verdict is NOTHING:
                continue
            hold = max(hold, verdict.hold)
            if verdict.sighting is not None:
                seen.append(verdict)
        self.hold = hold
        return seen

    def release(self, hold: int | None = None) -> Iterator[Piece]:
        """What may go out while the last `hold` characters (None: as the watches say) wait."""
        free = self._length - (self.hold if hold is None else hold)
        while self._waiting and (free > 0 or not self._waiting[0].text):
            piece = self._waiting.popleft()
            if len(piece.text) > free:
                self._waiting.appendleft(Piece(piece.text[free:], piece.logprobs, piece.tokens))
                piece = Piece(piece.text[:free], (), piece.tokens)
            free -= len(piece.text)
            self._length -= len(piece.text)
            yield from self._restored(piece)

    def finish(self) -> Iterator[Piece]:
        """Everything that still waits."""
        yield from self.release(0)
        text = self._restorer.finish()
        if text or self._late:
            self._out.append(text)
            late, self._late = self._late, ()
            yield Piece(text, late)

    def replace(self, text: str) -> Iterator[Piece]:
        """Another text instead of all that waits; nothing may have gone out before."""
        self._waiting.clear()
        self._length = 0
        restored = self._restorer.push(text) + self._restorer.finish()
        self._out.append(restored)
        yield Piece(restored)

    def moved(self, place: int) -> int:
        """Where a place of what came in lies in what went out."""
        return self._restorer.moved(place)

    def _restored(self, piece: Piece) -> Iterator[Piece]:
        text = self._restorer.push(piece.text)
        self._late += piece.logprobs
        if text or not piece.text:
            self._out.append(text)
            late, self._late = self._late, ()
            same = text == piece.text and late is piece.logprobs
            yield piece if same else Piece(text, late, piece.tokens)


class Restorer:
    """Puts values back in the place of their placeholders, in text that comes in pieces.

    What may be the beginning of a placeholder is held back: never more than the longest of them.
    """

    def __init__(self, restore: Mapping[str, str]) -> None:
        self._restore = restore
        self._first = frozenset(key[0] for key in restore)
        self._held = ""
        self._read = 0
        self._moves: list[tuple[int, int]] = []  # place in what came in, shift from there on

    def push(self, text: str) -> str:
        """The text with values instead of placeholders, as far as it is certain."""
        if not self._restore:
            return text
        whole = self._held + text
        out: list[str] = []
        at = 0
        while at < len(whole):
            if whole[at] not in self._first:
                at += 1
                out.append(whole[at - 1])
                continue
            rest = whole[at:]
            key = next((key for key in self._restore if rest.startswith(key)), None)
            if key is not None:
                value = self._restore[key]
                out.append(value)
                at += len(key)
                self._moves.append((self._read + at, len(value) - len(key)))
            elif any(key.startswith(rest) for key in self._restore):
                break
            else:
                out.append(whole[at])
                at += 1
        self._held = whole[at:]
        self._read += at
        return "".join(out)

    def finish(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        self._read += len(held)
        return held

    def moved(self, place: int) -> int:
        """Where a place of what came in lies in what went out."""
        return place + sum(shift for end, shift in self._moves if end <= place)
