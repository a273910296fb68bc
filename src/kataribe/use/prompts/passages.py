"""Files and folders to passages, found by the words of a question, or by what they mean.

Today's means of searching documents: the files are read whole when they are searched first, and
what was made of them is kept until they change, as far as there is room. What knows documents
better gives a `Search` of its own in the place of this one.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import math
import os
import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kataribe.base.aside import aside
from kataribe.base.encoders import told_kind
from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.store.cutting import cut
from kataribe.use.prompts.example_choice import nearest, unit
from kataribe.use.prompts.retrieval import Passage, Search

if TYPE_CHECKING:
    from kataribe.base.encoders import Embedder

LARGEST = 64 * 1024**2
"""Bytes of all files together."""

MOST_KEPT = 512 * 1024**2
"""Bytes of memory for all that is kept of documents; what alone needs more is refused."""

MOST_FILES = 10_000
"""Files of all folders together."""

LONGEST = 1200
"""Characters of a passage; what is longer is parted where a line ends."""

_SETS = 16
"""Sets of files that are kept at most."""
_WORD, _PASSAGE, _FILE = 160, 120, 200
"""Bytes of memory that a word takes beside its letters, a passage beside its text, and a file."""
_LOOKED_AT = 4096
_CANDIDATES = 16
"""Passages with words of the question that are compared by what they mean."""
_COMPARED = 400
"""Characters that are one vector; Japanese ones are fewer tokens than encoders take at once."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to be searched, as it stood when it was listed.

    Attributes:
        path: Where it lies.
        source: What passages of it are called by.
        named: It was named itself; one of a folder is passed over where it holds no text.
        size: Bytes.
        changed: When, in ns.
    """

    path: str
    source: str
    named: bool
    size: int
    changed: int


def files_in(paths: Sequence[Path]) -> tuple[File, ...]:
    """The files that are named, and those of the folders that are, in the order of their paths.

    Of a folder, hidden files and links are left out. Raises `NotFoundError` for a path where there
    is nothing, and `InputError` for more than `MOST_FILES` files or `LARGEST` bytes.
    """
    found: dict[str, File] = {}
    size = 0
    for path in paths:
        try:
            if not path.exists():
                raise NotFoundError(
                    f"There is no file or folder {path}. Check its name.", param="documents"
                )
            for inner in _below(path) if path.is_dir() else (path,):
                each = _listed(inner, path)
                if each.path not in found:
                    size += each.size
                found.setdefault(each.path, each)
                if size > LARGEST or len(found) > MOST_FILES:
                    raise InputError(
                        f"{path} makes it more than {LARGEST:,} bytes or {MOST_FILES:,} files to "
                        "search. Give a part of it.",
                        param="documents",
                    )
        except OSError as error:
            raise _unreadable(path, error) from error
    return tuple(found.values())


def search_in(files: Sequence[File]) -> Search:
    """A search of text files, which are read when first searched; `read_now` reads them before.

    A word weighs log(1 + n / n_w), where n_w of the n passages have it (inverse document frequency;
    Spärck Jones 1972). Japanese counts by pairs of characters. Searching raises `StorageError` for
    a file that cannot be read, and `InputError` for a named one that is no text or empty, where
    nothing at all is text, and for what would take more than `MOST_KEPT` bytes of memory.
    """
    known = tuple(files)

    async def search(query: str, most: int) -> list[Passage]:
        index = await asyncio.to_thread(_kept().find, known)
        if index is None:  # large ones are made one after the other
            index = await aside(sum(each.size for each in known), _index, known)
        return await asyncio.to_thread(index.nearest, query, most)

    return search


def read_now(files: Sequence[File]) -> None:
    """Raises what searching them would."""
    _index(tuple(files))


def by_meaning(search: Search, embedder: Embedder) -> Search:
    """The same passages, those first that are nearest to the question in what they mean.

    Words find them, so a passage without any word of the question is not among them. A passage is
    as near as its nearest part. Raises what the embedder does.
    """

    async def found(query: str, most: int) -> list[Passage]:
        passages = list(await search(query, max(most, _CANDIDATES)))
        if len(passages) < 2:
            return passages
        parts = [
            (place, each.text[start : start + _COMPARED])
            for place, each in enumerate(passages)
            for start in range(0, len(each.text), _COMPARED)
        ]
        asked = await embedder.embed((query[:_COMPARED],), told_kind(embedder, "query"))
        texts = tuple(text for _, text in parts)
        made = await embedder.embed(texts, told_kind(embedder, "passage"))
        likeness = unit(made.vectors) @ unit(asked.vectors)[0]
        # Passages in the order of their nearest parts.
        order = dict.fromkeys(parts[at][0] for at in nearest(likeness, len(parts)))
        return [passages[place] for place in order][:most]

    return found


class _Index:
    """Passages, and by word the places of those that have it.

    Attributes:
        size: Bytes of memory that it takes, about.
    """

    def __init__(self, passages: Iterable[Passage]) -> None:
        """Raises `InputError` as soon as it takes more than `MOST_KEPT`."""
        self.size = 0
        self._passages: list[Passage] = []
        self._having: dict[str, array[int]] = {}
        for place, each in enumerate(passages):
            self._passages.append(each)
            self.size += sys.getsizeof(each.text) + sys.getsizeof(each.source) + _PASSAGE
            for word in set(cut(each.text).split()):
                if word not in self._having:
                    self._having[word] = array("I")
                    self.size += sys.getsizeof(word) + _WORD
                self._having[word].append(place)
                self.size += array("I").itemsize
            if self.size > MOST_KEPT:
                raise InputError(
                    f"The documents take more than {MOST_KEPT:,} bytes of memory to search: that "
                    f"much is reached at {each.source:.200}. Name fewer of them, and none that "
                    "holds data instead of sentences.",
                    param="documents",
                )

    def __len__(self) -> int:
        return len(self._passages)

    def nearest(self, query: str, most: int) -> list[Passage]:
        """The passages with words of the query, best first, the earlier one of equals."""
        scores: dict[int, float] = {}
        for word in sorted(set(cut(query).split())):  # so that sums are always the same
            places = self._having.get(word)
            if places is None:
                continue
            weight = math.log(1 + len(self._passages) / len(places))
            for place in places:
                scores[place] = scores.get(place, 0.0) + weight
        best = heapq.nsmallest(most, scores, key=lambda place: (-scores[place], place))
        return [self._passages[place] for place in best]


class _Kept:
    """What was made of the files that were searched last; the oldest give way to new ones."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[File, ...], _Index] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, files: tuple[File, ...]) -> _Index | None:
        """What was made of these files as they stand."""
        with self._lock:
            index = self._known.get(files)
            if index is not None:
                self._known.move_to_end(files)
            return index

    def add(self, files: tuple[File, ...], index: _Index) -> None:
        """Keeps it; of the same files as they stood before, nothing is kept any more."""
        with self._lock:
            paths = {each.path for each in files}
            for old in [old for old in self._known if {each.path for each in old} == paths]:
                del self._known[old]
            self._known[files] = index
            while len(self._known) > _SETS or self._size() > MOST_KEPT:
                self._known.popitem(last=False)

    def _size(self) -> int:
        return sum(each.size for each in self._known.values())


@functools.cache
def _kept() -> _Kept:
    return _Kept()


def _index(files: tuple[File, ...]) -> _Index:
    """Kept until a file changes: an assistant searches the same files again and again."""
    index = _kept().find(files)  # somebody who waited before may have made it
    if index is None:
        index = _Index(passage for file in files for passage in _passages(file))
        if not len(index):
            places = ", ".join(dict.fromkeys(each.source for each in files)) or "the folder"
            raise InputError(
                f"{places:.200}: there is no text to search. Name other documents.",
                param="documents",
            )
        index.size += sum(sys.getsizeof(each.path) + _FILE for each in files)
        _kept().add(files, index)
    return index


def _below(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            path = Path(at, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path


def _raise(error: OSError) -> None:
    raise error


def _listed(path: Path, named: Path) -> File:
    found = path.stat()
    source = path.name if path == named else path.relative_to(named).as_posix()
    return File(str(path.absolute()), source, path == named, found.st_size, found.st_mtime_ns)


def _passages(file: File) -> Iterator[Passage]:
    text = _text(file)
    lines: list[str] = []
    begin, size = 1, 0
    some = False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip() and size + len(line) <= LONGEST:
            begin = begin if lines else number
            lines.append(line)
            size += len(line)
            continue
        if lines:
            yield Passage("\n".join(lines), f"{file.source}:{begin}")
            some = True
        lines, begin = ([line], number) if line.strip() else ([], number)
        size = sum(map(len, lines))
    if lines:
        yield Passage("\n".join(lines), f"{file.source}:{begin}")
        some = True
    if file.named and not some:
        raise InputError(f"{file.path} is empty; there is nothing to search.", param="documents")


def _text(file: File) -> str:
    """A file's words; empty for one of a folder that holds none."""
    path = Path(file.path)
    try:
        with path.open("rb") as opened:
            raw = opened.read(LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(raw) > LARGEST:  # it has grown since it was listed
        raise InputError(
            f"{path} has more than {LARGEST:,} bytes by now. Give a part of it.", param="documents"
        )
    if b"\0" not in raw[:_LOOKED_AT]:
        # UTF-8 first, which other encodings are hardly ever taken for; then Japan's older ones.
        for encoding in ("utf-8-sig", "cp932", "euc_jp"):
            try:
                return raw.decode(encoding)
            except UnicodeDecodeError:
                continue
    if file.named:
        raise InputError(
            f"{path} is no text file ({len(raw):,} bytes). Convert it to text in UTF-8 first.",
            param="documents",
        )
    return ""


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path} cannot be read: {error.strerror}. Check its name and rights.")
