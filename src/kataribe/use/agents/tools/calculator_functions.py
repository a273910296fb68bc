"""The functions of the calculator: exact where there is an exact value, else floating point."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from kataribe.base.errors import InputError

Number: TypeAlias = Fraction | float
"""Exact, or rounded."""

MOST_BITS = 13_000
"""Of a numerator or denominator: about 3,900 digits, below what Python writes out."""
_MANY = 64
_SMALLEST, _LARGEST = Fraction(1, 10**300), 10**300
"""Between these, floating point is at its best."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many numbers it takes, at least and at most, and what it makes of them."""

    arguments: tuple[int, int]
    compute: Callable[..., Number]


def bounded(value: Number) -> Number:
    """The value, when it is a finite number of at most `MOST_BITS`; `InputError` otherwise."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise OverflowError
        return value
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if bits > MOST_BITS:
        raise _too_large(bits)
    return value


def power(base: Number, exponent: Number) -> Number:
    """`base ** exponent`; refused before it is computed when it would be huge."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            return _whole_power(base, exponent.numerator)
        root = _exact_root(base, exponent.denominator)
        if root is not None:
            return _whole_power(root, exponent.numerator)
    if base < 0:
        raise InputError("A negative number has no real power that is not whole.")
    return math.pow(base, exponent)


def _whole_power(base: Fraction, exponent: int) -> Fraction:
    if base == 0 and exponent < 0:
        raise ZeroDivisionError
    size = max(abs(base.numerator).bit_length(), base.denominator.bit_length())
    bits = 1 if abs(base) in (0, 1) else (size - 1) * abs(exponent)  # at least so many
    if bits > MOST_BITS:
        raise _too_large(bits)
    if abs(base) in (0, 1):
        return base if exponent % 2 else base * base if exponent else Fraction(1)
    return Fraction(base**exponent)


def _too_large(bits: int) -> InputError:
    return InputError(
        f"The number would have about {int(bits * 0.30103):,} digits; the calculator goes up to "
        f"{int(MOST_BITS * 0.30103):,}. Ask for its logarithm instead."
    )


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    """The real root, where it is a fraction."""
    if degree > _MANY or (value < 0 and degree % 2 == 0):
        return None
    sign = -1 if value < 0 else 1
    over = _whole_root(abs(value.numerator), degree)
    under = _whole_root(value.denominator, degree)
    return None if over is None or under is None else Fraction(sign * over, under)


def _whole_root(value: int, degree: int) -> int | None:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= value:
            low = middle
        else:
            high = middle - 1
    return low if low**degree == value else None


def _root(degree: int) -> Callable[[Number], Number]:
    def compute(value: Number) -> Number:
        if value < 0 and degree % 2 == 0:
            raise InputError("A negative number has no real square root.")
        exact = _exact_root(value, degree) if isinstance(value, Fraction) else None
        if exact is not None:
            return exact
        return math.copysign(abs(float(value)) ** (1 / degree), value)

    return compute


def _square_root(value: Number) -> Number:
    found = _root(2)(value)
    return math.sqrt(float(value)) if isinstance(found, float) else found


def _whole(name: str, value: Number, most: int) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= most:
        raise InputError(f"{name} takes whole numbers from 0 to {most:,}.")
    return value.numerator


def _whole_any(name: str, value: Number) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1:
        raise InputError(f"{name} takes whole numbers.")
    return value.numerator


def _factorial(value: Number) -> Number:
    return Fraction(math.factorial(_whole("factorial", value, 1500)))


def _comb(n: Number, k: Number) -> Number:
    return Fraction(math.comb(_whole("comb", n, 10_000), _whole("comb", k, 10_000)))


def _perm(n: Number, k: Number) -> Number:
    return Fraction(math.perm(_whole("perm", n, 10_000), _whole("perm", k, 1500)))


def _gcd(*values: Number) -> Number:
    return Fraction(math.gcd(*(_whole_any("gcd", value) for value in values)))


def _lcm(*values: Number) -> Number:
    found = Fraction(1)
    for value in values:
        found = Fraction(math.lcm(found.numerator, _whole_any("lcm", value)))
        bounded(found)
    return found


def _round(value: Number, places: Number = Fraction(0)) -> Number:
    """To the nearest; halves go away from zero, as people do it."""
    shift = Fraction(10) ** _whole("round's second number", places, 1000)
    scaled = Fraction(value) * shift
    whole = math.floor(abs(scaled) + Fraction(1, 2))
    return Fraction(whole if scaled >= 0 else -whole) / shift


def _floor(value: Number) -> Number:
    return Fraction(math.floor(value))


def _ceil(value: Number) -> Number:
    return Fraction(math.ceil(value))


def _sum(*values: Number) -> Number:
    total: Number = Fraction(0)
    for value in values:
        total = bounded(total + value)
    return total


def _mean(*values: Number) -> Number:
    return _sum(*values) / len(values)


def _log(value: Number, base: Number | None = None) -> Number:
    _positive(value)
    if base is None:
        return _exact_where(value, Fraction(1), Fraction(0), math.log)
    _positive(base)
    rounded = _natural(value) / _natural(base)
    if isinstance(value, Fraction) and isinstance(base, Fraction):
        exact = _exact_log(value, base, rounded)
        if exact is not None:
            return exact
    return rounded


def _natural(value: Number) -> float:
    """ln, of fractions beyond the range of floating point too, and close to 1."""
    if isinstance(value, Fraction) and abs(value - 1) < Fraction(1, 2):
        return math.log1p(float(value - 1))
    if isinstance(value, Fraction) and not _SMALLEST < value < _LARGEST:
        return math.log(value.numerator) - math.log(value.denominator)
    return math.log(value)


def _exact_log(value: Fraction, base: Fraction, near: float) -> Fraction | None:
    """The logarithm near `near`, where it is a fraction: value ** q = base ** p makes it p / q."""
    guess = Fraction(near).limit_denominator(_MANY)
    if max(_bits(value) * guess.denominator, _bits(base) * abs(guess.numerator)) > 4 * MOST_BITS:
        return None
    is_exact = value**guess.denominator == base**guess.numerator
    return guess if is_exact else None


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _log10(value: Number) -> Number:
    return _log_of_base(value, 10, math.log10)


def _log2(value: Number) -> Number:
    return _log_of_base(value, 2, math.log2)


def _log_of_base(value: Number, base: int, rounded: Callable[[float], float]) -> Number:
    _positive(value)
    if isinstance(value, Fraction):
        near = round(math.log(value.numerator, base) - math.log(value.denominator, base))
        if Fraction(base) ** near == value:
            return Fraction(near)
        if value.denominator == 1:
            return rounded(value.numerator)  # Python's logarithms take whole numbers of any size
    return rounded(float(value))


def _positive(value: Number) -> None:
    if value <= 0:
        raise InputError("A logarithm needs numbers above zero.")


def _exact_where(
    value: Number, at: Fraction, then: Fraction, otherwise: Callable[[float], float]
) -> Number:
    if isinstance(value, Fraction) and value == at:
        return then
    if isinstance(value, Fraction) and value.denominator == 1:
        return otherwise(value.numerator)
    return otherwise(float(value))


def _floating(compute: Callable[[float], float], at: int, then: int) -> Callable[[Number], Number]:
    """A function that is computed in floating point, but for the one place that is exact."""
    return lambda value: _exact_where(value, Fraction(at), Fraction(then), compute)


CONSTANTS: Mapping[str, Number] = {"pi": math.pi, "e": math.e, "tau": math.tau, "π": math.pi}

FUNCTIONS: Mapping[str, Function] = {
    "abs": Function((1, 1), abs),
    "acos": Function((1, 1), _floating(math.acos, 1, 0)),
    "asin": Function((1, 1), _floating(math.asin, 0, 0)),
    "atan": Function((1, 1), _floating(math.atan, 0, 0)),
    "atan2": Function((2, 2), math.atan2),
    "cbrt": Function((1, 1), _root(3)),
    "ceil": Function((1, 1), _ceil),
    "comb": Function((2, 2), _comb),
    "cos": Function((1, 1), _floating(math.cos, 0, 1)),
    "degrees": Function((1, 1), _floating(math.degrees, 0, 0)),
    "exp": Function((1, 1), _floating(math.exp, 0, 1)),
    "factorial": Function((1, 1), _factorial),
    "floor": Function((1, 1), _floor),
    "gcd": Function((1, _MANY), _gcd),
    "hypot": Function((1, _MANY), lambda *values: _square_root(_sum(*(v * v for v in values)))),
    "lcm": Function((1, _MANY), _lcm),
    "ln": Function((1, 1), _log),
    "log": Function((1, 2), _log),
    "log10": Function((1, 1), _log10),
    "log2": Function((1, 1), _log2),
    "max": Function((1, _MANY), max),
    "mean": Function((1, _MANY), _mean),
    "min": Function((1, _MANY), min),
    "perm": Function((2, 2), _perm),
    "radians": Function((1, 1), _floating(math.radians, 0, 0)),
    "round": Function((1, 2), _round),
    "sin": Function((1, 1), _floating(math.sin, 0, 0)),
    "sqrt": Function((1, 1), _square_root),
    "sum": Function((1, _MANY), _sum),
    "tan": Function((1, 1), _floating(math.tan, 0, 0)),
}
