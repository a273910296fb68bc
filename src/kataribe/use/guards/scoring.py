"""How much a text looks like an order to a model: logistic regression on hashed character n-grams.

Grams of two to five characters of plain text are hashed into a table of weights (Weinberger et al.
2009); beside them stand the rules that apply and how the text was read. A long text is read in
windows that overlap by half, and its score is that of its worst window. The weights were made by
`python -m benchmarks.guards --train`; the same data gives the same file.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError
from kataribe.use.guards.normalise import Plain, plain
from kataribe.use.guards.rules import hits, rules
from kataribe.use.guards.views import Reading, View, views

Kind: TypeAlias = Literal["user", "document"]

BUCKETS = 1 << 16
ORDERS = (2, 3, 4, 5)
WINDOW = 200
STRIDE = 100
READINGS: tuple[Reading, ...] = ("decoded", "hidden", "put together")
WEIGHTS = "injection.npz"
EXTRAS = 64
"""Places behind the grams: one for each rule, reading and circumstance."""
FEATURES = BUCKETS + EXTRAS
_MULTIPLIER = np.uint32(0x01000193)
_MIX = np.uint32(0x9E3779B1)


@dataclass(frozen=True)
class Weights:
    """The model.

    Attributes:
        table: One weight for each feature.
        bias: The logit of nothing.
        threshold: The logit from which on a window is an attack, set on tuning texts.
    """

    table: NDArray[np.float32]
    bias: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Finding:
    """The worst window of a text.

    Attributes:
        logit: Its score.
        start: Where its telling part begins in the text.
        end: Where that ends.
        how: Rules that apply there and how it was read, for people.
        said: What is read there.
    """

    logit: float
    start: int
    end: int
    how: tuple[str, ...]
    said: str


@dataclass(frozen=True)
class Window:
    """One window of one reading, as the model sees it.

    Attributes:
        grams: Buckets of its n-grams, each as often as it stands there.
        extras: Places in `extras()` that apply.
        start: Its first character in the plain text.
        end: Behind its last.
    """

    grams: NDArray[np.int64]
    extras: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Read:
    """One reading of a text, hashed."""

    view: View
    plain: Plain
    windows: tuple[Window, ...]


@functools.cache
def extras() -> tuple[str, ...]:
    """What stands behind the grams in the table, in order."""
    names = (*(rule.name for rule in rules()), *READINGS, "document", "smuggled")
    assert len(names) <= EXTRAS
    return names


def hashed(text: str) -> tuple[NDArray[np.int64], ...]:
    """For each order the bucket of the gram that begins at each character (as far as it fits)."""
    codes: NDArray[Any] = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    state = codes * _MIX
    found = []
    for order in range(2, ORDERS[-1] + 1):
        if len(codes) < order:
            found.append(np.zeros(0, np.int64))
            continue
        state = (state[:-1] * _MULTIPLIER) ^ codes[order - 1 :]
        mixed = state * _MIX
        found.append(((mixed ^ (mixed >> np.uint32(15))) % np.uint32(BUCKETS)).astype(np.int64))
    return tuple(found)


def read(text: str, kind: Kind, without: Collection[str] = ()) -> list[Read]:
    """All readings of a text in windows. `without`: families whose rules are left out."""
    return [_read(view, kind, without) for view in views(text)]


def _read(view: View, kind: Kind, without: Collection[str]) -> Read:
    said = plain(view.text)
    length = len(said.text)
    grams = hashed(said.text)
    found = hits(said.text, without)
    names = extras()
    apply = {view.reading, kind, "smuggled" if said.smuggled else ""}
    always = [names.index(name) for name in (*READINGS, "document", "smuggled") if name in apply]
    around = {number for number, rule in enumerate(rules()) if rule.family is None}
    starts = range(0, max(1, length - WINDOW + STRIDE), STRIDE)
    windows = []
    for start in starts:
        end = min(start + WINDOW, length)
        inside = {
            rule for rule, low, high in found if rule in around or (low < end and high > start)
        }
        pieces = [
            each[start : max(start, end - order + 1)]
            for order, each in zip(ORDERS, grams, strict=True)
        ]
        windows.append(Window(np.concatenate(pieces), (*sorted(inside), *always), start, end))
    return Read(view, said, tuple(windows))


def logit(weights: Weights, window: Window) -> float:
    """The score of a window: every gram weighs one over the root of their number."""
    grams = weights.table[window.grams]
    extras = weights.table[[BUCKETS + place for place in window.extras]]
    size = max(1, len(grams))
    return float(grams.sum() / size**0.5 + extras.sum() + weights.bias)


def worst(weights: Weights, text: str, kind: Kind, without: Collection[str] = ()) -> Finding | None:
    """The window of a text that looks most like an attack; None for a text without letters."""
    best: tuple[float, Read, Window] | None = None
    for each in read(text, kind, without):
        for window in each.windows:
            score = logit(weights, window)
            if len(window.grams) and (best is None or score > best[0]):
                best = score, each, window
    return None if best is None else _told(weights, *best)


def _told(weights: Weights, score: float, each: Read, window: Window) -> Finding:
    names = tuple(extras()[place] for place in window.extras)
    how = (*([each.view.how] if each.view.how else []), *names)
    start, end = _telling(weights, each.plain.text, window)
    said = each.plain.text[start:end]
    if each.view.reading == "as written":
        start, end = each.plain.original(start, end)
        said = each.view.text[start:end]
    else:
        start, end = each.view.start, each.view.end
    return Finding(score, start, end, how, said)


def _telling(weights: Weights, text: str, window: Window, size: int = 80) -> tuple[int, int]:
    """The `size` characters of a window that weigh most."""
    if window.end - window.start <= size:
        return window.start, window.end
    part = text[window.start : window.end]
    heavy = np.zeros(len(part))
    for each in hashed(part):
        heavy[: len(each)] += weights.table[each]
    sums = np.concatenate([[0.0], np.cumsum(heavy)])
    first = int(np.argmax(sums[size:] - sums[:-size]))
    return window.start + first, window.start + first + size


@functools.cache
def shipped() -> Weights:
    """The weights that come with the package; `FormatError` for a file of another making."""
    path = files("kataribe.use.guards").joinpath(WEIGHTS)
    with path.open("rb") as file, np.load(file) as data:
        table = data["table"].astype(np.float32) * data["scale"].astype(np.float32)
        weights = Weights(table, float(data["bias"]), float(data["threshold"]))
        names: Sequence[str] = [str(name) for name in data["extras"]]
    if len(table) != FEATURES or tuple(names) != extras():
        raise FormatError(
            f"{WEIGHTS} has {len(table)} weights for other rules than the {FEATURES} of this "
            "version. Make it anew with `python -m benchmarks.guards --train`."
        )
    return weights
