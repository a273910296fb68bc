"""What every command of `kataribe prompts` begins with: the library, a name, and whose it is."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kataribe.use.prompts.library import Library, Shown


@dataclass(frozen=True, slots=True)
class Shelf:
    """The prompts of somebody."""

    library: Library
    owner: str

    def find(self, reference: str) -> Shown:
        """The prompt, or the version of one, that is named."""
        return self.library.find(self.owner, reference)


@contextlib.contextmanager
def open_shelf(user: str | None) -> Iterator[Shelf]:
    """The prompts in the workspace's database; a server may have it open, too."""
    from kataribe.cli.users.opened import open_store
    from kataribe.store import people
    from kataribe.store.tables import LOCAL
    from kataribe.use.prompts.library import Library

    with open_store() as store:
        owner = LOCAL
        if user is not None:
            with store.reading() as tx:
                owner = people.find(tx, user).id
        yield Shelf(Library(store), owner)


def told(shown: Shown) -> dict[str, Any]:
    """A prompt and a version of it, for programs."""
    version = shown.version
    return {
        "id": shown.prompt.id,
        "name": shown.prompt.name,
        "version": version.number,
        "latest": shown.prompt.latest,
        "text": version.text,
        "variables": list(version.variables),
        "note": version.note,
        "answers": version.answers,
        "created_at": version.created_at,
    }


def when(at: float) -> str:
    """A time of day for people."""
    return f"{dt.datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"
