"""The meter around a model of vectors."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kataribe.base.encoders import Embedder, Embedding, EmbedInput, EmbedKind
from kataribe.prove.ops.accounts import Account, current
from kataribe.prove.ops.ledger import Ledger, Span
from kataribe.prove.ops.meter import code_of, reason_of
from kataribe.prove.ops.spent import PROMPT, STEPS, spent_of


class MeteredEmbedder:
    """Adds a span for each call. It costs no money: models of vectors run here."""

    def __init__(self, embedder: Embedder, ledger: Ledger) -> None:
        self._embedder = embedder
        self._ledger = ledger

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        """Numbers in each vector."""
        return self._embedder.dimensions

    @property
    def max_tokens(self) -> int:
        """Most tokens of one text."""
        return self._embedder.max_tokens

    @property
    def kinds(self) -> tuple[EmbedKind, ...]:
        """The kinds of text that it tells apart."""
        return self._embedder.kinds

    async def embed(self, texts: Sequence[EmbedInput], kind: EmbedKind | None = None) -> Embedding:
        """See `Embedder.embed`."""
        began, start = time.time(), time.perf_counter()
        account = Account(current.get())
        account.report(STEPS, 1)
        error: BaseException | None = None
        try:
            made = await self._embedder.embed(texts, kind)
            account.report(PROMPT, made.tokens)
            return made
        except BaseException as raised:
            error = raised
            raise
        finally:
            own = spent_of(account.close())
            self._ledger.add(
                Span(
                    id=account.span or "",
                    parent=account.parent_span,
                    trace=account.trace,
                    name=self.name,
                    kind="lm",
                    user=None,
                    conversation=None,
                    began=began,
                    queue=0.0,
                    first=None,
                    whole=time.perf_counter() - start,
                    own=own,
                    total=spent_of(account.total),
                    reason=reason_of("stop", error),
                    error=code_of(error),
                )
            )
