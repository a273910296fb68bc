"""Whether validation text stands in the training text, by really comparing the two files.

A score on text that was trained on says nothing. Three tests, each of which can fail:
the same text (white space and case aside), near duplicates (estimated Jaccard similarity from a
threshold), and windows of 50 characters sampled from each validation document: one of whose
windows half are found stands largely within training text, however long that is. Single windows are
found in honest corpora, too (licences, quotations), so their share is reported, not refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError
from kataribe.make.text.corpus import read_documents
from kataribe.make.text.document import Document
from kataribe.make.text.normalise import comparable
from kataribe.make.text.shingles import Numbers, codes_of, windows
from kataribe.make.text.signatures import (
    band_keys,
    in_bands,
    likeness,
    rows_per_band,
    signature,
)
from kataribe.make.text.spill import digest_of

Read = Callable[[Path], Iterator[Document]]

WINDOW = 50
"""Characters of a sampled window."""
CONTAINED = 0.5
"""Share of a document's sampled windows from which it stands within the training text."""
_WINDOWS_EACH = 40
_MOST_WINDOWS = 2_000_000
_FEWEST_WINDOWS = 4
_SIEVE_BITS = 24
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Leak:
    """A validation document that training has seen."""

    valid_id: str
    """The validation document."""
    train_id: str
    """A training document that holds it."""
    kind: str
    """`exact`, `near` or `contained`."""
    share: float
    """1, the estimated similarity, or the share of sampled windows."""


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What the comparison found."""

    leaks: tuple[Leak, ...]
    """One for each validation document that leaks, the plainest first."""
    train_documents: int
    """Documents compared."""
    valid_documents: int
    """Documents compared with them."""
    windows: int
    """Windows of 50 characters sampled from the validation documents."""
    windows_found: int
    """Those of them that occur in the training text."""
    near: float
    """The threshold of similarity."""

    def as_card(self) -> dict[str, Any]:
        """As the card keeps it."""
        return {
            "compared": {"train": self.train_documents, "valid": self.valid_documents},
            "near": self.near,
            "exact_found": sum(leak.kind == "exact" for leak in self.leaks),
            "near_found": sum(leak.kind == "near" for leak in self.leaks),
            "contained_found": sum(leak.kind == "contained" for leak in self.leaks),
            "windows_of_50": self.windows,
            "windows_found_in_train": self.windows_found,
        }


def check_no_leak(train: Path, valid: Path, near: float = 0.8) -> LeakReport:
    """Compares two files of documents; `InputError` names the documents that are in both."""
    report = find_leaks(train, valid, near)
    if report.leaks:
        raise leak_error(report, valid)
    return report


def leak_error(report: LeakReport, valid: Path) -> InputError:
    """The error for documents of validation that training holds."""
    named = "; ".join(
        f"{leak.valid_id} is {_words(leak)} {leak.train_id}" for leak in report.leaks[:_NAMED]
    )
    more = len(report.leaks) - _NAMED
    tail = f"; and {more} more" if more > 0 else ""
    return InputError(
        f"{len(report.leaks)} of {report.valid_documents} validation documents ({valid.name}) "
        f"overlap with the training text: {named}{tail}. A score on them would say nothing: take "
        "them out of one of the two.",
        param="valid",
        code="validation_overlaps",
    )


def _words(leak: Leak) -> str:
    if leak.kind == "exact":
        return "the same as"
    return f"{leak.share:.0%} {'like' if leak.kind == 'near' else 'contained in'}"


def find_leaks(
    train: Path, valid: Path, near: float = 0.8, read: Read = read_documents
) -> LeakReport:
    """Compares every training document with all validation documents, streaming the former.

    `read` gives a file's documents; those of a corpus unless another is given.
    Memory: about 1.5 kB for each validation document; training documents come and go.
    """
    held = _Held.of(valid, near, read)
    documents = 0
    for document in read(train):
        documents += 1
        held.meet(document.id, comparable(document.text))
    return held.report(documents, near)


@dataclass
class _Held:
    """The validation documents, in a form in which training documents are looked up quickly."""

    near: float
    ids: list[str] = field(default_factory=list)
    texts: dict[bytes, list[int]] = field(default_factory=dict)
    signatures: NDArray[np.uint32] = field(default_factory=lambda: np.empty((0, 0), np.uint32))
    bands: list[dict[int, list[int]]] = field(default_factory=list)
    samples: Numbers = field(default_factory=lambda: np.empty(0, np.uint64))
    owners: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    found: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    holders: dict[int, str] = field(default_factory=dict)
    leaks: dict[int, Leak] = field(default_factory=dict)

    @classmethod
    def of(cls, valid: Path, near: float, read: Read) -> _Held:
        held = cls(near)
        documents = sum(1 for _ in read(valid))
        each = max(_FEWEST_WINDOWS, min(_WINDOWS_EACH, _MOST_WINDOWS // max(1, documents)))
        signatures, samples, owners = [], [], []
        for number, document in enumerate(read(valid)):
            text = comparable(document.text)
            held.ids.append(document.id)
            held.texts.setdefault(digest_of(text), []).append(number)
            codes = codes_of(text or " ")
            signatures.append(signature(codes))
            chosen = windows(codes, WINDOW)
            if len(chosen):
                places = np.unique(np.linspace(0, len(chosen) - 1, each).astype(np.int64))
                samples.append(chosen[places])
                owners.append(np.full(len(places), number))
        if signatures:
            held._index(np.stack(signatures))
        if samples:
            together, owned = np.concatenate(samples), np.concatenate(owners)
            order = np.argsort(together, kind="stable")
            held.samples, held.owners = together[order], owned[order].astype(np.int64)
            held.found = np.zeros(len(order), np.bool_)
        held._sieve = np.zeros(1 << _SIEVE_BITS, np.bool_)
        held._sieve[(held.samples >> np.uint64(64 - _SIEVE_BITS)).astype(np.int64)] = True
        return held

    def __post_init__(self) -> None:
        self._rows = rows_per_band(self.near)
        self._sieve: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def _index(self, signatures: NDArray[np.uint32]) -> None:
        self.signatures = signatures
        keys = band_keys(in_bands(signatures, self._rows))
        self.bands = [{} for _ in range(keys.shape[1])]
        for number, row in enumerate(keys.tolist()):
            for band, key in zip(self.bands, row, strict=True):
                band.setdefault(key, []).append(number)

    def meet(self, train_id: str, text: str) -> None:
        """Compares one training document, in its comparable form."""
        for number in self.texts.get(digest_of(text), ()):
            self._leak(Leak(self.ids[number], train_id, "exact", 1.0), number)
        if not text or not self.ids:
            return
        codes = codes_of(text)
        mine = signature(codes)
        keys = band_keys(in_bands(mine, self._rows)).tolist()
        near = {
            number
            for band, key in zip(self.bands, keys, strict=True)
            for number in band.get(key, ())
        }
        for number in near:
            share = float(likeness(self.signatures[number], mine))
            if share >= self.near:
                self._leak(Leak(self.ids[number], train_id, "near", share), number)
        self._find_windows(train_id, windows(codes, WINDOW))

    def _find_windows(self, train_id: str, hashes: Numbers) -> None:
        likely = hashes[self._sieve[(hashes >> np.uint64(64 - _SIEVE_BITS)).astype(np.int64)]]
        if not len(likely) or not len(self.samples):
            return
        for places in _places(self.samples, np.unique(likely)):
            self.found[places] = True
            for owner in np.unique(self.owners[places]).tolist():
                self.holders.setdefault(owner, train_id)

    def _leak(self, leak: Leak, number: int) -> None:
        known = self.leaks.get(number)
        if known is None or (known.kind != "exact" and leak.share > known.share):
            self.leaks[number] = leak

    def report(self, train_documents: int, near: float) -> LeakReport:
        """What was found, after all training documents have been met."""
        sampled = np.bincount(self.owners, minlength=len(self.ids))
        found = np.bincount(self.owners[self.found], minlength=len(self.ids))
        for number, holder in self.holders.items():
            share = found[number] / sampled[number]
            enough = sampled[number] >= _FEWEST_WINDOWS and share >= CONTAINED
            if enough and number not in self.leaks:
                self.leaks[number] = Leak(self.ids[number], holder, "contained", float(share))
        order = {"exact": 0, "near": 1, "contained": 2}
        return LeakReport(
            leaks=tuple(sorted(self.leaks.values(), key=lambda leak: order[leak.kind])),
            train_documents=train_documents,
            valid_documents=len(self.ids),
            windows=len(self.samples),
            windows_found=int(np.count_nonzero(self.found)),
            near=near,
        )


def _places(samples: Numbers, wanted: Numbers) -> Iterator[NDArray[np.int64]]:
    """Where the wanted numbers stand in the sorted samples, all equal ones of each."""
    left = np.searchsorted(samples, wanted, "left")
    right = np.searchsorted(samples, wanted, "right")
    there = right > left
    for start, end in zip(left[there].tolist(), right[there].tolist(), strict=True):
        yield np.arange(start, end)
