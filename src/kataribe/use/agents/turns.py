"""Turns that may go on: where their journals are kept between a request and the next."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from kataribe.base.errors import BusyError
from kataribe.use.agents.journal import Journal, MemoryJournal, open_journal

KEPT_SECONDS = 7 * 24 * 3600.0
"""How long a turn in a folder waits for whoever goes on with it."""

_CALL = re.compile(r"call_([0-9a-f]{20})_[0-9]+")


class Turns(Protocol):
    """Whatever keeps the journals of turns by their ids."""

    def open(self, turn: str, *, new: bool) -> AbstractContextManager[Journal | None]:
        """The journal, for this block alone; None where there is none and no `new` one is asked.

        Raises `BusyError` (or `UnavailableError`) while somebody else has it.
        """
        ...

    def forget(self, turn: str) -> None:
        """Nobody goes on with this turn; called when its block has ended."""
        ...


def new_turn() -> str:
    """An id that nobody guesses: 20 hexadecimal digits."""
    return secrets.token_hex(10)


def call_id(turn: str, number: int) -> str:
    """The id of a turn's call; the first is number 0."""
    return f"call_{turn}_{number}"


def turn_of(call: str) -> str | None:
    """The turn that a call belongs to by its id; None for ids that are not ours."""
    found = _CALL.fullmatch(call)
    return found[1] if found else None


class MemoryTurns:
    """Keeps turns while the process lives; of more than `most`, those used longest ago go."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._journals: OrderedDict[str, MemoryJournal] = OrderedDict()
        self._taken: set[str] = set()

    @contextlib.contextmanager
    def open(self, turn: str, *, new: bool) -> Iterator[Journal | None]:
        """See `Turns.open`."""
        if turn in self._taken:
            raise BusyError(
                "This turn is being worked on for another request. Wait for that one's reply.",
                retry_after=1.0,
            )
        if turn not in self._journals and not new:
            yield None
            return
        journal = self._journals.setdefault(turn, MemoryJournal())
        self._journals.move_to_end(turn)
        self._taken.add(turn)
        try:
            yield journal
        finally:
            self._taken.discard(turn)
            for old in list(self._journals):
                if len(self._journals) <= self._most:
                    break
                if old not in self._taken:
                    del self._journals[old]

    def forget(self, turn: str) -> None:
        """See `Turns.forget`."""
        self._journals.pop(turn, None)


class FolderTurns:
    """Keeps each turn in a file of a folder, so that it goes on after a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def open(self, turn: str, *, new: bool) -> Iterator[Journal | None]:
        """See `Turns.open`."""
        path = self._folder / f"{turn}.jsonl"
        if not new and not path.exists():
            yield None
            return
        with open_journal(path) as journal:
            yield journal

    def forget(self, turn: str) -> None:
        """See `Turns.forget`."""
        (self._folder / f"{turn}.jsonl").unlink(missing_ok=True)
        (self._folder / f"{turn}.jsonl.lock").unlink(missing_ok=True)

    def forget_call(self, call: str) -> None:
        """Forgets the turn that a call belongs to; ids of others are passed over."""
        turn = turn_of(call)
        if turn is not None:
            self.forget(turn)

    def sweep_old(self) -> None:
        """Forgets turns that nobody has gone on with for `KEPT_SECONDS`."""
        self.sweep(time.time() - KEPT_SECONDS)

    def sweep(self, before: float) -> int:
        """Forgets turns whose files were last written before then (seconds since 1970)."""
        old = [f for f in self._folder.glob("*.jsonl") if f.stat().st_mtime < before]
        for file in old:
            self.forget(file.stem)
        return len(old)
