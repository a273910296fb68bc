"""One choice as its reader sees it: tokens become text, stop strings end it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from kataribe.base.events import TokenLogprob
from kataribe.run.inference.stopping import StopMatcher


class TextDecoder(Protocol):
    """Text out of tokens as they arrive; `kataribe.make.tokens` has it as `StreamDecoder`."""

    def push(self, token_id: int) -> str:
        """The text that this token completes."""
        ...

    def finish(self) -> str:
        """What is left at the end."""
        ...


class ReplyText:
    """Joins decoder and stop strings, and keeps log-probabilities beside the text they belong to.

    Args:
        decoder: Of a fresh text.
        stops: Stop strings.
    """

    def __init__(self, decoder: TextDecoder, stops: Sequence[str]) -> None:
        self._decoder = decoder
        self._matcher = StopMatcher(stops)
        self._decoded = 0  # characters out of the decoder
        self._released = 0  # of them, let out
        self._parts: list[str] = []
        self._waiting: deque[tuple[int, int, TokenLogprob]] = deque()

    @property
    def stop(self) -> str | None:
        """The stop string that was met."""
        return self._matcher.matched

    @property
    def text(self) -> str:
        """All text let out so far."""
        return "".join(self._parts)

    def push(
        self, token: int, logprob: TokenLogprob | None, *, may_stop: bool = True
    ) -> tuple[str, tuple[TokenLogprob, ...]]:
        """The text that is certain after this token, and the log-probabilities that go with it.

        Where no stop string may end the reply, one in the text is text; none begins before such a
        place and ends behind it.
        """
        text = self._decoder.push(token)
        start = self._decoded
        self._decoded += len(text)
        if logprob is not None:
            self._waiting.append((start, self._decoded, logprob))
        if not may_stop and self.stop is None:
            return self._release(self._matcher.finish() + text)
        return self._release(self._matcher.push(text))

    def finish(self, *, cut: bool = False) -> tuple[str, tuple[TokenLogprob, ...]]:
        """What was held back, at the end of a reply that no stop string ended (yet).

        A reply that was `cut` may end inside a character. The model would have written the rest of
        it, so it is left out of the text; its bytes stay with the log-probabilities.
        """
        rest = "" if cut else self._decoder.finish()
        self._decoded += len(rest)
        released = self._matcher.push(rest)
        if self._matcher.matched is None:
            released += self._matcher.finish()
        return self._release(released, is_last=True)

    def _release(self, text: str, *, is_last: bool = False) -> tuple[str, tuple[TokenLogprob, ...]]:
        self._released += len(text)
        if text:
            self._parts.append(text)
        logprobs: list[TokenLogprob] = []
        cut = self.stop is not None
        while self._waiting:
            start, end, logprob = self._waiting[0]
            if cut and start >= self._released:
                self._waiting.clear()  # these tokens are part of the stop string
                break
            if not cut and not is_last and end > self._released:
                break
            logprobs.append(logprob)
            self._waiting.popleft()
        return text, tuple(logprobs)
