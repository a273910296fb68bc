"""Sources to a corpus: a pipeline that holds one text at a time and spills to disk."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError
from kataribe.make.text.choices import CorpusChoices
from kataribe.make.text.corpus import TRAIN, VALID, Corpus, open_corpus
from kataribe.make.text.document import to_line
from kataribe.make.text.dropped import SAMPLES, Dropped
from kataribe.make.text.duplicates import Duplicates, find_duplicates, with_pieces
from kataribe.make.text.filters import chosen_filters
from kataribe.make.text.leaks import LeakReport, find_leaks, leak_error
from kataribe.make.text.preparing import Gone, Kept, prepare
from kataribe.make.text.raw import Raw, Reading
from kataribe.make.text.readers import read_file
from kataribe.make.text.sources import Source, open_source
from kataribe.make.text.spill import Spill
from kataribe.make.text.splitting import choose_validation
from kataribe.make.text.tally import Tally
from kataribe.make.text.workplace import publish, workplace
from kataribe.make.text.writing import Written, write_card, write_split

Stage = Literal["fetching", "reading", "comparing", "writing", "checking"]
_EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class CorpusProgress:
    """How far a corpus is."""

    stage: Stage
    """What is being done."""
    words: str = ""
    """What it waits for, or the source that is read."""
    documents: int = 0
    """Texts read."""
    kept: int = 0
    """Texts kept so far."""
    bytes: int = 0
    """Bytes read, unpacked."""
    done: int = 0
    """Bytes of files done with, as they lie on the disk."""
    total: int = 0
    """Bytes of all files, as they lie on the disk."""


Report = Callable[[CorpusProgress], None]


def make_corpus(
    choices: CorpusChoices,
    target: Path,
    progress: Report | None = None,
    *,
    replace_old: bool = False,
) -> Corpus:
    """Makes the folder `target`, which appears whole at the end or not at all.

    Memory does not grow with the text (36 bytes for each document, and the largest document).
    Raises `InputError` when nothing is left, when it cannot be split, when validation overlaps
    with training, or when `target` is there and `replace_old` is false; and what sources raise.
    """
    report = progress or _silent
    with workplace(target, replace_old=replace_old) as folder:
        Making(choices, folder, report).run(target.name)
        publish(folder, target, replace_old=replace_old)
    return open_corpus(target)


def _silent(_: CorpusProgress) -> None:
    return None


class Making:
    """One corpus while it is made, in a folder that is not yet its own."""

    def __init__(self, choices: CorpusChoices, folder: Path, report: Report) -> None:
        self._choices = choices
        self._folder = folder
        self._report = report
        self._tally = Tally()
        self._dropped: dict[str, Dropped] = {}
        self._changed: Counter[str] = Counter()
        self._read_languages: Counter[str] = Counter()
        self._told = 0.0
        self._done = self._total = 0
        self._waiting = 0
        self._begun: set[str] = set()
        self._unread = {"files": 0, "partly": 0, "bytes": 0}

    def run(self, name: str) -> None:
        """Writes the two files and the card."""
        started = time.monotonic()
        with Spill(self._folder) as spill:
            self._read(spill)
            spill.finish()
            kept, duplicates = self._without_duplicates(spill)
            if self._choices.valid:
                training, splits = kept, {"valid": self._own_validation()}
            else:
                groups = with_pieces(duplicates.near, spill.pieces)
                valid = choose_validation(
                    spill.hashes[:, 0],
                    groups,
                    spill.text_bytes,
                    spill.language_numbers,
                    kept,
                    self._choices,
                )
                training = kept & ~valid
                splits = {"valid": write_split(spill, valid, self._folder / VALID)}
            self._tell("writing", force=True)
            splits["train"] = write_split(spill, training, self._folder / TRAIN)
            leaks = self._check(splits)
            spill.remove()
        card = {
            "name": name,
            "choices": self._choices.as_card(),
            "read": self._tally.as_card(),
            "unread": self._unread,
            "languages_read": dict(self._read_languages.most_common()),
            "normalised": dict(self._changed.most_common()),
            "dropped": {key: each.as_card() for key, each in self._dropped.items()},
            "splits": {key: splits[key].as_card() for key in ("train", "valid")},
            "leak_check": leaks.as_card(),
            "seconds": round(time.monotonic() - started, 2),
        }
        write_card(self._folder, card)

    def _read(self, spill: Spill) -> None:
        """Everything that is kept goes into the spill."""
        size = 0
        for found in self._prepared(self._choices.sources, self._choices):
            if isinstance(found, Gone):
                self._drop(found.name, found.reason, found.document.id, found.document.text)
            else:
                spill.add(found.document, found.line, found.digest, found.signature, found.whole)
                self._changed.update(found.changed)
                size += len(found.document.text.encode("utf-8", "replace"))
            self._tell("reading", kept=len(spill))
            if self._choices.most_bytes is not None and size >= self._choices.most_bytes:
                self._unread = {
                    "files": self._waiting,
                    "partly": len(self._begun),
                    "bytes": self._total - self._done,
                }
                break
        self._tell("reading", kept=len(spill), force=True)
        if not len(spill):
            raise self._nothing_left()

    def _prepared(self, names: tuple[str, ...], choices: CorpusChoices) -> Iterator[Kept | Gone]:
        filters = chosen_filters(choices.filters_off)
        for raw in self._raw(names, evenly=choices.most_bytes is not None):
            found = prepare(raw, choices, filters)
            self._read_languages[found.document.language] += 1
            yield found

    def _raw(self, names: tuple[str, ...], *, evenly: bool) -> Iterator[Raw]:
        """All texts of some sources; ids are made unique where two sources share labels.

        `evenly` takes each text from the source that has given the fewest bytes, so that every
        source has its share wherever the reading stops.
        """
        cache = self._choices.cache or self._folder / "fetched"
        sources = []
        for name in names:
            self._tell("fetching", name, force=True)
            sources.append(open_source(name, cache, lambda words: self._tell("fetching", words)))
        self._total += sum(source.bytes for source in sources)
        self._waiting += sum(len(source.files) for source in sources)
        for source in sources:
            for reason, label in source.passed_over:
                self._tally.skip(reason, label)
        readers = [self._of_source(source, alone=len(sources) == 1) for source in sources]
        if not evenly:
            yield from itertools.chain.from_iterable(readers)
            return
        given = dict.fromkeys(range(len(readers)), 0)
        while given:
            least = min(given, key=given.__getitem__)
            raw = next(readers[least], None)
            if raw is None:
                del given[least]
            else:
                given[least] += len(raw.text.encode("utf-8", "replace"))
                yield raw

    def _of_source(self, source: Source, *, alone: bool) -> Iterator[Raw]:
        field = source.field or self._choices.field
        reading = Reading(source.name, self._tally, field, self._choices.piece)
        for file in source.files:
            left = file.path.stat().st_size
            label = file.label if alone else f"{source.name}:{file.label}"
            self._waiting -= 1
            self._begun.add(label)
            for raw in read_file(file.path, label, reading):
                whole = raw.id == label  # all that the file holds
                step = left if whole else min(left, len(raw.text.encode("utf-8", "replace")))
                left -= step
                self._done += step
                if whole:
                    self._begun.discard(label)
                yield raw
            self._done += left
            self._begun.discard(label)

    def _drop(self, name: str, reason: str, document: str, text: str, note: str = "") -> None:
        self._dropped.setdefault(name, Dropped(reason)).add(document, text, note)

    def _nothing_left(self) -> InputError:
        read = self._tally
        reasons = [f"{name} {each.documents}" for name, each in self._dropped.items()]
        reasons += [f"{reason} {count}" for reason, (count, _) in read.skipped.items()]
        because = f" ({', '.join(reasons)})" if reasons else ""
        return InputError(
            f"The corpus would be empty: of {read.files} files with {read.documents} texts nothing "
            f"was kept{because}. Name other sources, keep other languages, or turn filters off "
            "(--filter-off).",
            param="source",
            code="empty_corpus",
        )

    def _without_duplicates(self, spill: Spill) -> tuple[NDArray[np.bool_], Duplicates]:
        """Which documents stay, and the groups of those that are alike."""
        self._tell("comparing", force=True)
        found = find_duplicates(spill.hashes, spill.signatures, self._choices.near)
        here = np.arange(len(spill))
        if self._choices.keep_duplicates:
            return np.ones(len(spill), np.bool_), found
        exact = found.exact != here
        near = (found.near != here) & ~exact
        for name, reason, gone, first in (
            ("exact_duplicate", "the same text, white space and case aside", exact, found.exact),
            (
                "near_duplicate",
                f"estimated Jaccard similarity of 8-character windows from {self._choices.near}",
                near,
                found.near,
            ),
        ):
            if gone.any():
                self._dropped[name] = _dropped_copies(spill, gone, first, reason, found.alike)
        return ~exact & ~near, found

    def _own_validation(self) -> Written:
        """The person's own validation texts: normalised as the others, but nothing is dropped."""
        choices = replace(self._choices, filters_off=("all",), languages=(), most_bytes=None)
        path = self._folder / VALID
        with path.open("wb") as file:
            written = Written.into(file)
            for found in self._prepared(choices.valid, choices):
                if isinstance(found, Kept):
                    written.add(to_line(found.document), found.document)
            written.finish()
        if not written.documents:
            raise InputError(
                f"The validation set {', '.join(choices.valid)} holds no text.", param="valid"
            )
        return written

    def _check(self, splits: dict[str, Written]) -> LeakReport:
        """Compares the two files.

        Of validation documents that were split off here, those that stand within a longer training
        document are taken out, and the files are compared again; whatever is found then, or in a
        validation set of a person's own, is an error.
        """
        self._tell("checking", force=True)
        train, valid = self._folder / TRAIN, self._folder / VALID
        report = find_leaks(train, valid, self._choices.near)
        seen = {leak.valid_id: leak for leak in report.leaks}
        if seen and not self._choices.valid and len(seen) < report.valid_documents:
            splits["valid"], gone = splits["valid"].without(valid, set(seen))
            for document in gone:
                leak = seen[document.id]
                self._drop(
                    "valid_contained",
                    "validation text half of whose windows of 50 characters stand in training",
                    document.id,
                    document.text,
                    f"{leak.share:.0%} in {leak.train_id}",
                )
            report = find_leaks(train, valid, self._choices.near)
        if report.leaks:
            raise leak_error(report, valid)
        return report

    def _tell(self, stage: Stage, words: str = "", kept: int = 0, *, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._told >= _EVERY_SECONDS:
            self._told = now
            read = self._tally
            self._report(
                CorpusProgress(
                    stage, words, read.documents, kept, read.bytes, self._done, self._total
                )
            )


def _dropped_copies(
    spill: Spill,
    gone: NDArray[np.bool_],
    first: NDArray[np.int64],
    reason: str,
    alike: dict[int, float],
) -> Dropped:
    """The count of dropped copies, with samples spread evenly over them."""
    numbers = np.flatnonzero(gone)
    chosen = numbers[np.unique(np.linspace(0, len(numbers) - 1, SAMPLES).astype(np.int64))]
    dropped = Dropped(reason)
    for number, copy, kept in zip(
        chosen.tolist(), spill.documents(chosen), spill.documents(first[chosen]), strict=True
    ):
        share = f"{alike[number]:.0%} like " if number in alike else "the same as "
        dropped.add(copy.id, copy.text, f"in the group of {kept.id}; {share}one before it")
    dropped.documents = len(numbers)
    dropped.characters = int(spill.characters[gone].sum())
    return dropped
