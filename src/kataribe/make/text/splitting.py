"""Which documents are for validation: told by the hash of their text, so that it never changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError
from kataribe.make.text.choices import CorpusChoices
from kataribe.make.text.duplicates import Indices


def choose_validation(
    keys: NDArray[np.uint64],
    groups: Indices,
    sizes: NDArray[np.int64],
    languages: NDArray[np.int64],
    kept: NDArray[np.bool_],
    choices: CorpusChoices,
) -> NDArray[np.bool_]:
    """For each document, whether it is for validation; all arrays are `(documents,)`.

    A group (`groups` names its first document: near duplicates, and pieces of one text) goes to
    one side as a whole: to validation when its first document's key is in the lowest
    `valid_share` of all numbers, lowest first. Each language (a number; a group has that of its
    first document) is split on its own: it gets its share of `valid_bytes`, by its bytes in the
    corpus, and at least one text where its share of texts is one or more; one stays for training.
    Adding documents to a corpus moves none of the others to training unless a language had too few
    before, or the limit in bytes is reached. Raises `InputError` when there are not two groups.
    """
    firsts = np.unique(groups[kept])
    if len(firsts) < 2:
        count = int(np.count_nonzero(kept))
        alike = f"{count} documents that are nearly the same, or pieces of one text"
        words = "one document" if count == 1 else alike
        raise InputError(
            f"The corpus has only {words}, so nothing can be split off for validation. Give a "
            "validation file of your own (--valid FILE), or more documents.",
            param="valid",
            code="one_document",
        )
    order = firsts[np.argsort(keys[firsts], kind="stable")]
    weights = np.bincount(groups[kept], weights=sizes[kept], minlength=len(groups))[order]
    limit = np.uint64(min(int(choices.valid_share * 2.0**64), 2**64 - 1))
    taken = np.zeros(len(order), np.bool_)
    for language in np.unique(languages[order]):
        here = np.flatnonzero(languages[order] == language)
        room = choices.valid_bytes * weights[here].sum() / max(weights.sum(), 1)
        chosen = (keys[order[here]] < limit) & (np.cumsum(weights[here]) <= room)
        if not chosen.any() and len(here) * choices.valid_share >= 1:
            chosen[np.flatnonzero(weights[here] <= room)[:1]] = True
        if chosen.all():
            chosen[-1] = False
        taken[here] = chosen
    if not taken.any():
        taken[0] = True
    return np.isin(groups, order[taken]) & kept
