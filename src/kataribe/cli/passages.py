"""Files to passages, found by the words of a question: what `--documents` searches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kataribe.base.errors import InputError, StorageError
from kataribe.cli.given import decode
from kataribe.store.cutting import cut

if TYPE_CHECKING:
    from kataribe.use.prompts.retrieval import Passage, Search

LARGEST = 64 * 1024**2
"""Bytes of one file."""

LONGEST = 1200
"""Characters of a passage; what is longer is parted where a line ends."""

FOUND = 8
"""Passages that a search gives."""


def search_in(files: Sequence[Path]) -> Search:
    """A search of text files, which are read now.

    A word weighs log(1 + n / n_w), where n_w of the n passages have it (inverse document frequency;
    Spärck Jones 1972). Japanese counts by pairs of characters. Raises `StorageError` for a file
    that cannot be read, and `InputError` for one that is no text or empty.
    """
    known = [each for path in files for each in _passages(path)]
    words = [set(cut(each.text).split()) for each in known]
    having = Counter(word for each in words for word in each)

    async def search(query: str) -> list[Passage]:
        wanted = set(cut(query).split())
        scores = [
            sum(math.log(1 + len(known) / having[word]) for word in wanted & each) for each in words
        ]
        best = sorted(range(len(known)), key=lambda at: (-scores[at], at))
        return [known[at] for at in best[:FOUND] if scores[at] > 0]

    return search


def _passages(path: Path) -> list[Passage]:
    from kataribe.use.prompts.retrieval import Passage

    try:
        if path.stat().st_size > LARGEST:
            raise InputError(
                f"{path} has more than {LARGEST:,} bytes. Give a part of it.", param="documents"
            )
        text = decode(path.read_bytes(), str(path))
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}. Check its name.") from error
    found: list[Passage] = []
    lines: list[str] = []
    begin = 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip() and sum(map(len, lines)) + len(line) <= LONGEST:
            begin = begin if lines else number
            lines.append(line)
            continue
        if lines:
            found.append(Passage("\n".join(lines), f"{path.name}:{begin}"))
        lines, begin = ([line], number) if line.strip() else ([], number)
    if lines:
        found.append(Passage("\n".join(lines), f"{path.name}:{begin}"))
    if not found:
        raise InputError(f"{path} is empty; there is nothing to search.", param="documents")
    return found
