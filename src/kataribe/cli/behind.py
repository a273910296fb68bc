"""Which model answers in the end to a name that may be an assistant's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kataribe.base.errors import KataribeError
from kataribe.base.references import parse_reference
from kataribe.base.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from kataribe.use.assistants.book import Book
    from kataribe.use.assistants.recipe import Recipe


def model_behind(
    name: str,
    book: Book,
    is_here: Callable[[str], bool],
    default: str = DEFAULT_MODEL,
    *,
    passes: Callable[[Recipe], bool] = lambda _: True,
) -> str | None:
    """The model that answers to a name, alone or through assistants: of this machine, or a host's.

    Of a router's models it is the one that answers when no rule holds; of an assistant that names
    none, `default`. None for an assistant whose recipe cannot be read or leads nowhere (its own
    request tells why), or that does not pass. A name of nothing that is here is given back: one
    may fetch it.
    """
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        is_model = parse_reference(name).provider is not None or is_here(name)
        if is_model or name not in book.all():
            return name
        try:
            recipe = book.find(name).recipe()
        except KataribeError:
            return None
        if not passes(recipe):
            return None
        router = recipe.router
        name = (router.default if router is not None else recipe.model) or default
    return None


def local_behind(name: str, book: Book, is_here: Callable[[str], bool]) -> str | None:
    """The same where that is a model of this machine; None for one at a host.

    An assistant that names no model and is the usual one itself asks the program's own.
    """
    found = model_behind(name, book, is_here)
    return None if found is None or parse_reference(found).provider is not None else found
