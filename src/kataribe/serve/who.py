"""Who asks."""

from __future__ import annotations

from starlette.types import Scope

from kataribe.store.tables import LOCAL


def owner_of(scope: Scope) -> str:
    """The id of the person who asks; `local` while there are no accounts."""
    owner: str = scope.get("kataribe.owner", LOCAL)
    return owner
