"""What the server needs from whoever knows the models that can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kataribe.serve.shapes.catalog import CatalogModel, FitShown


@dataclass(frozen=True, slots=True)
class Pulling:
    """What a download is to bring.

    Attributes:
        model: As it was asked for: a name of the catalogue, or a source.
        accept_terms: The person accepts its terms.
        as_name: Name that was asked for here, if any.
        name: Name that it gets here.
    """

    model: str
    accept_terms: bool
    as_name: str | None
    name: str


class CatalogSource(Protocol):
    """Knows the models that are here or can be had. All calls may block.

    What it gives has no `job`: that is the person's, and added for them.
    """

    def models(self) -> Sequence[CatalogModel]:
        """All of them, what is here first."""
        ...

    def model(self, name: str) -> CatalogModel:
        """One of them, whatever the case of the name; raises `NotFoundError` with near names."""
        ...

    def fit(self, name: str) -> FitShown:
        """What to expect of it here."""
        ...

    def frees(self, name: str) -> int:
        """Bytes that removing it frees; 0 for one that is not here or only links."""
        ...

    def pulling(self, model: str, *, accept_terms: bool, as_name: str | None) -> Pulling:
        """What a download would bring; raises `NotFoundError` and `InputError`."""
        ...

    def remove(self, name: str) -> int:
        """Removes an installed model, and tells the bytes freed.

        One that is idle in memory is unloaded first. Raises `NotFoundError`, `StorageError`, and
        `BusyError` while it answers or loads.
        """
        ...
