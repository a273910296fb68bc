"""What the server needs from whoever adds up what answers used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kataribe.prove.ops.trace_store import By, Cost


class CostSource(Protocol):
    """Whoever adds up what was used."""

    def costs(self, by: Sequence[By], since: float, user: str | None) -> Sequence[Cost]:
        """See `TraceStore.costs`; it may block."""
        ...
