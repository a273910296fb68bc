"""Scores of an answer beside the one that is wanted, each from 0 to 1."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping

CHARACTER_ORDER = 6
"""Longest runs of characters that chrF compares."""
BETA = 2.0
"""chrF counts what is missing so many times as much as what is too much."""
_JAPANESE = "[぀-ヿ㐀-鿿豈-﫿々ー]"
_WORDS = re.compile(rf"{_JAPANESE}|(?:(?!{_JAPANESE})\w)+|[^\w\s]")
"""A word, a sign, or one character of Japanese, which writes no spaces."""


def _plain(text: str) -> str:
    """Composed (NFKC), in small letters, white space as single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def exact(answer: str, wanted: str) -> float:
    """1 where both say the same but for case, width and white space."""
    return float(_plain(answer) == _plain(wanted))


def token_f1(answer: str, wanted: str) -> float:
    """Harmonic mean of precision and recall of words (Rajpurkar et al. 2016), signs among them."""
    ours, theirs = (Counter(_WORDS.findall(_plain(text))) for text in (answer, wanted))
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (ours & theirs).total()
    return 2 * shared / (ours.total() + theirs.total())


def chrf(answer: str, wanted: str) -> float:
    """The F-score chrF (Popovic 2015) of runs of 1 to 6 characters, white space left out.

    Orders for which neither text is long enough are left out of the mean.
    """
    ours, theirs = ("".join(_plain(text).split()) for text in (answer, wanted))
    precisions, recalls = [], []
    for order in range(1, CHARACTER_ORDER + 1):
        mine, yours = _runs(ours, order), _runs(theirs, order)
        if not mine and not yours:
            continue
        shared = (mine & yours).total()
        precisions.append(shared / mine.total() if mine else 0.0)
        recalls.append(shared / yours.total() if yours else 0.0)
    if not precisions:
        return 1.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    if precision + recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def _runs(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))


SCORES: Mapping[str, Callable[[str, str], float]] = {
    "exact": exact,
    "token_f1": token_f1,
    "chrf": chrf,
}
"""By name: (answer, wanted) -> score."""
SHARES = frozenset({"exact"})
"""Scores that are 0 or 1 and nothing between."""
