"""How much a text looks like an order to a model: logistic regression on letters and on meanings.

Grams of two to five characters of plain text are hashed into a table of weights (Weinberger et al.
2009). Beside them stand the rules that apply, the classes of words and which of them stand close
together, and how the text was read. A text is scored sentence by sentence, alone and with what
follows, and its score is that of the worst of these windows: one order in a long page weighs as
much as it does alone. The weights were made by `python -m benchmarks.guards --train`; the same
data gives the same file.
"""

from __future__ import annotations

import functools
import hashlib
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError
from kataribe.use.guards.lexicon import Mention, WordClass, classes, mentions, pairs, quoted
from kataribe.use.guards.normalise import Plain, plain
from kataribe.use.guards.rules import hits, rules
from kataribe.use.guards.sentences import spans
from kataribe.use.guards.views import Reading, View, views

Kind: TypeAlias = Literal["user", "document"]

BUCKETS = 1 << 16
ORDERS = (2, 3, 4, 5)
READINGS: tuple[Reading, ...] = ("decoded", "hidden", "put together")
WEIGHTS = "injection.npz"
EXTRAS = 1536
"""Places behind the grams: rules, readings, circumstances, classes of words and pairs of them."""
FEATURES = BUCKETS + EXTRAS
AROUND = 200
"""How far from a window words may stand that say what the text is about, in characters."""
PART = 600
"""Characters of a decoded or joined part up to which the words around it tell about it, too."""
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
        how: How it was read, then what weighs most there, for people.
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
    """One reading of a text, hashed.

    Attributes:
        view: How it was read, and what.
        plain: What is read there, plain.
        grams: For each order the buckets of its n-grams, by place.
        places: Its windows in the plain text, from and to.
        extras: For each window the places in `extras()` that apply.
    """

    view: View
    plain: Plain
    grams: tuple[NDArray[np.int64], ...]
    places: tuple[tuple[int, int], ...]
    extras: tuple[tuple[int, ...], ...]

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows, each with its own n-grams, as training takes them."""
        return tuple(self.window(number) for number in range(len(self.places)))

    def window(self, number: int) -> Window:
        """One of the windows."""
        start, end = self.places[number]
        pieces = [
            each[start : max(start, end - order + 1)]
            for order, each in zip(ORDERS, self.grams, strict=True)
        ]
        return Window(np.concatenate(pieces), self.extras[number], start, end)


@dataclass(frozen=True, slots=True)
class Extra:
    """A place behind the grams.

    Attributes:
        name: What it stands for.
        families: The families of attacks that it was written for.
        least: What it weighs at least: no text looks better for one more word of an order in it.
        most: What it weighs at most: no text looks worse because somebody asks about it.
    """

    name: str
    families: frozenset[str] = frozenset()
    least: float = -np.inf
    most: float = np.inf


@functools.cache
def extras() -> tuple[Extra, ...]:
    """What stands behind the grams in the table, in order."""
    known = classes()
    made = [Extra(rule.name, frozenset([rule.family] if rule.family else [])) for rule in rules()]
    made += [Extra(name) for name in (*READINGS, "document", "smuggled", "in quotes")]
    for where in ("", ", in a document"):
        made += [_class(each, where) for each in known]
    telling = [each for each in known if not each.around]
    made += [
        Extra(f"{one.name} + {other.name}", one.families | other.families, least=0.0)
        for one, other in combinations(telling, 2)
    ]
    assert len(made) <= EXTRAS
    return tuple(made)


def _class(each: WordClass, where: str) -> Extra:
    bounds = (-np.inf, 0.0) if each.around else (0.0, np.inf)
    return Extra(f"{each.name}{where}", each.families, *bounds)


@functools.cache
def _offsets() -> tuple[int, int, int]:
    """Where the circumstances, the classes and the pairs begin among the extras."""
    first = len(rules())
    return first, first + len(READINGS) + 3, first + len(READINGS) + 3 + 2 * len(classes())


@functools.cache
def made_for() -> str:
    """A digest of the rules and classes: weights fit these and no others."""
    said = [f"{each.name} {each.pattern.pattern}" for each in rules()]
    said += [f"{each.name} {each.stems} {each.pattern} {each.around}" for each in classes()]
    return hashlib.blake2b("\n".join(said).encode(), digest_size=16).hexdigest()


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
    found: list[Read] = []
    whole: tuple[Plain, _Noticed] | None = None
    for view in views(text):
        said = plain(view.text)
        noticed = _Noticed.of(view, said, kind, without)
        if whole is None:
            whole = said, noticed
        elif view.end - view.start <= PART:
            low, high = (bisect_left(whole[0].places, at) for at in (view.start, view.end))
            noticed = replace(noticed, always=noticed.always + whole[1].around(low, high))
        places = tuple(spans(view.text, said))
        extras = tuple(noticed.inside(start, end) for start, end in places)
        found.append(Read(view, said, hashed(said.text), places, extras))
    return found


@dataclass(frozen=True, slots=True)
class _Noticed:
    """What applies to one reading of a text, by place, so that windows can take their share."""

    always: tuple[int, ...]
    rules: list[tuple[int, int, int]]
    words: list[Mention]
    word_starts: list[int]
    near: list[tuple[int, int, int]]
    near_starts: list[int]
    quotes: list[tuple[int, int]]
    document: bool

    @classmethod
    def of(cls, view: View, said: Plain, kind: Kind, without: Collection[str]) -> _Noticed:
        """Looks once at all of it."""
        first, _, behind = _offsets()
        apply = (*(view.reading == each for each in READINGS), kind == "document", said.smuggled)
        always = tuple(first + place for place, yes in enumerate(apply) if yes)
        words = [each for each in mentions(said.text) if not _left_out(each, without)]
        count = sum(not each.around for each in classes())
        near = [  # pairs are numbered as `combinations` gives them
            (start, end, behind + low * (2 * count - low - 1) // 2 + high - low - 1)
            for low, high, start, end in pairs(words)
            if high < count
        ]
        return cls(
            always,
            hits(said.text, without),
            words,
            [each.start for each in words],
            near,
            [each[0] for each in near],
            quoted(said.text),
            kind == "document",
        )

    def inside(self, start: int, end: int) -> tuple[int, ...]:
        """The extras of a window."""
        first = _offsets()[0]
        found = {*self.always, *self.around(start, end)}
        found.update(rule for rule, low, high in self.rules if low < end and high > start)
        covered = within = 0
        for word in self._words(start, end):
            covered += 1
            within += any(low <= word.start < high for low, high in self.quotes)
            found.update(self._places(word))
        from_, to = (bisect_left(self.near_starts, at) for at in (start, end))
        found.update(place for _, last, place in self.near[from_:to] if last <= end)
        if 2 * within > covered:
            found.add(first + len(READINGS) + 2)
        return tuple(sorted(found))

    def around(self, start: int, end: int) -> tuple[int, ...]:
        """What stands near a window and says what the text is about."""
        start, end = start - AROUND, end + AROUND
        known, ruled = classes(), rules()
        found = [
            rule
            for rule, low, high in self.rules
            if ruled[rule].family is None and low < end and high > start
        ]
        for word in self._words(start, end):
            if known[word.number].around:
                found += self._places(word)
        return tuple(found)

    def _words(self, start: int, end: int) -> Sequence[Mention]:
        from_, to = (bisect_left(self.word_starts, at) for at in (start, end))
        return self.words[from_:to]

    def _places(self, word: Mention) -> list[int]:
        here = _offsets()[1] + word.number
        return [here, here + len(classes())] if self.document else [here]


def _left_out(word: Mention, without: Collection[str]) -> bool:
    return bool(without) and not classes()[word.number].families.isdisjoint(without)


def logit(weights: Weights, window: Window) -> float:
    """The score of a window: every gram weighs one over the root of their number."""
    grams = weights.table[window.grams]
    extras = weights.table[[BUCKETS + place for place in window.extras]]
    size = max(1, len(grams))
    return float(grams.sum() / size**0.5 + extras.sum() + weights.bias)


def logits(weights: Weights, each: Read) -> NDArray[np.float64]:
    """The scores of all windows of a reading; minus infinity for one without n-grams."""
    starts, ends = np.asarray(each.places, np.int64).T
    total, size = np.zeros(len(starts)), np.zeros(len(starts))
    for order, grams in zip(ORDERS, each.grams, strict=True):
        sums = np.concatenate([[0.0], np.cumsum(weights.table[grams], dtype=np.float64)])
        first = np.minimum(starts, len(grams))
        last = np.clip(ends - order + 1, first, len(grams))
        total += sums[last] - sums[first]
        size += last - first
    owners = np.repeat(np.arange(len(starts)), [len(found) for found in each.extras])
    found = np.fromiter((place for own in each.extras for place in own), np.int64, len(owners))
    extra = np.bincount(owners, weights.table[BUCKETS + found], len(starts))
    scores = total / np.sqrt(np.maximum(size, 1)) + extra + weights.bias
    scores[size == 0] = -np.inf
    return scores


def worst(weights: Weights, text: str, kind: Kind, without: Collection[str] = ()) -> Finding | None:
    """The window of a text that looks most like an attack; None for a text without letters."""
    best, found = -np.inf, None
    for each in read(text, kind, without):
        scores = logits(weights, each)
        place = int(np.argmax(scores))
        if scores[place] > best:
            best, found = float(scores[place]), (each, place)
    if found is None:
        return None
    each, place = found
    return _told(weights, best, each, each.window(place))


def _told(weights: Weights, score: float, each: Read, window: Window) -> Finding:
    weighty = sorted(window.extras, key=lambda place: -weights.table[BUCKETS + place])
    names = [extras()[place].name for place in weighty if weights.table[BUCKETS + place] > 0]
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
        made = str(data["made_for"]) if "made_for" in data else ""
    if len(table) != FEATURES or made != made_for():
        raise FormatError(
            f"{WEIGHTS} has {len(table)} weights for other rules than the {FEATURES} of this "
            "version. Make it anew with `python -m benchmarks.guards --train`."
        )
    return weights
