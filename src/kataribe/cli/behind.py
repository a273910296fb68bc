"""Which model of this machine answers in the end to a name that may be an assistant's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kataribe.base.errors import KataribeError
from kataribe.base.references import parse_reference
from kataribe.base.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from kataribe.use.assistants.book import Book


def local_behind(name: str, book: Book, is_here: Callable[[str], bool]) -> str | None:
    """The model of this machine that answers to a name, alone or through assistants.

    Of a router's models it is the one that answers when no rule holds. None for a model at a host,
    and for an assistant whose recipe cannot be read or leads nowhere: its own request tells why.
    A name of nothing that is here is given back, since it may be one that can be fetched.
    """
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        if parse_reference(name).provider is not None:
            return None
        if is_here(name) or name not in book.all():
            return name
        try:
            recipe = book.find(name).recipe()
        except KataribeError:
            return None
        router = recipe.router
        # An assistant that names no model and is the usual one itself asks the program's own.
        name = (router.default if router is not None else recipe.model) or DEFAULT_MODEL
    return None
