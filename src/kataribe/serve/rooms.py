"""What the studio's own calls work with, beside the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kataribe.store.database import Store
    from kataribe.use.chats.chats import Chats


@dataclass(frozen=True, slots=True)
class Rooms:
    """The database and what stands on it.

    Attributes:
        store: The database.
        chats: The conversations and their running replies.
    """

    store: Store
    chats: Chats
