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
    kept: NDArray[np.bool_],
    choices: CorpusChoices,
) -> NDArray[np.bool_]:
    """For each document, whether it is for validation; all arrays are `(documents,)`.

    A group (`groups` names its first document: near duplicates, and pieces of one text) goes to
    one side as a whole: to validation when its first document's key is in the lowest
    `valid_share` of all numbers, lowest first until `valid_bytes` are full. Adding documents to a
    corpus moves none of the others to training unless the limit in bytes is reached. Raises
    `InputError` when there are not two groups.
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
    weights = np.bincount(groups[kept], weights=sizes[kept], minlength=len(groups))
    limit = np.uint64(min(int(choices.valid_share * 2.0**64), 2**64 - 1))
    taken = (keys[order] < limit) & (np.cumsum(weights[order]) <= choices.valid_bytes)
    if not taken.any():
        taken[0] = True
    if taken.all():
        taken[-1] = False
    return np.isin(groups, order[taken]) & kept
