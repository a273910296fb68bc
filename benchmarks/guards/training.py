"""Makes the weights of the guard `injection`: logistic regression, in NumPy, on one core.

An attack has many windows, and only some show it. So the first round learns from all that overlap
what is no carrier, or from what was decoded; the second from the worst half of these only, and from
the worst windows of ordinary texts (as multiple-instance learning does; Andrews et al. 2003).
Gradients of all windows at once, with Adam (Kingma and Ba 2015): no order and no drawing, so the
same texts give the same weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.guards.making import Sample
from kataribe.use.guards.scoring import (
    BUCKETS,
    FEATURES,
    Read,
    Weights,
    Window,
    extras,
    logit,
    made_for,
    read,
)

STEPS = (60, 40)
"""Of the rounds; each goes on from the one before."""
SOME, WORST = 4, 2
"""Windows of an ordinary text that are learned from: spread over it, and its worst."""
TAIL = 0.6
"""Share of an ordinary text's weight that its worst windows have."""
RATE = 0.05
DECAY = 0.0
HARD = 0.2
"""Weight of requests that sound like attacks; with them all ordinary texts together have 0.5."""
EMPHASIS = 3.0
"""How much larger than 1 a rule that applies is while the weights are made: what is known to be
general learns faster than grams, which would explain the samples by heart."""
PAIRED = 4.0
"""The same for classes of words and pairs of them, of which there are many."""
DECAY_EXTRAS = 0.0
FALSE_ALARMS = {"requests": 0.07}
"""Share of each group of tuning texts that may be taken for attacks; of ordinary text `FEW`."""
FEW = 0.002


@dataclass(frozen=True)
class Item:
    """A text with all its windows.

    Attributes:
        windows: Of all readings.
        likely: Places in `windows` that show the attack, for an attack; empty for ordinary text.
        group: The family of an attack, or the language or kind of request of ordinary text.
        template: What belongs together.
        language: Of its wording.
        kin: Families with which it is kept out, besides its own.
    """

    windows: tuple[Window, ...]
    likely: tuple[int, ...]
    group: str
    template: str
    language: str
    kin: frozenset[str] = frozenset()


def item(text: str, kind: Literal["user", "document"], group: str, language: str = "") -> Item:
    """An ordinary text as the trainer takes it."""
    return Item(_windows(read(text, kind)), (), group, text, language)


def sampled(each: Sample, group: str, *, attack: bool) -> Item:
    """A made text as the trainer takes it; its `spans` are the parts that make it an attack."""
    readings = read(each.text, each.kind)
    likely = _likely(readings, each.spans) if attack else ()
    template = each.template if attack else f"{each.family}: {each.template}"
    return Item(_windows(readings), likely, group, template, each.language, each.kin)


def _windows(readings: Sequence[Read]) -> tuple[Window, ...]:
    return tuple(window for each in readings for window in each.windows if len(window.grams))


def _likely(readings: Sequence[Read], spans: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    if len(readings) > 1:  # it was hidden; what was found is the attack
        first = sum(len(window.grams) > 0 for window in readings[0].windows)
        count = sum(len(window.grams) > 0 for each in readings for window in each.windows)
        return tuple(range(first, count))
    found = []
    windows = [window for window in readings[0].windows if len(window.grams)]
    for place, window in enumerate(windows):
        start, end = readings[0].plain.original(window.start, window.end)
        inside = sum(max(0, min(end, high) - max(start, low)) for low, high in spans)
        total = sum(high - low for low, high in spans)
        if inside > 0.6 * min(total, end - start):
            found.append(place)
    return tuple(found) or tuple(range(len(windows)))


@dataclass(frozen=True)
class _Rows:
    """Windows as a sparse matrix: row by row its places in the table, and their values."""

    places: NDArray[np.int32]
    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, windows: Sequence[Window], off: Collection[int]) -> _Rows:
        """`off`: extras that are left out."""
        places, values, sizes = [], [], []
        scale = _limits()[0]
        for window in windows:
            own = [BUCKETS + each for each in window.extras if each not in off]
            grams, counts = np.unique(window.grams, return_counts=True)
            places += [grams.astype(np.int32), np.asarray(own, np.int32)]
            values += [
                (counts / max(1, len(window.grams)) ** 0.5).astype(np.float32),
                scale[own],
            ]
            sizes.append(len(grams) + len(own))
        size = np.asarray(sizes, np.int64)
        starts = np.concatenate([[0], np.cumsum(size)[:-1]])
        return cls(np.concatenate(places), np.concatenate(values), starts, size)

    def logits(self, table: NDArray[np.float32], bias: float) -> NDArray[np.float32]:
        """One for each row."""
        found: NDArray[np.float32] = np.add.reduceat(table[self.places] * self.values, self.starts)
        return found + np.float32(bias)

    def gradient(self, errors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of the table, from one error for each row."""
        weights = np.repeat(errors, self.sizes) * self.values
        return np.bincount(self.places, weights, FEATURES).astype(np.float32)


def fit(
    attacks: Sequence[Item], ordinary: Sequence[Item], *, without: Collection[str] = ()
) -> Weights:
    """The weights; `without`: families of attacks that neither samples nor rules come from.

    The threshold is 0; `with_threshold` sets it.
    """
    out = frozenset(without)
    off = [place for place, extra in enumerate(extras()) if extra.families & out]
    attacks = [each for each in attacks if not ({each.group} | each.kin) & out]
    templates = [(each.group, each.language, each.template) for each in attacks]
    counts = Counter(templates)  # every template counts alike, however many texts it gives
    fair = [0.5 / len(counts) / counts[each] for each in templates]
    weights = None
    for steps in STEPS:
        shown = [_shown(weights, [each.windows[at] for at in each.likely]) for each in attacks]
        asked, parts = zip(*(_asked(weights, each) for each in ordinary), strict=True)
        hard = np.asarray([each.group == "requests" for each in ordinary])
        share = np.where(hard, HARD / max(1, hard.sum()), (0.5 - HARD) / max(1, (~hard).sum()))
        weigh = [np.full(len(w), one / len(w)) for w, one in zip(shown, fair, strict=True)]
        weigh += [one * part for part, one in zip(parts, share, strict=True)]
        positive = [window for each in shown for window in each]
        rows = _Rows.of([*positive, *(window for each in asked for window in each)], off)
        all_weights = np.concatenate(weigh).astype(np.float32)
        weights = _regressed(rows, len(positive), all_weights, weights, steps)
    assert weights is not None
    return _rounded(weights)


def _shown(weights: Weights | None, windows: list[Window]) -> list[Window]:
    """Windows of an attack to learn from."""
    if weights is None:
        return windows
    return sorted(windows, key=lambda one: -logit(weights, one))[: (len(windows) + 1) // 2]


def _asked(weights: Weights | None, each: Item) -> tuple[list[Window], NDArray[np.float64]]:
    """Windows of an ordinary text to learn from, and how the text's weight is shared by them.

    Some are spread over all of it; then come its worst ones, which a text is judged by.
    """
    step = -(-len(each.windows) // SOME) or 1
    some = list(each.windows[::step])
    if weights is None:
        return some, np.full(len(some), 1 / max(1, len(some)))
    tail = sorted(each.windows, key=lambda one: -logit(weights, one))[:WORST]
    parts = [(1 - TAIL) / max(1, len(some))] * len(some) + [TAIL / max(1, len(tail))] * len(tail)
    return some + tail, np.asarray(parts)


def _regressed(
    rows: _Rows, attacks: int, weigh: NDArray[np.float32], before: Weights | None, steps: int
) -> Weights:
    """Weights for rows of which the first `attacks` are some."""
    said = (np.arange(len(weigh)) < attacks).astype(np.float32)
    scale, decay, least, most = _limits()
    table = np.zeros(FEATURES, np.float32) if before is None else before.table / scale
    bias = 0.0 if before is None else before.bias
    mean, square = np.zeros(FEATURES + 1, np.float32), np.zeros(FEATURES + 1, np.float32)
    for step in range(1, steps + 1):
        errors = (1 / (1 + np.exp(-rows.logits(table, bias))) - said) * weigh
        slope = np.append(rows.gradient(errors) + decay * table, errors.sum()).astype(np.float32)
        mean = 0.9 * mean + 0.1 * slope
        square = 0.98 * square + 0.02 * slope**2
        moved = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.98**step)) + 1e-7)
        table = np.clip(table - np.float32(RATE) * moved[:-1], least, most)
        bias -= RATE * float(moved[-1])
    return Weights(table * scale, bias, 0.0)


def _limits() -> tuple[NDArray[np.float32], ...]:
    """For each place its scale, its decay, and what it weighs at least and at most."""
    scale, decay = np.ones(FEATURES, np.float32), np.full(FEATURES, DECAY, np.float32)
    least, most = np.full(FEATURES, -np.inf, np.float32), np.full(FEATURES, np.inf, np.float32)
    for place, extra in enumerate(extras(), BUCKETS):
        bounded = extra.least > -np.inf or extra.most < np.inf
        scale[place] = PAIRED if bounded else EMPHASIS
        decay[place] = DECAY_EXTRAS
        least[place], most[place] = extra.least, extra.most
    return scale, decay, least, most


def _rounded(weights: Weights) -> Weights:
    """The weights as they are shipped: 255 steps."""
    scale = float(np.abs(weights.table).max() / 127)
    table = np.round(weights.table / scale) * np.float32(scale)
    return Weights(table.astype(np.float32), round(weights.bias, 4), 0.0)


def score(weights: Weights, each: Item) -> float:
    """The worst window's logit (rules that were left out weigh nothing: they stayed at zero)."""
    return max((logit(weights, window) for window in each.windows), default=-np.inf)


def with_threshold(weights: Weights, tuning: Sequence[Item]) -> Weights:
    """The least threshold at which each group of ordinary tuning texts has few false alarms."""
    groups: dict[str, list[float]] = {}
    for each in tuning:
        groups.setdefault(each.group, []).append(score(weights, each))
    bars = [
        float(np.quantile(scores, 1 - FALSE_ALARMS.get(group, FEW)))
        for group, scores in groups.items()
    ]
    return Weights(weights.table, weights.bias, round(max(bars), 3))


def write(weights: Weights, path: Path) -> None:
    """The file that the package ships."""
    scale = float(np.abs(weights.table).max() / 127)
    table = np.round(weights.table / scale).astype(np.int8)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            table=table,
            scale=np.float32(scale),
            bias=np.float64(weights.bias),
            threshold=np.float64(weights.threshold),
            made_for=np.asarray(made_for()),
        )
