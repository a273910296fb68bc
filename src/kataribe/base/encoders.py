"""The protocols of what reads whole texts: an `Embedder` makes vectors, a `Classifier` labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EmbedInput: TypeAlias = str | tuple[int, ...]
"""A text, or the token ids of one as they are, begin and end tokens included."""
EmbedKind: TypeAlias = Literal["query", "passage"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Vectors of some texts.

    Attributes:
        vectors: float32 (texts, dimensions).
        tokens: That were read, with prompts and begin and end tokens, of all texts together.
    """

    vectors: NDArray[np.float32]
    tokens: int


@runtime_checkable
class Embedder(Protocol):
    """Whatever turns texts into vectors."""

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers in each vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Most tokens of one text, with its prompt and begin and end tokens."""
        ...

    @property
    def kinds(self) -> tuple[EmbedKind, ...]:
        """The kinds of text that it tells apart; empty where all are alike to it."""
        ...

    async def embed(self, texts: Sequence[EmbedInput], kind: EmbedKind | None = None) -> Embedding:
        """One vector for each text, in order, of length 1 unless the model says otherwise.

        `kind` None takes the model's own default. Cancelling stops the work at the next batch.
        Raises `ContextLengthError` for a text of more than `max_tokens` tokens, with both counts
        and its place; `InputError` for ids outside the vocabulary or a text of no tokens;
        `UnsupportedError` for a `kind` where all are alike to it; `BusyError` where too many
        wait.
        """
        ...


def told_kind(embedder: Embedder, kind: EmbedKind) -> EmbedKind | None:
    """`kind` as `embed` takes it: None where all texts are alike to the embedder.

    One that has a prompt for questions alone tells passages from them by their having none.
    """
    return kind if embedder.kinds else None


@dataclass(frozen=True, slots=True)
class Label:
    """A class and how likely it is (or a regression's number), and for a tagged span its place.

    Attributes:
        name: As the model calls it.
        score: A probability, or the number itself for a regression.
        start: First character of the span in the text; None for a label of the whole text.
        end: One past its last character.
    """

    name: str
    score: float
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    """Labels of some texts.

    Attributes:
        labels: For each text: every label in the model's order, or the spans that were found.
        tokens: That were read, with begin and end tokens, of all texts together.
    """

    labels: tuple[tuple[Label, ...], ...]
    tokens: int


@runtime_checkable
class Classifier(Protocol):
    """Whatever gives texts, or spans in them, labels."""

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """All that it can give, in the order of its numbers."""
        ...

    @property
    def tags(self) -> bool:
        """It labels spans, not whole texts."""
        ...

    async def classify(self, texts: Sequence[str]) -> Classification:
        """The labels of each text, in order.

        Raises as `Embedder.embed` does.
        """
        ...
