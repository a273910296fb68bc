"""Which parts of a benchmark are to run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable


def parts_of(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads names such as `open,search`; gives them in the order in which they run."""
    order = tuple(known)

    def parts(text: str) -> tuple[str, ...]:
        names = set(text.split(","))
        if unknown := names - set(order):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} not in {', '.join(order)}")
        return tuple(name for name in order if name in names)

    return parts
