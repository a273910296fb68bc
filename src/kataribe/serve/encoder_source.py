"""What the server needs from whoever holds models of vectors and labels."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from kataribe.base.encoders import Classifier, Embedder


@runtime_checkable
class EncoderSource(Protocol):
    """A `ModelSource` that also has encoders, under the same names and memory budget.

    Both raise `NotFoundError` for an unknown name, `UnsupportedError` for a model of another
    use (before it is loaded), `BusyError` or `UnavailableError`, on entering.
    """

    def embedder(self, name: str) -> AbstractAsyncContextManager[Embedder]:
        """The model of vectors for as long as the context lasts; loads it first where needed."""
        ...

    def classifier(self, name: str) -> AbstractAsyncContextManager[Classifier]:
        """The same of labels."""
        ...
