"""Checks that configurations have in common; each error names the field and its limit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kataribe.base.errors import FormatError

_MAX_VALUES = 1 << 31
"""Largest size of any one matrix's side: a hostile header cannot ask for an endless model."""


def one_of(name: str, value: object, known: Sequence[str]) -> None:
    """`FormatError` unless the value is one of the known."""
    if value not in known:
        raise FormatError(f"{name} is {value!r}; known are {', '.join(known)}.")


def count(name: str, value: int) -> None:
    """`FormatError` unless the value is a size that a matrix can have."""
    if type(value) is not int or not 0 < value < _MAX_VALUES:
        raise FormatError(f"{name} is {value!r}; it must be a whole number from 1 to 2^31 - 1.")


def finite(name: str, value: float, *, above: float) -> None:
    """`FormatError` unless the value is a number above `above`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError(f"{name} is {value!r}; it must be a number.")
    if not math.isfinite(value) or value <= above:
        raise FormatError(f"{name} is {value!r}; it must be finite and above {above:g}.")
