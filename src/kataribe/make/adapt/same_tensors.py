"""Same model, same numbers: every tensor of a written file held to the one that it was made of.

Answers alone do not show that a file is right. A model that is hardly trained says nearly the same
with a layer that is broken: its distributions are flat. So each number is compared with its origin
and must lie as close as the format's rounding allows, which no other layer's numbers do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kataribe.base.errors import FormatError
from kataribe.files.ggml_blocks import BLOCK
from kataribe.files.ggml_groups import Floats
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.weights.gguf_config import first_difference
from kataribe.make.model.weights.names import Place
from kataribe.make.model.weights.opened import Checkpoint
from kataribe.make.model.weights.sources import SourceTensor

STEP_VALUES = 1 << 20
"""Values compared at a time."""
_HALF = 2.0**-25
"""Half of the smallest number above 0 that float16 has: the scales of blocks are float16."""


@dataclass(frozen=True)
class Rounding:
    """How far a number may be from the one that it stands for.

    Attributes:
        own: As a share of the number itself.
        block: As a share of the largest number of its block of 32.
        least: And this in any case.
    """

    own: float = 0.0
    block: float = 0.0
    least: float = 0.0


ROUNDING: Mapping[str, Rounding] = {
    "F32": Rounding(own=2.0**-24),
    "F16": Rounding(own=2.0**-11, least=_HALF),
    "BF16": Rounding(own=2.0**-8, least=2.0**-134),
    "Q8_0": Rounding(block=(0.5 + 127 * 2.0**-11) / 127 * 1.001, least=127 * _HALF),
    "Q4_0": Rounding(block=(1.0 + 8 * 2.0**-11) / 8 * 1.001, least=8 * _HALF),
}
"""By kind: half a step of the format, and for blocks what the rounding of their scale adds. A
block of Q4_0 goes from -8 to 7 steps, so its far end may be a whole step away. F32 is nothing away
but for norms that a file keeps less one."""
ALLOWED: Mapping[str, frozenset[str]] = {
    "F32": frozenset({"F32"}),
    "F16": frozenset({"F32", "F16"}),
    "BF16": frozenset({"F32", "F16", "BF16"}),
    "Q8_0": frozenset({"F32", "F16", "Q8_0"}),
    "Q4_0": frozenset({"F32", "F16", "Q8_0", "Q4_0"}),
}
"""Kind of a file -> kinds that its tensors may be of: some stay wider."""


@dataclass(frozen=True)
class Compared:
    """How far the tensors of a new file are from those of its origin.

    Attributes:
        tensors: How many were compared: all.
        values: Numbers in them.
        worst: Name of the one that moved most.
        error: How far that one moved: norm of its difference over its own norm.
        nearest: The largest of all differences, as a share of what the format's rounding allows.
    """

    tensors: int
    values: int
    worst: str
    error: float
    nearest: float


def check_settings(expected: ModelConfig, found: ModelConfig) -> None:
    """Raises `FormatError` with the first setting that was written otherwise than it is."""
    different = first_difference(expected, found)
    if different is not None:
        name, ours, theirs = different
        raise FormatError(
            f"What was written says {name} = {theirs!r:.80}, where the model has {ours!r:.80}. "
            "Nothing was kept: it is not the same model."
        )


def check_tensors(
    before: Checkpoint, after: Checkpoint, kind: str, places: Mapping[str, Place] | None = None
) -> Compared:
    """Compares all tensors, each number by itself.

    Args:
        before: The origin.
        after: What was written, opened again.
        kind: Of the new file's matrices.
        places: Where the new file's parameters lie, if it holds some of them turned or less a
            constant: these are read as F32, whatever they are in the file.

    Raises `FormatError`, with the tensor's name and figures, for a tensor that is missing, left
    over, misshaped, of a kind that is not asked for, or with a number further away than the
    format's rounding.
    """
    different = sorted(before.tensors.keys() ^ after.tensors.keys())
    if different:
        side = "lacks" if different[0] in before.tensors else "has, unlike its origin,"
        raise FormatError(f"What was written {side} the tensor {different[0]}. Nothing was kept.")
    worst, error, nearest, values = "", -1.0, 0.0, 0
    for name, origin in before.tensors.items():
        found = after.tensors[name]
        if origin.shape != found.shape or found.kind not in ALLOWED[kind]:
            raise FormatError(
                f"{name} was written as {found.kind} of shape {found.shape}; its origin has the "
                f"shape {origin.shape}, and a file of kind {kind} holds "
                f"{', '.join(sorted(ALLOWED[kind]))}. Nothing was kept."
            )
        place = None if places is None else places[name]
        moved, share = _compare(name, origin, found, _Rule.of(origin, found, kind, place))
        values += math.prod(origin.shape)
        nearest = max(nearest, share)
        if moved > error:
            worst, error = name, moved
    return Compared(len(before.tensors), values, worst, error, nearest)


@dataclass(frozen=True)
class _Rule:
    """How one tensor may have been rounded.

    Attributes:
        kind: What it was rounded to.
        exact: It was of that kind before.
        offset: What was subtracted before it was rounded.
    """

    kind: str
    exact: bool
    offset: float

    @classmethod
    def of(cls, before: SourceTensor, after: SourceTensor, kind: str, place: Place | None) -> _Rule:
        if place is not None and (place.turned or place.offset):
            return cls(kind, exact=kind == "F32" and not place.offset, offset=abs(place.offset))
        return cls(after.kind, exact=after.kind == before.kind, offset=0.0)


def _compare(
    name: str, before: SourceTensor, after: SourceTensor, rule: _Rule
) -> tuple[float, float]:
    """Relative error of one tensor, and its largest difference as a share of what is allowed."""
    first, second = before.raw(), after.raw()
    step = max(1, STEP_VALUES // max(1, math.prod(before.shape) // len(first)))
    square = moved = nearest = 0.0
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        ours, theirs = before.unpack(first[part]), after.unpack(second[part])
        with np.errstate(invalid="ignore", over="ignore"):
            away = np.abs(theirs - ours)
            usual = _allowed(ours, rule)
            _hold(name, away, np.zeros_like(usual) if rule.exact else usual, (ours, theirs), rule)
        share = np.divide(away, usual, out=np.zeros_like(away), where=usual > 0)
        nearest = max(nearest, float(share.max()))
        square += float(np.square(ours, dtype=np.float64).sum())
        moved += float(np.square(away, dtype=np.float64).sum())
    return math.sqrt(moved / square) if square else math.sqrt(moved), nearest


def _allowed(ours: Floats, rule: _Rule) -> Floats:
    """How far each number of some rows may be away, float32 (rows, columns)."""
    rounding = ROUNDING[rule.kind]
    limit = np.abs(ours) * np.float32(rounding.own) + np.float32(rounding.least)
    if rule.offset:  # subtracted, rounded, and added again in float32
        limit += np.float32(rule.offset * (rounding.own + 2.0**-22))
    if rounding.block:
        blocks = np.abs(ours).reshape(-1, BLOCK[rule.kind][0])
        largest = blocks.max(axis=1, keepdims=True) * np.float32(rounding.block)
        limit = limit + np.broadcast_to(largest, blocks.shape).reshape(ours.shape)
    found: Floats = limit
    return found


def _hold(
    name: str, away: Floats, allowed: Floats, values: tuple[Floats, Floats], rule: _Rule
) -> None:
    beyond = ~(away <= allowed)  # a NaN is beyond every limit
    if not beyond.any():
        return
    row, column = np.argwhere(beyond)[0]
    ours, theirs = (float(each[row, column]) for each in values)
    if not math.isfinite(ours):
        raise FormatError(
            f"{name} of the model holds {ours}, which is no number. It was so before: train the "
            "model again, or take an earlier checkpoint."
        )
    raise FormatError(
        f"As {rule.kind}, {int(beyond.sum()):,} numbers of {name} lie further from their origin "
        f"than the format rounds: {theirs:.6g} stands where {ours:.6g} was ({away[row, column]:.3g}"
        f" away, at most {allowed[row, column]:.3g}). Nothing was kept: it is not the same model."
    )
