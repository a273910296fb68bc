"""Checks of what options may say."""

from __future__ import annotations

from kataribe.base.errors import InputError


def within(name: str, value: float, low: float, high: float) -> None:
    """Returns where low <= value <= high; `InputError` names the option and both limits."""
    if not low <= value <= high:  # also refuses NaN
        raise InputError(
            f"{name} is {value:g}, but must be at least {low:g} and at most {high:g}.", param=name
        )
