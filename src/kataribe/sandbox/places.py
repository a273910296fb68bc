"""How many sandboxes may live at once: each holds a process and its memory, idle or not."""

from __future__ import annotations

import threading
from typing import Protocol

from kataribe.base.errors import BusyError, InputError

MOST = 16
"""Live processes of one program; an idle one takes 20 MB and what its variables take."""
_AGAIN = 5.0


class Holder(Protocol):
    """A session that has a place."""

    def give_up(self) -> bool:
        """Ends its process if that is idle, and says whether it did; never waits for a run."""
        ...


class Places:
    """Places for so many processes.

    Where all are taken, the session that has been idle longest gives its own up. Where all of them
    run code, the next one is refused.
    """

    def __init__(self, most: int = MOST) -> None:
        if most < 1:
            raise InputError(f"At most {most} sandboxes leave none; give 1 or more.", param="most")
        self.most = most
        self._lock = threading.Lock()
        self._holders: dict[Holder, None] = {}  # the one that worked last comes last

    @property
    def taken(self) -> int:
        """Places that are taken now."""
        return len(self._holders)

    def take(self, holder: Holder) -> None:
        """A place for a new process, or for another run of one that has it.

        Raises `BusyError` where every place has code that runs.
        """
        with self._lock:
            if holder in self._holders:
                self._last(holder)
                return
            while len(self._holders) >= self.most:
                gone = next((each for each in self._holders if each.give_up()), None)
                if gone is None:
                    raise BusyError(
                        f"All of {self.most} sandboxes run code just now. Ask again when one of "
                        "them is done.",
                        retry_after=_AGAIN,
                    )
                del self._holders[gone]
            self._holders[holder] = None

    def rest(self, holder: Holder) -> None:
        """Its run is over, and its process stays."""
        with self._lock:
            if holder in self._holders:
                self._last(holder)

    def leave(self, holder: Holder) -> None:
        """Its process is gone."""
        with self._lock:
            self._holders.pop(holder, None)

    def _last(self, holder: Holder) -> None:
        del self._holders[holder]
        self._holders[holder] = None


PLACES = Places()
"""Those of this program."""
