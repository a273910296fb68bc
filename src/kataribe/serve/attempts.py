"""How often somebody may try to sign in: waits grow with every try that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kataribe.base.errors import BusyError

FREE_BY_NAME = 5
"""Tries for one name, wherever they come from, before waits begin."""

FREE_BY_ADDRESS = 20
"""Tries from one address, whatever the names: several people may sit behind it."""

LONGEST = 300.0
"""Seconds of the longest wait: guessing becomes hopeless, and nobody is locked out for a day."""

FORGOTTEN = 3600.0
"""Seconds without a try after which the count begins anew."""

MOST = 10_000
"""Names and addresses that are remembered."""


@dataclass(slots=True)
class _Tries:
    count: int = 0
    at: float = 0.0
    until: float = 0.0


class Attempts:
    """Counts tries by name and by address; `clock` gives seconds that never jump."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: dict[tuple[str, str], _Tries] = {}

    def begin(self, name: str, address: str) -> None:
        """Counts a try before it is looked at, so that many at once count, too.

        Raises `BusyError` that says how long to wait; the try then does not count.
        """
        now = self._clock()
        found = [
            (self._of("name", name, now), FREE_BY_NAME),
            (self._of("address", address, now), FREE_BY_ADDRESS),
        ]
        wait = max(tries.until for tries, _ in found) - now
        if wait > 0:
            error = BusyError(
                f"There were too many tries to sign in. Wait {wait:.0f} seconds, then try again.",
                retry_after=wait,
            )
            error.code = "too_many_tries"
            raise error
        for tries, free in found:
            tries.count += 1
            tries.at = now
            if tries.count >= free:
                tries.until = now + min(LONGEST, 2.0 ** min(tries.count - free, 16))

    def succeed(self, name: str, address: str) -> None:
        """Forgets the tries for a name; of the address, only this one.

        Else who has one account could go on guessing at others for ever.
        """
        self._tries.pop(("name", name), None)
        tries = self._tries.get(("address", address))
        if tries is not None:
            tries.count -= 1
            tries.until = 0.0 if tries.count < FREE_BY_ADDRESS else tries.until

    def _of(self, kind: str, word: str, now: float) -> _Tries:
        found = self._tries.get((kind, word))
        if found is not None and now - found.at < FORGOTTEN:
            return found
        if found is None and len(self._tries) >= MOST:
            # Who waits is kept longest, else flooding with names would end every wait.
            least = min(self._tries, key=lambda one: (self._tries[one].until, self._tries[one].at))
            del self._tries[least]
        fresh = self._tries[(kind, word)] = _Tries(at=now)
        return fresh
