"""How much a step may take on, learnt from how long steps took; and how soon a place is free."""

from __future__ import annotations

from kataribe.run.inference.requests import EngineLimits

_AIM = 0.85  # of the wished step time: what a step is planned for, so that noise stays below it
_SHARE = 0.25  # on top of what replies take: reading goes on where they alone are too slow
_GROWTH = 1.25  # most that the correction grows by in one step
_CUT = 0.4  # most that it shrinks to in one step


class Pace:
    """Chooses how many prompt tokens a step reads beside running replies.

    A step of P prompt tokens beside replies takes about d + c P seconds. Steps without prompts
    teach d, steps without replies teach c, and mixed steps correct what these predict. So the
    gap between two tokens of a reply stays near `limits.step_seconds` while a long prompt is
    read, on a fast machine as on a slow one.
    """

    def __init__(self, limits: EngineLimits) -> None:
        self._limits = limits
        self._reply_seconds = 0.0
        self._token_seconds: float | None = None
        self._correction = 1.0
        self._finish_interval: float | None = None
        self._last_finish: float | None = None

    def budget(self, replies: int) -> int:
        """Prompt tokens for a step that also draws a token for so many replies."""
        least, most = self._bounds()
        if replies == 0:
            return most
        if self._token_seconds is None:
            return max(least, most // 8)  # nothing measured yet
        return int(min(most, max(least, self._correction * self._predicted_room())))

    def observe(self, replies: int, read: int, seconds: float) -> None:
        """Learns from a step that drew for `replies` sequences and read `read` prompt tokens."""
        if read == 0:
            self._reply_seconds += 0.5 * (seconds - self._reply_seconds)
        elif replies == 0:
            self._learn_token_seconds(seconds / read)
        else:
            self._correct(read, seconds)

    def _learn_token_seconds(self, measured: float) -> None:
        measured = max(measured, 1e-9)
        known = self._token_seconds
        self._token_seconds = measured if known is None else known + 0.3 * (measured - known)

    def _correct(self, read: int, seconds: float) -> None:
        if self._token_seconds is None:
            self._learn_token_seconds(max(seconds - self._reply_seconds, seconds / 4) / read)
            return
        aim = self._aim()
        predicted = self._reply_seconds + read * self._token_seconds
        if seconds > aim:
            self._correction *= max(_CUT, aim / seconds)
        elif seconds < predicted or self._correction < 1.0:
            self._correction *= min(_GROWTH, aim / seconds)
        # It never goes beyond what changes the budget, or it would take long to come back.
        least, most = self._bounds()
        room = self._predicted_room()
        self._correction = min(most / room, max(least / room, self._correction))

    def _bounds(self) -> tuple[int, int]:
        most = self._limits.chunk
        return min(self._limits.smallest_chunk, most), most

    def _aim(self) -> float:
        """Seconds that a step should take."""
        return max(self._limits.step_seconds * _AIM, (1 + _SHARE) * self._reply_seconds)

    def _predicted_room(self) -> float:
        """Prompt tokens that fit beside the replies, as far as the two kinds of steps tell."""
        spare = self._aim() - self._reply_seconds
        return max(spare / (self._token_seconds or 1.0), 1e-3)

    def finished(self, now: float) -> None:
        """Learns that a request ended at `now` (seconds)."""
        if self._last_finish is not None:
            interval = max(now - self._last_finish, 1e-4)
            known = self._finish_interval
            self._finish_interval = interval if known is None else known + 0.1 * (interval - known)
        self._last_finish = now

    def retry_after(self, waiting: int) -> float:
        """Seconds until a refused request should find a place: a quarter of the queue later.

        Not the very next place, because everybody who was refused comes back for it.
        """
        interval = 1.0 if self._finish_interval is None else self._finish_interval
        return min(300.0, max(1.0, interval * max(1.0, waiting / 4)))
