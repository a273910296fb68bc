"""What bits per byte to expect of a run: a law fitted on Kataribe's own runs, moved to the text.

    log(bits per byte) = c + k log(g) + m log(u / g) (S / 100)^-3/2
                         + h (s + a (N / 10^6)^-1/4 - r R) + text
    h = log(1 + D / 10^6)

g is what counting n-grams makes of the same held-out text after as many tokens, u what counting
single tokens does, R what remembering the row so far saves beside g (`text_level`); N are
parameters, D tokens, S steps. After few steps a network knows little more than how frequent tokens
are (m). From a million tokens on it sees ever more of what counting cannot (h): what stands before
in the same row (r), and the more the larger it is (a). `text` is what is left of a text: unknown
before a run on it, known after one, be it as small as a pilot.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError
from kataribe.make.training.text_level import TextLevel

PRIOR = ((0.0, 1.0), (1.0, 0.3), (0.3, 0.3), (0.0, 0.2), (0.2, 0.2), (1.0, 0.6))
"""What is believed of c, k, m, s, a and r before any run: mean and spread."""
LEARNING = 1e6
"""Tokens from which on a network sees ever more of what counting cannot."""
SURE = 1.645
"""Standard errors on both sides of an interval that nine of ten runs should lie in."""
REPEATS = 15.4
"""How often text can be seen again before it is worth nothing (Muennighoff et al. 2023)."""


@dataclass(frozen=True)
class Point:
    """A run, as far as the law knows it.

    Attributes:
        parameters: Of the model.
        tokens: That it learns from.
        steps: Changes of its weights.
    """

    parameters: float
    tokens: float
    steps: float

    def __post_init__(self) -> None:
        for name in ("parameters", "tokens", "steps"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} of a run is {getattr(self, name)!r}; take more than 0.")

    def apart(self, other: Point) -> float:
        """How far apart two runs are, in logarithms of parameters and of tokens.

        As much work of another shape (few parameters and many tokens) is another run.
        """
        return math.hypot(
            math.log(self.parameters / other.parameters), math.log(self.tokens / other.tokens)
        )


@dataclass(frozen=True)
class Run:
    """A finished run to fit a law on.

    Attributes:
        text: Name of its token data: runs on the same share what the text adds.
        level: Of the text.
        point: The run.
        bits_per_byte: That it reached.
    """

    text: str
    level: TextLevel
    point: Point
    bits_per_byte: float


@dataclass(frozen=True)
class Law:
    """See the module.

    Attributes:
        factors: c, k, m, s, a, r.
        text: Standard deviation of what a text adds, in logarithms.
        apart: Standard deviation that comes with each unit of `Point.apart`.
        noise: Standard deviation between equal runs, seeds and looks.
        source: Where the constants come from, and what they were moved by.
        spread: Standard deviation of what is expected now.
    """

    factors: tuple[float, ...]
    text: float
    apart: float
    noise: float
    source: str
    spread: float = 0.0

    def expected(self, level: TextLevel, point: Point) -> float:
        """Bits per byte of held-out text."""
        return float(math.exp(features(level, point) @ np.array(self.factors)))

    def interval(
        self, level: TextLevel, point: Point, most: float = math.inf
    ) -> tuple[float, float, float]:
        """What is expected, and between which two numbers nine of ten should lie.

        `most` is what a model reaches that takes all tokens for equally likely: none is worse.
        """
        middle = self.expected(level, point)
        wide = math.exp(SURE * (self.spread or math.hypot(self.text, self.noise)))
        return min(middle, most), min(middle, most) / wide, min(middle * wide, most)

    def moved(self, aim: Point, found: Sequence[Run], by: str) -> Law:
        """The law as runs on the very text have it, for predicting `aim`.

        Each run says what the text adds, the less surely the farther it is from `aim`; together
        with what is usual (nothing, give or take `text`) they are weighed by their variances.
        Runs that disagree widen what is expected by as much as they do.

        Args:
            aim: The run that is to be predicted.
            found: Runs on its text.
            by: What they are, for `source`.
        """
        if not found:
            return self
        weights, added = [1 / self.text**2], [0.0]
        for run in found:
            weights.append(1 / (self.noise**2 + (self.apart * run.point.apart(aim)) ** 2))
            added.append(math.log(run.bits_per_byte / self.expected(run.level, run.point)))
        total = sum(weights)
        shift = float(np.average(added, weights=weights))
        agreed = np.average(added[1:], weights=weights[1:])
        scatter = float(np.average((np.array(added[1:]) - agreed) ** 2, weights=weights[1:]))
        return dataclasses.replace(
            self,
            factors=(self.factors[0] + shift, *self.factors[1:]),
            spread=math.sqrt(1 / total + self.noise**2 + scatter),
            source=f"{self.source}; moved by {100 * math.expm1(shift):+.1f} % after {by}",
        )


def features(level: TextLevel, point: Point) -> NDArray[np.float64]:
    """What the law's factors are multiplied with: (6,)."""
    counted = math.log(level.after(effective(point.tokens, level.unique)))
    seen = math.log1p(point.tokens / LEARNING)
    return np.array(
        [
            1.0,
            counted,
            (math.log(level.letters) - counted) * (point.steps / 100) ** -1.5,
            seen,
            seen * (point.parameters / 1e6) ** -0.25,
            -seen * level.repetition,
        ]
    )


def effective(tokens: float, unique: float) -> float:
    """Tokens of fresh text that are worth as much (Muennighoff et al. 2023, R* = 15.4)."""
    if tokens <= unique or unique <= 0:
        return tokens
    repeats = tokens / unique - 1
    return unique * (1 + REPEATS * (1 - math.exp(-repeats / REPEATS)))


def fit(runs: Sequence[Run], source: str, shape: Law | None = None) -> Law:
    """The law that finished runs and `PRIOR` make likeliest, texts being drawn at random.

    A linear model with an effect for each text (generalised least squares); `shape` gives the
    variances. Raises `InputError` for fewer runs than constants.
    """
    if len(runs) < len(PRIOR):
        raise InputError(
            f"{len(runs)} runs cannot settle a law of {len(PRIOR)} constants; make "
            f"{len(PRIOR)} or more."
        )
    shape = shape or LAW
    table = np.stack([features(run.level, run.point) for run in runs])
    wanted = np.log([run.bits_per_byte for run in runs])
    names = np.array([run.text for run in runs])
    noise = shape.noise**2 * np.eye(len(runs)) + shape.text**2 * (names[:, None] == names)
    mean, wide = np.array(PRIOR).T
    inverse = np.linalg.inv(noise)
    left = table.T @ inverse @ table + np.diag(1 / wide**2)
    factors = np.linalg.solve(left, table.T @ inverse @ wanted + mean / wide**2)
    found = tuple(float(each) for each in factors)
    return dataclasses.replace(shape, factors=found, source=source, spread=0.0)


LAW = Law(
    factors=(0.1966, 0.7376, 0.4332, -0.1903, 0.1413, 0.4157),
    text=0.06,
    apart=0.02,
    noise=0.02,
    source="a law of Kataribe's own runs (benchmarks/training/law_runs.jsonl)",
)
"""Fitted by benchmarks/training/fit_law.py."""
