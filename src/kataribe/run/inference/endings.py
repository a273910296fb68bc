"""How a reply that is held to a form comes to its end within a limit of tokens.

A form says what may come next, not how far away its end is; a model that goes on with a string
until its tokens are used up leaves half a call. `Endings` looks for a way to the end as somebody
would who wants to be done: close what is open, choose the shortest value where there must be one.
`Homeward` goes beside a reply and, near its limit, takes only tokens from which such a way still
fits. The model writes as it likes as long as there is room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LONGEST = 1024
"""Tokens of the longest way that is looked for."""

_CLEAR = 64
"""So many tokens are left alone at a time while the limit is farther away than twice the way to the
end and as many again."""

_TEXT, _FREE = 0.025, 0.5
"""Shares of the vocabulary from which on a place counts as one inside a text, and as one inside a
text where nearly anything may stand. Between them there is a pattern."""

_FEW = 16
"""Tokens of which each is tried whether it is the last one."""

_OTHER = 100
"""Rank of tokens that neither close anything nor are a short value."""

_CLOSES = 1
"""Highest rank of tokens that close something."""

_FIRST_WINDOW = 192
"""Tokens before its limit at which a reply is looked at for the first time, at least."""


class Form(Protocol):
    """A place in a form (`constraint.ConstraintState`)."""

    def mask(self) -> NDArray[np.bool_]:
        """Which tokens may come next."""
        ...

    def advance(self, token: int) -> None:
        """Takes a token that the mask allowed."""
        ...

    def copy(self) -> Form:
        """The same place, to be gone on from without moving this one."""
        ...

    def takes(self, tokens: Sequence[int]) -> bool:
        """Whether these tokens may come next, one after the other."""
        ...

    @property
    def is_accepting(self) -> bool:
        """The form may end here."""
        ...


class Endings:
    """Finds ways to the end of any form over one vocabulary.

    Args:
        pieces: The text of each token, control tokens among them; empty for ids without one.
        ends: Tokens that end a reply.
    """

    def __init__(self, pieces: Sequence[bytes], ends: Sequence[int]) -> None:
        self.ends = frozenset(ends)
        self.end = ends[0]
        ranks = [_rank(piece) for piece in pieces]
        self._count = sum(1 for piece in pieces if piece)
        order = sorted(range(len(pieces)), key=lambda token: ranks[token])
        self._order = np.array(order, dtype=np.int64)
        self._ranks = np.array([rank for rank, _ in ranks], dtype=np.int64)
        words = [token for token, piece in enumerate(pieces) if _is_word(piece)]
        words.sort(key=lambda token: -len(pieces[token]))
        self._words = np.array(words, dtype=np.int64)
        single = [token for token, piece in enumerate(pieces) if _is_sign(piece)]
        self._signs = np.array(single, dtype=np.int64)
        self._letters = {token: pieces[token] for token in single}

    def way(
        self, form: Form, closers: Sequence[Sequence[int]], limit: int
    ) -> tuple[int, ...] | None:
        """Tokens that complete the form from this place on; None where none are found.

        Args:
            form: The place; it does not move.
            closers: Texts that end a free text in this form, as tokens.
            limit: Most tokens of the way.
        """
        here, way, used = form.copy(), list[int](), Counter[bytes]()
        while not here.is_accepting:
            if len(way) >= min(limit, LONGEST):
                return None
            step = self._step(here, closers, used)
            if step is None:
                return None
            for token in step:
                here.advance(token)
                way.append(token)
        return tuple(way) if len(way) <= limit else None

    def _step(
        self, here: Form, closers: Sequence[Sequence[int]], used: Counter[bytes]
    ) -> Sequence[int] | None:
        allowed = here.mask()
        count = int(np.count_nonzero(allowed))
        if count == 0:
            return None
        if count < _TEXT * self._count:
            return self._structural(here, allowed, closers, used)
        for closer in closers:
            if here.takes(closer) and self._closes(here, closer):
                return closer
        words = allowed[self._words]
        if count > _FREE * self._count and words.any():
            return (int(self._words[int(words.argmax())]),)  # a least length is reached soonest
        return (self._onward(allowed, used, int(allowed.argmax())),)

    def _structural(
        self,
        here: Form,
        allowed: NDArray[np.bool_],
        closers: Sequence[Sequence[int]],
        used: Counter[bytes],
    ) -> Sequence[int]:
        """Tokens between values, or inside a word that the form spells out."""
        some = np.flatnonzero(allowed)[: _FEW + 1]
        if 1 < some.size <= _FEW:
            for token in map(int, some):
                if here.takes((token, self.end)):
                    return (token,)
        first = int(self._order[int(allowed[self._order].argmax())])
        if self._ranks[first] <= _CLOSES:
            return (first,)
        for closer in closers:  # behind a number; a lone quote would open something instead
            if len(closer) > 1 and here.takes(closer):
                return closer
        if self._ranks[first] < _OTHER or some.size <= _FEW:
            return (first,)
        return (self._onward(allowed, used, first),)

    def _closes(self, here: Form, closer: Sequence[int]) -> bool:
        """Whether behind these tokens the free text is over: inside one they are only its words."""
        behind = here.copy()
        for token in closer:
            behind.advance(token)
        return behind.is_accepting or bool(np.count_nonzero(behind.mask()) < _TEXT * self._count)

    def _onward(self, allowed: NDArray[np.bool_], used: Counter[bytes], otherwise: int) -> int:
        """A token inside a pattern: signs that have not come yet, so that it gets on."""
        signs = self._signs[allowed[self._signs]]
        if not signs.size:
            return otherwise
        best = min(
            (int(token) for token in signs),
            key=lambda token: (used[self._letters[token]], self._letters[token].isalnum(), token),
        )
        used[self._letters[best]] += 1
        return best


class Homeward:
    """Keeps one reply able to end: near its limit it takes only what still can be completed.

    Args:
        form: Where the reply stands; whoever draws tokens moves it on.
        endings: Of the vocabulary.
        closers: Of the form, see `Endings.way`.
        first: The way from the beginning of the form, where one is known.
    """

    def __init__(
        self,
        form: Form,
        endings: Endings,
        closers: Sequence[Sequence[int]],
        first: tuple[int, ...] | None,
    ) -> None:
        self._form, self._endings, self._closers = form, endings, closers
        self._way = first
        self._window = max(_FIRST_WINDOW, 3 * len(first or ()) + _CLEAR)
        self.has_changed = False
        """A token was taken that was not drawn: the reply was cut short, though it is complete."""

    def taken(self, drawn: int, left: int) -> int:
        """The token to take: the one that was drawn, or one on the way to the end.

        `left` tokens may still come, this one among them.
        """
        if left > self._window:
            self._way = None
            return drawn
        if drawn in self._endings.ends:
            return drawn
        way = self._way
        if way is None:
            way = self._endings.way(self._form, self._closers, left)
        after = self._after(drawn, way, left - 1)
        if after is not None:
            # Looked at again after some tokens, and at each of them once the limit is near.
            self._way, self._window = after, max(left - _CLEAR, 2 * len(after) + _CLEAR)
            return drawn
        if way is None or len(way) > left:  # no way fits any more: the limit cuts
            self._way, self._window = None, left - 16
            return drawn
        self.has_changed = True
        self._way = way[1:]
        return way[0] if way else self._endings.end

    def _after(self, drawn: int, way: tuple[int, ...] | None, limit: int) -> tuple[int, ...] | None:
        """A way of at most `limit` tokens from behind the drawn one."""
        if way and drawn == way[0]:
            return way[1:]
        fits = way is not None and len(way) <= limit
        if way is not None and fits and self._form.takes((drawn, *way, self._endings.end)):
            return way  # most tokens change nothing about what is open
        behind = self._form.copy()
        behind.advance(drawn)
        return self._endings.way(behind, self._closers, limit)


def _rank(piece: bytes) -> tuple[int, int]:
    """Where a token comes in the order of those that get on towards an end, the lower the sooner.

    Within a rank, longer pieces come first: they save tokens.
    """
    length, text = -len(piece), piece.lstrip(b" ")
    if not piece:
        return 10 * _OTHER, 0
    if not text:
        return 2 * _OTHER, length
    if not text.strip(b"}])`"):  # a code block's end, too
        return 0, length
    if text.startswith((b"/", b"</")):
        return 1, length
    if any(word.startswith(text) for word in (b"null", b"None")):
        return 2, length
    for rank, short in enumerate((b'""', b'"', b"0", b"[]", b"{}", b"[", b"{"), 3):
        if text == short:
            return rank, length
    return (2 * _OTHER if text.isspace() else _OTHER), length


def _is_word(piece: bytes) -> bool:
    return piece.isalpha() and piece.islower() and piece.isascii()


def _is_sign(piece: bytes) -> bool:
    return len(piece) == 1 and 32 < piece[0] < 127
