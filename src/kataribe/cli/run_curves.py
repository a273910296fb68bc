"""Curves of runs as pages ask for them every two seconds: each line of metrics.jsonl read once."""

from __future__ import annotations

import json
import math
import os
import threading
from array import array
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kataribe.base.errors import FormatError
from kataribe.files.atomic import storage_error
from kataribe.serve.shapes.training import RunPoint

WHOLE = ("step", "tokens")
FIGURES = (
    "time", "loss", "lr", "grad_norm", "tokens_per_second", "valid_loss", "bits_per_byte",
)  # fmt: skip
WIDTH = len(WHOLE) + len(FIGURES)
LOOKED = len(WHOLE) + FIGURES.index("valid_loss")
FILES = 32
"""Files that are held, the latest asked for: 72 bytes a step, so 7 MB for a run of 100,000."""


class Curves:
    """What metrics.jsonl files hold. Calls may come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[Path, _Read] = {}

    def points(self, path: Path, most: int) -> tuple[list[RunPoint], int]:
        """About `most` of a file's points, and how many it has; none of one that is not there.

        Raises:
            FormatError: A line is no JSON, or lacks what every line has.
            StorageError: The file cannot be read.
        """
        with self._lock:
            found = self._files.pop(path, None)
            try:
                with path.open("rb") as file:
                    if found is None or not found.fits(file):
                        found = _Read()
                    found.go_on(file, path)
            except FileNotFoundError:
                return [], 0
            except OSError as error:
                raise storage_error(f"{path} cannot be read", error) from error
            self._files[path] = found  # as the latest
            while len(self._files) > FILES:
                del self._files[next(iter(self._files))]
            count = len(found.values) // WIDTH
            looks = {at for at in range(count) if not math.isnan(found.values[at * WIDTH + LOOKED])}
            return [found.point(at) for at in thinned(count, looks, most)], count


class _Read:
    """The figures of the lines so far, and where the next line begins."""

    def __init__(self) -> None:
        self.values = array("d")
        self._offset, self._last = 0, b""

    def fits(self, file: BinaryIO) -> bool:
        """Whether the file has only grown: a run that goes on from a checkpoint writes it anew."""
        start = self._offset - len(self._last)
        file.seek(start)
        return file.read(len(self._last)) == self._last

    def go_on(self, file: BinaryIO, path: Path) -> None:
        """Reads the lines that were added; one that is still being written is left for later."""
        file.seek(self._offset, os.SEEK_SET)
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                values = _figures(json.loads(line))
            except (ValueError, TypeError, KeyError):
                said = line[:60].decode(errors="replace")
                raise FormatError(f"{path} has a line that measures no step: {said!r}.") from None
            self.values.extend(values)
            self._offset, self._last = self._offset + len(line), line

    def point(self, at: int) -> RunPoint:
        step, tokens, *figures = self.values[at * WIDTH : (at + 1) * WIDTH]
        known = (None if math.isnan(value) else value for value in figures)
        named: dict[str, Any] = dict(zip(FIGURES, known, strict=True))
        return RunPoint(step=int(step), tokens=int(tokens), **named)


def _figures(line: Mapping[str, Any]) -> list[float]:
    """A line as `WHOLE` and `FIGURES`; NaN for what it does not say."""
    said = (line.get(name) for name in FIGURES[1:])
    needed = (line[name] for name in (*WHOLE, FIGURES[0]))
    return [*map(float, needed), *(math.nan if value is None else float(value) for value in said)]


def thinned(count: int, looks: Collection[int], points: int) -> list[int]:
    """About `points` of `count` places: evenly spread ones, the last, and all of `looks`."""
    step = max(1, -(-count // points))
    return [at for at in range(count) if (count - 1 - at) % step == 0 or at in looks]
