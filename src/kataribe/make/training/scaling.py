"""What loss to expect of a model of N parameters after D tokens: a law with five constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kataribe.base.errors import InputError


@dataclass(frozen=True)
class Law:
    """bits per byte = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022).

    Attributes:
        e: What no model can know.
        a: How much smallness costs.
        alpha: How fast that falls.
        b: How much few tokens cost.
        beta: How fast that falls.
        spread: Half of the interval, as a share of the expected value.
        source: Where the constants come from.
    """

    e: float
    a: float
    alpha: float
    b: float
    beta: float
    spread: float
    source: str

    def loss(self, parameters: float, tokens: float) -> float:
        """Bits per byte."""
        return float(self.e + self.a / parameters**self.alpha + self.b / tokens**self.beta)

    def interval(self, parameters: float, tokens: float) -> tuple[float, float, float]:
        """What is expected, and between which two numbers it should lie."""
        middle = self.loss(parameters, tokens)
        return middle, middle * (1 - self.spread), middle * (1 + self.spread)


LAW = Law(
    e=1.69 / (4 * math.log(2)),
    a=406.4 / (4 * math.log(2)),
    alpha=0.34,
    b=410.7 / (4 * math.log(2)),
    beta=0.28,
    spread=0.3,
    source=(
        "Hoffmann et al. 2022 (nats per token of English web text, taken as 4 bytes a token); "
        "other text lies elsewhere, which the interval allows for"
    ),
)
"""Until runs of one's own are there to fit: see `fit`."""


@dataclass(frozen=True)
class Point:
    """A finished run: parameters, tokens, and the bits per byte that it reached."""

    parameters: float
    tokens: float
    bits_per_byte: float


def fit(points: Sequence[Point], source: str) -> Law:
    """The law nearest to finished runs, in the logarithm of what they reached.

    Exponents are looked for on a grid, and for each pair the three factors, which cannot be
    negative, by least squares. `spread` is twice the root mean square of what is left, and at
    least 2 %. Raises `InputError` for fewer than five runs: there are five constants.
    """
    if len(points) < 5:
        raise InputError(f"{len(points)} runs cannot settle a law of 5 constants; make 5 or more.")
    n = np.array([point.parameters for point in points])
    d = np.array([point.tokens for point in points])
    y = np.array([point.bits_per_byte for point in points])
    best: tuple[float, Law] | None = None
    for alpha in np.arange(0.1, 0.81, 0.02):
        for beta in np.arange(0.1, 0.81, 0.02):
            table = np.stack([np.ones_like(n), n**-alpha, d**-beta], axis=1)
            factors = _not_negative(table / y[:, None], np.ones_like(y))
            found = table @ factors
            if (found <= 0).any():
                continue
            left = float(np.sqrt(np.mean(np.log(found / y) ** 2)))
            if best is None or left < best[0]:
                e, a, b = (float(each) for each in factors)
                law = Law(e, a, float(alpha), b, float(beta), max(0.02, 2 * left), source)
                best = left, law
    assert best is not None  # the factors of any one column alone are positive
    return best[1]


def _not_negative(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Least squares with no negative factor: of all choices of columns the best that has none."""
    best, least = np.zeros(table.shape[1]), math.inf
    for chosen in range(1, 1 << table.shape[1]):
        columns = [at for at in range(table.shape[1]) if chosen >> at & 1]
        factors, *_ = np.linalg.lstsq(table[:, columns], wanted, rcond=None)
        left = float(((table[:, columns] @ factors - wanted) ** 2).sum())
        if (factors >= 0).all() and left < least:
            least = left
            best = np.zeros(table.shape[1])
            best[columns] = factors
    return best
