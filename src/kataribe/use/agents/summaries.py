"""What working memory remembers from one request to the next."""

from __future__ import annotations

from collections import OrderedDict


class Summaries:
    """What was summed up, and what is known of how models count, from one request to the next.

    A conversation that goes on then need not be summed up again. `most` summaries are remembered.
    """

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._kept: OrderedDict[str, str] = OrderedDict()
        self.scales: dict[str, float] = {}
        """By model: how many tokens it counts for one that was thought to be."""
        self.contexts: dict[str, int] = {}
        """By model: the tokens that its context seems to hold, where nobody says that."""

    def find(self, digest: str) -> str | None:
        """The summary of the messages with this digest."""
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
        return found

    def keep(self, digest: str, summary: str) -> None:
        """Remembers one; the least lately found gives way."""
        self._kept[digest] = summary
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
