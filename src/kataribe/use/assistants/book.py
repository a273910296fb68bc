"""The recipes there are: those that come with Kataribe, and those of the workspace."""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from kataribe.base.errors import InputError, KataribeError, NotFoundError, StorageError
from kataribe.base.references import check_local_name
from kataribe.use.assistants.recipe import Recipe, read_recipe

ENDING = ".yaml"


@dataclass(frozen=True, slots=True)
class Kept:
    """A recipe and where it is from.

    Attributes:
        name: What the assistant is asked for by.
        text: The file's.
        own: It is of the workspace, and can be changed.
        path: Where it lies; None for one that comes with Kataribe.
    """

    name: str
    text: str
    own: bool
    path: Path | None = None

    def recipe(self) -> Recipe:
        """What it says; raises as `read_recipe` does."""
        return read_recipe(self.text, str(self.path or f"the recipe {self.name}"))


class Book:
    """The recipes in `folder`, in front of those that come with Kataribe.

    One of the same name hides the shipped one: to change that is to have a copy of one's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> Mapping[str, Kept]:
        """By name, in alphabetical order; nothing is read but their text."""
        found = {kept.name: kept for kept in _shipped()}
        if self._folder.is_dir():
            for path in self._folder.glob(f"*{ENDING}"):
                with contextlib.suppress(InputError, OSError, UnicodeDecodeError):
                    name = check_local_name(path.name.removesuffix(ENDING))
                    found[name] = Kept(name, path.read_text("utf-8"), own=True, path=path)
        return dict(sorted(found.items()))

    def find(self, name: str) -> Kept:
        """The recipe of that name; `NotFoundError` suggests near ones."""
        known = self.all()
        if name in known:
            return known[name]
        near = difflib.get_close_matches(name, known, n=2)
        there = ", ".join(known)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {there}."
        raise NotFoundError(f"There is no assistant {name!r:.80}. {hint}", param="model")

    def write(self, name: str, text: str) -> Kept:
        """Keeps a recipe of one's own, in the place of what had its name.

        It is read before it is written, and what does not hold is refused as it stands: nothing is
        lost. Raises `InputError` also for a circle of assistants.
        """
        check_local_name(name)
        path = self._folder / f"{name}{ENDING}"
        recipe = read_recipe(text, path.name)
        self.check_circle(name, recipe)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._folder, prefix=f".{name}.", encoding="utf-8", delete=False
            ) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error}.") from error
        return Kept(name, text, own=True, path=path)

    def remove(self, name: str) -> None:
        """Deletes one of one's own; a shipped one of that name is there again then."""
        kept = self.find(name)
        if kept.path is None:
            raise InputError(
                f"{name} comes with Kataribe and cannot be deleted. A recipe of your own by that "
                "name hides it.",
                param="name",
            )
        try:
            kept.path.unlink()
        except OSError as error:
            raise StorageError(f"{kept.path} cannot be deleted: {error}.") from error

    def check_circle(self, name: str, recipe: Recipe) -> None:
        """Raises `InputError`, naming the way round, where assistants ask each other for ever."""
        known = self.all()

        def asked_by(each: str) -> tuple[str, ...]:
            if each == name:
                return recipe.models()
            if each not in known:
                return ()
            try:
                return known[each].recipe().models()
            except KataribeError:  # told when that one is asked
                return ()

        for way in _ways(name, asked_by):
            if way[-1] == name:
                raise InputError(
                    f"{name} would ask itself: {' -> '.join(way)}. Name a model at one of these "
                    "places.",
                    param="model",
                )


def about(book: Book, name: str) -> str:
    """What an assistant is for, in English where there is any; empty where nothing is said."""
    kept = book.all().get(name)
    try:
        return "" if kept is None else kept.recipe().about.in_language("en")
    except KataribeError:  # told when it is asked
        return ""


def _ways(start: str, next_of: object) -> Iterator[tuple[str, ...]]:
    """Every way from a name to those that it leads to, until a name comes again."""
    assert callable(next_of)
    waiting: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while waiting:
        way = waiting.pop()
        for each in next_of(way[-1]):
            longer = (*way, each)
            yield longer
            if each not in seen and each not in way:
                seen.add(each)
                waiting.append(longer)


def _shipped() -> Iterator[Kept]:
    for each in files("kataribe.use.assistants").joinpath("ready").iterdir():
        if each.name.endswith(ENDING):
            yield Kept(each.name.removesuffix(ENDING), each.read_text("utf-8"), own=False)
