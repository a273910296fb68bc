"""Which examples to show, and in what order.

Similar ones (KATE; Liu et al. 2022, "What makes good in-context examples for GPT-3?"), or similar
ones that are not like each other (maximal marginal relevance; Carbonell and Goldstein 1998). The
same examples in another order can be the difference between the best known result and chance (Lu et
al. 2022, "Fantastically ordered prompts"), so the order is chosen and told, never accidental.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Choice: TypeAlias = Literal["fixed", "similar", "diverse"]
Order: TypeAlias = Literal["given", "nearest-last", "nearest-first"]


def nearest(similarity: NDArray[np.float32], count: int) -> list[int]:
    """Places of the `count` most similar, nearest first; the earlier one of equals.

    Args:
        similarity: (examples,) to the question.
        count: How many.
    """
    return sorted(range(len(similarity)), key=lambda at: (-float(similarity[at]), at))[:count]


def diverse(
    similarity: NDArray[np.float32], among: NDArray[np.float32], count: int, relevance: float
) -> list[int]:
    """Places by maximal marginal relevance, in the order of choosing.

    Each time the one is taken that has the most of relevance x similarity to the question -
    (1 - relevance) x similarity to the most similar one that was taken before.

    Args:
        similarity: (examples,) to the question.
        among: (examples, examples) to each other.
        count: How many.
        relevance: From 0 (only unlike each other) to 1 (`nearest`).
    """
    taken: list[int] = []
    rest = list(range(len(similarity)))

    def gain(at: int) -> float:
        likeness = max((float(among[at, other]) for other in taken), default=0.0)
        return relevance * float(similarity[at]) - (1 - relevance) * likeness

    while rest and len(taken) < count:
        best = max(rest, key=lambda at: (gain(at), -at))
        taken.append(best)
        rest.remove(best)
    return taken


def ordered(
    places: Sequence[int], similarity: NDArray[np.float32] | None, order: Order
) -> list[int]:
    """The chosen places in the order in which they are shown.

    `similarity` (examples,) is needed for any order but `given`, which is that of the list that
    examples were chosen from.
    """
    if order == "given" or similarity is None:
        return sorted(places)
    by_nearness = sorted(places, key=lambda at: (-float(similarity[at]), at))
    return by_nearness if order == "nearest-first" else by_nearness[::-1]


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1, so that products are cosines; rows of zeros stay. (texts, dimensions)."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows: NDArray[np.float32] = np.divide(vectors, lengths, where=lengths > 0, out=vectors.copy())
    return rows
