"""The recipes there are: those that come with Kataribe, and those of the workspace."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from kataribe.base.errors import InputError, KataribeError, NotFoundError, StorageError
from kataribe.base.nearness import meant
from kataribe.base.references import check_local_name
from kataribe.use.assistants.recipe import LONGEST, Recipe, read_recipe

ENDING = ".yaml"
_SETTLED = 2.0
"""Seconds after which a change is seen by its time: what changes twice within a tick of a disk's
clock looks as if it had not."""
_Stamp: TypeAlias = tuple[int, int, int]
"""A file's size in bytes, when it was changed in ns, and its inode."""
AWAY_SECONDS = 7 * 24 * 3600.0
"""How long a deleted recipe can be brought back."""


MOST_KEPT = 1 << 22
"""Characters of recipes that are kept in memory; further ones are read whenever they are asked for.
"""


@dataclass(frozen=True)
class Kept:
    """A recipe and where it is from.

    Attributes:
        name: What the assistant is asked for by.
        text: The file's.
        own: It is of the workspace, and can be changed.
        path: Where it lies; None for one that comes with Kataribe.
        changed: When, in seconds since 1970; 0 where nobody says.
    """

    name: str
    text: str
    own: bool
    path: Path | None = None
    changed: float = field(default=0.0, compare=False)

    @property
    def tag(self) -> str:
        """Of its text: another text has another tag."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()[:24]

    def recipe(self) -> Recipe:
        """What it says; raises as `read_recipe` does."""
        return self._recipe

    @functools.cached_property
    def _recipe(self) -> Recipe:
        return read_recipe(self.text, str(self.path or f"the recipe {self.name}"))


class Book:
    """The recipes in `folder`, in front of those that come with Kataribe.

    One of the same name hides the shipped one: to change that is to have a copy of one's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changing = threading.Lock()
        self._read: Mapping[Path, tuple[_Stamp, Kept]] = {}

    def all(self) -> Mapping[str, Kept]:
        """By name, in alphabetical order; nothing is read but their text, and that once.

        What changed (by size, time or inode) is read anew. Blocks, as disks do.
        """
        found = {kept.name: kept for kept in _shipped()}
        read: dict[Path, tuple[_Stamp, Kept]] = {}
        size, before = 0, time.time() - _SETTLED
        if self._folder.is_dir():
            for path in sorted(self._folder.glob(f"*{ENDING}")):
                with contextlib.suppress(InputError, OSError, UnicodeDecodeError):
                    stamp, kept = self._as_it_stands(path)
                    found[kept.name] = kept
                    size += len(kept.text)
                    if size <= MOST_KEPT and kept.changed < before:
                        read[path] = stamp, kept
        self._read = read
        return dict(sorted(found.items()))

    def _as_it_stands(self, path: Path) -> tuple[_Stamp, Kept]:
        name = check_local_name(path.name.removesuffix(ENDING))
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            stamp = status.st_size, status.st_mtime_ns, status.st_ino
            known = self._read.get(path)
            if known is not None and known[0] == stamp:
                return known
            # Of what is longer than a recipe may be, enough to say so.
            text = file.read(LONGEST + 1)
        return stamp, Kept(name, text, own=True, path=path, changed=status.st_mtime)

    def shipped(self) -> frozenset[str]:
        """Names of those that come with Kataribe, hidden ones too."""
        return frozenset(kept.name for kept in _shipped())

    def find(self, name: str) -> Kept:
        """The recipe of that name; `NotFoundError` suggests near ones."""
        known = self.all()
        if name in known:
            return known[name]
        raise NotFoundError(
            f"There is no assistant {name!r:.80}. {meant(name, known, most=2)}", param="model"
        )

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

    def replace(self, name: str, text: str, over: str | None) -> Kept:
        """Writes over what has the tag `over`, or where there is nothing of that name (None).

        Raises what `write` does, and an `InputError` of code `changed_meanwhile` where there is
        something else by now: nobody's work is written over unseen.
        """
        with self._changing:
            self._check_tag(name, over)
            return self.write(name, text)

    def put_away(self, name: str, over: str) -> None:
        """Removes one of one's own so that `bring_back` finds it; raises as `replace` does."""
        with self._changing:
            kept = self._check_tag(name, over)
            if kept is None or kept.path is None:
                self.remove(name)  # which says why it cannot be
                return
            away = self._away(name)
            try:
                away.parent.mkdir(exist_ok=True)
                kept.path.replace(away)
                os.utime(away)
                for old in away.parent.glob(f"*{ENDING}"):
                    if time.time() - old.stat().st_mtime > AWAY_SECONDS:
                        old.unlink()
            except OSError as error:
                raise StorageError(f"{kept.path} cannot be deleted: {error}.") from error

    def bring_back(self, name: str) -> Kept:
        """Undoes `put_away`; `NotFoundError` where nothing of that name was put away lately."""
        with self._changing:
            away, path = self._away(name), self._folder / f"{name}{ENDING}"
            if path.exists():
                raise InputError(
                    f"There is another assistant {name} by now. Rename or delete that one first.",
                    param="name",
                    code="changed_meanwhile",
                )
            try:
                away.replace(path)
                return Kept(name, path.read_text("utf-8"), own=True, path=path)
            except FileNotFoundError:
                raise NotFoundError(
                    f"No deleted assistant {name!r:.80} is kept. It may be there again already.",
                    param="name",
                ) from None
            except OSError as error:
                raise StorageError(f"{path} cannot be written: {error}.") from error

    def _away(self, name: str) -> Path:
        return self._folder / ".deleted" / f"{check_local_name(name)}{ENDING}"

    def _check_tag(self, name: str, over: str | None) -> Kept | None:
        kept = self.all().get(check_local_name(name))
        if (kept.tag if kept else None) == over:
            return kept
        if kept is None:
            what = "was deleted meanwhile. Save it under its name as a new one"
        elif over is None:
            what = "is there already. Choose another name, or open that one"
        else:
            what = "was changed meanwhile, here or in another window. Open it again"
        raise InputError(
            f"The assistant {name} {what}; nothing was written.",
            param="name",
            code="changed_meanwhile",
        )

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

    def check_circle(
        self, name: str, recipe: Recipe, *, default: str = "", models: Collection[str] = ()
    ) -> None:
        """Raises `InputError`, naming the way round, where assistants ask each other for ever.

        Args:
            name: Of the recipe.
            recipe: As it is, or is to be.
            default: Who answers for recipes that name nobody; empty where that is no assistant.
            models: Names that models have, which go before assistants of these names.
        """
        known = self.all()
        usual = (default,) if default else ()

        def asked_by(each: str) -> tuple[str, ...]:
            if each == name:
                return recipe.asks(usual)
            if each not in known or each in models:
                return ()
            try:
                return known[each].recipe().asks(usual)
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


@functools.cache
def _shipped() -> tuple[Kept, ...]:
    return tuple(
        Kept(each.name.removesuffix(ENDING), each.read_text("utf-8"), own=False)
        for each in files("kataribe.use.assistants").joinpath("ready").iterdir()
        if each.name.endswith(ENDING)
    )
