"""What a GGUF file says, held to what it was meant to say: key by key, tokens and merges too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kataribe.base.errors import FormatError
from kataribe.files.gguf import open_gguf


def check_keys(path: Path, meant: Mapping[str, Any]) -> int:
    """Reads the file's keys again and compares them, numbers as far as float32 holds them.

    Returns how many there are. Raises `FormatError` with the first key that is missing, left over
    or otherwise, and for lists with the place.
    """
    found = open_gguf(path).metadata
    odd = sorted(found.keys() ^ meant.keys())
    if odd:
        side = "lacks the key" if odd[0] in meant else "has, unlike what was meant, the key"
        raise FormatError(f"{path.name} {side} {odd[0]!r}. Nothing was kept.")
    for key, value in meant.items():
        place = _difference(value, found[key])
        if place is not None:
            raise FormatError(
                f"{path.name} says {key}{place} otherwise than was meant. Nothing was kept: it is "
                "not the same model."
            )
    return len(meant)


def _difference(meant: Any, found: Any) -> str | None:
    """Where two values differ: '' for the whole, '[3]' for a place in a list; None nowhere."""
    if isinstance(meant, list | tuple | np.ndarray):
        if len(meant) != len(found):
            return ""
        pairs = enumerate(zip(meant, found, strict=True))
        return next((f"[{at}]" for at, (one, other) in pairs if not _same(one, other)), None)
    return None if _same(meant, found) else ""


def _same(meant: Any, found: Any) -> bool:
    if isinstance(meant, float | np.floating):
        return bool(np.float32(meant) == np.float32(found))
    return bool(np.array_equal(meant, found)) if isinstance(meant, np.ndarray) else meant == found
