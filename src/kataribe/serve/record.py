"""What the server remembers of one request while it answers it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.types import Scope

RECORD = "kataribe.record"


@dataclass(slots=True)
class Record:
    """What one request was, for its line in the log. It never holds words, keys or queries.

    `status` is what was sent, or 499 for a client that left; `error` the code of an error told
    in a stream, whose status is 200.
    """

    id: str
    method: str
    path: str
    route: str = ""
    status: int | None = None
    error: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int | None = None
    started: float = field(default_factory=time.perf_counter)

    def line(self) -> str:
        """One readable line."""
        words = [self.method, self.path, str(self.status)]
        words.append(f"{(time.perf_counter() - self.started) * 1000:.0f} ms")
        if self.model is not None:
            words.append(f"model={self.model}")
        if self.prompt_tokens is not None:
            words.append(f"prompt={self.prompt_tokens} cached={self.cached_tokens}")
            words.append(f"completion={self.completion_tokens}")
        if self.error is not None:
            words.append(f"error={self.error}")
        return " ".join([*words, f"id={self.id}"])


def record_of(scope: Scope) -> Record:
    """The record of the request that `scope` belongs to."""
    record: Record = scope[RECORD]
    return record
