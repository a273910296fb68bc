"""The distributions behind a reply: computed by its engine like a prompt, kept while looked at."""

from __future__ import annotations

import asyncio
import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import aclosing

import numpy as np

from kataribe.base.abilities import messages_of
from kataribe.base.aside import aside
from kataribe.base.errors import InputError, UnavailableError
from kataribe.base.inside import Alternative, Laid, Piece, Said, Share, TokenInside, Weighing
from kataribe.base.lm import Request, Sampling
from kataribe.base.messages import text_of
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.run.inference.conversation import chat_ids
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.requests import GenerationRequest, PromptRows
from kataribe.run.inference.retracing import lay_out, piece_of
from kataribe.run.inference.sampler import Row, largest, log_normalizer, probabilities

ALTERNATIVES = 10
"""Likeliest tokens that are shown of a place."""

AT_A_TIME = 32 * 2**20
"""Bytes of logits that one request to the engine brings; the next one waits in its turn again."""

KEPT = 64 * 2**20
"""Bytes of distributions that are kept of the reply that is being looked at."""

KEPT_SECONDS = 300.0
"""For how long, after somebody last looked."""

NEIGHBOURS = 8
"""Places that are computed together when one is asked for whose distribution is not kept."""


class Inspection:
    """Looks inside the replies of one model; part of its `LocalLM`.

    What it asks of the engine are prompts to be read: they wait in its queue, are read in chunks
    beside running replies, and end at once when whoever asked is cancelled.

    Args:
        engine: Of the model.
        tokenizer: Of the model.
        encode: The prompt's ids, and whether it ends inside a thought that it opened; the same
            function that answers use.
        fill: Sampling with the model's own defaults.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        encode: Callable[[Request], tuple[tuple[int, ...], bool]],
        fill: Callable[[Sampling], Sampling],
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._encode = encode
        self._fill = fill
        self.kept = KeptRows(KEPT, KEPT_SECONDS)

    async def lay_out(self, request: Request, said: Said) -> Laid:
        """See `Inspector.lay_out`."""
        texts = [said.message, *messages_of(request)]
        size = sum(len(text_of(message)) for message in texts)
        return await aside(size, self._lay_out, request, said)

    async def look(self, laid: Laid, start: int, count: int) -> tuple[TokenInside, ...]:
        """See `Inspector.look`."""
        end = min(start + count, laid.places)
        shown: list[TokenInside] = []
        while start < end:
            rows = await self._rows(laid, start, end)
            self.kept.add(_name(laid), start, rows, only_where_room=True)
            shown += await asyncio.to_thread(self._describe, laid, start, rows)
            start += len(rows)
        return tuple(shown)

    async def weigh(self, laid: Laid, position: int, sampling: Sampling, most: int) -> Weighing:
        """See `Inspector.weigh`."""
        if not 0 <= position < laid.places:
            raise InputError(
                f"position is {position}, but the reply has {laid.places} places, counted from 0.",
                param="position",
            )
        name = _name(laid)
        row = self.kept.get(name, position)
        if row is None:
            end = min(position + NEIGHBOURS, laid.places)
            rows = await self._rows(laid, position, end)
            self.kept.add(name, position, rows)
            row = rows[0]
        return await asyncio.to_thread(self._weighing, laid, position, row, sampling, most)

    async def drawn(self, sampling: Sampling) -> Sampling:
        """See `Inspector.drawn`."""
        return self._fill(sampling)

    def _lay_out(self, request: Request, said: Said) -> Laid:
        prompt, opened = self._encode(request)

        def with_calls() -> list[int]:
            whole = (*messages_of(request), said.message)
            return chat_ids(
                self._tokenizer, whole, tools=request.tools, add_generation_prompt=False
            )

        return lay_out(self._tokenizer, prompt, said, opened=opened, with_calls=with_calls)

    async def _rows(self, laid: Laid, start: int, end: int) -> list[Row]:
        """The logits that predict the places from `start` on, at most `AT_A_TIME` bytes of them."""
        first = laid.prompt + start
        if first < 1:
            raise InputError("There is nothing before this token that could predict it.")
        end = min(end, start + self._most_rows())
        ids = laid.ids[: laid.prompt + end - 1]
        request = GenerationRequest(ids, score_only=True, rows=True, score_from=first)
        found: list[Row] = []
        async with aclosing(self._engine.submit(request)) as events:
            async for event in events:
                if isinstance(event, PromptRows):
                    found += event.rows[max(0, first - 1 - event.start) :]
        if len(found) != end - start:  # the engine was shut down meanwhile
            raise UnavailableError(
                "The model was unloaded while the reply was read. Look again to load it anew.",
                retry_after=5,
            )
        return found

    def _most_rows(self) -> int:
        return max(1, AT_A_TIME // (4 * self._tokenizer.vocab_size))

    def _describe(self, laid: Laid, start: int, rows: Sequence[Row]) -> list[TokenInside]:
        return [self._token(laid, start + at, row) for at, row in enumerate(rows)]

    def _token(self, laid: Laid, place: int, row: Row) -> TokenInside:
        token = self._token_at(laid, place, row)
        drawn = place < len(laid.starts)
        normalizer = log_normalizer(row)
        own = float(row[token])
        likelier = int(np.count_nonzero(row > row[token]))
        equal = int(np.count_nonzero(row[:token] == row[token]))  # of equals the lower id is first
        top = tuple(
            Alternative(self._piece(int(other)), float(row[other]) - normalizer)
            for other in largest(row, ALTERNATIVES)
            if math.isfinite(row[other])
        )
        return TokenInside(
            piece=self._piece(token),
            start=laid.starts[place] if drawn else len(laid.text),
            whole=laid.whole[place] if drawn else True,
            logprob=own - normalizer,
            rank=likelier + equal + 1,
            entropy=entropy(row, normalizer),
            top=top,
        )

    def _token_at(self, laid: Laid, place: int, row: Row) -> int:
        if laid.prompt + place < len(laid.ids):
            return laid.ids[laid.prompt + place]
        # Which of several end tokens it was is not kept; the likeliest stands for them.
        ends = [end for end in sorted(self._tokenizer.eos_ids) if end < row.size]
        return max(ends, key=lambda end: float(row[end]))

    def _weighing(
        self, laid: Laid, position: int, row: Row, sampling: Sampling, most: int
    ) -> Weighing:
        before = probabilities(row, Sampling())
        after = probabilities(row, sampling)
        shown = [int(token) for token in largest(row, most)]
        own = self._token_at(laid, position, row)
        if own not in shown:
            shown.append(own)
        shares = tuple(
            Share(self._piece(token), float(before[token]), float(after[token])) for token in shown
        )
        return Weighing(shares, int(np.count_nonzero(after)), row.size)

    def _piece(self, token: int) -> Piece:
        return piece_of(self._tokenizer, token)


class KeptRows:
    """Logits of the reply that is being looked at, within a bound; safe to use from threads.

    Args:
        most: Bytes.
        seconds: After so long without use, everything is let go.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._reply = ""
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """Bytes that are kept now."""
        with self._lock:
            return sum(row.nbytes for row in self._rows.values())

    def get(self, reply: str, place: int) -> Row | None:
        """The logits at a place of a reply, where they are kept."""
        self._put_off()
        with self._lock:
            if reply != self._reply or place not in self._rows:
                return None
            self._rows.move_to_end(place)
            return self._rows[place]

    def add(
        self, reply: str, start: int, rows: Sequence[Row], *, only_where_room: bool = False
    ) -> None:
        """Keeps logits; those of another reply go, and where there is no room the oldest ones.

        `only_where_room`: or these are not kept.
        """
        with self._lock:
            if reply != self._reply:
                self._reply = reply
                self._rows.clear()
            for place, row in enumerate(rows, start=start):
                self._rows.pop(place, None)
                room = max(1, self._most // max(1, row.nbytes))
                if len(self._rows) >= room and only_where_room:
                    break
                while len(self._rows) >= room:
                    self._rows.popitem(last=False)
                self._rows[place] = row.copy()  # the row itself holds its whole step in memory
        self._put_off()

    def clear(self) -> None:
        """Lets everything go."""
        with self._lock:
            self._rows.clear()

    def _put_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self.clear)


def entropy(row: Row, normalizer: float) -> float:
    """Of the distribution of logits `(vocab,)`, in bits (Shannon 1948)."""
    chances = np.exp(row - np.float32(normalizer))
    with np.errstate(invalid="ignore"):
        surprise = np.where(chances > 0, chances * (np.float32(normalizer) - row), 0)
    return max(0.0, float(surprise.sum(dtype=np.float64)) / math.log(2))


def _name(laid: Laid) -> str:
    return hashlib.sha256(np.array([laid.prompt, *laid.ids], dtype=np.int64).tobytes()).hexdigest()
