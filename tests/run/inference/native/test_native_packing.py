"""What the library holds of a matrix, read back row by row."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from native_small import HALVES
from native_small import random_blocks as blocks_of

from kataribe.files.ggml_blocks import BLOCK, dequantize, quantize
from kataribe.files.ggml_groups import GROUPED, split_blocks
from kataribe.make.model.weights.sources import SourceTensor
from kataribe.run.inference.native.library import Library, Shape, Unpacked, address
from kataribe.run.inference.native.weights import Format, NativePrecision, format_of, take_apart

SEED = 20261122
EXACT = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
HALF_STEP = 2.0**-11  # what rounding to float16 moves a number by, at most


@contextmanager
def matrix(library: Library, form: Format, rows: int, columns: int) -> Iterator[ctypes.c_void_p]:
    """A decoder whose embedding has room for a matrix; the other sizes do not matter."""
    decoder = ctypes.c_void_p()
    shape = Shape(1, 32, 1, 1, 32, 32, 32, 1, 0, 1e-5, 1.0, 1.0)
    library.call("new", shape, ctypes.byref(decoder))
    try:
        library.call("reserve", decoder, -1, 0, form, rows, columns)
        yield decoder
    finally:
        library.call("free", decoder)


def held(
    library: Library, source: SourceTensor, precision: NativePrecision = "auto", chunk: int = 64
) -> np.ndarray:
    """A matrix packed in chunks of rows, as it is read back."""
    rows, columns = source.shape
    form = format_of(source.kind, precision)
    out = np.empty((rows, columns), np.float32)
    raw = source.raw()
    with matrix(library, form, rows, columns) as decoder:
        for first in range(0, rows, chunk):
            part = source.rows(raw[first : first + chunk])
            apart = take_apart(library, part, form)
            at = Unpacked(address(apart.values), address(apart.scales), address(apart.offsets))
            library.call("pack", decoder, -1, 0, first, part.shape[0], at)
        for row in range(rows):
            library.call("row", decoder, -1, 0, row, address(out[row]))
    return out


def stored(values: np.ndarray, kind: str) -> SourceTensor:
    raw = quantize(values, kind)
    return SourceTensor(values.shape, kind, lambda: raw)


def random_blocks(kind: str, rows: int, columns: int, low: int = -9, high: int = 2) -> SourceTensor:
    """As in `native_models`, and one block in twenty has scales of 0."""
    source = blocks_of(kind, rows, columns, low, high, SEED)
    raw = source.raw().copy().reshape(-1, BLOCK[kind][1])
    for place in HALVES[kind]:
        raw[::20, place : place + 2] = 0
    raw = raw.reshape(rows, -1)
    return SourceTensor(source.shape, kind, lambda: raw)


def normal(rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(SEED).standard_normal((rows, columns)) * scale).astype(np.float32)


def test_every_kind_of_file_is_tried_here() -> None:
    assert set(HALVES) == set(GROUPED)


@pytest.mark.parametrize("rows", [32, 33, 95, 1])
@pytest.mark.parametrize("kind", EXACT)
def test_blocks_with_float16_scales_are_held_exactly(
    library: Library, kind: str, rows: int
) -> None:
    print("seed", SEED)
    source = random_blocks(kind, rows, 96)
    assert np.array_equal(held(library, source), source.values())


@pytest.mark.parametrize("kind", sorted(set(HALVES) - set(EXACT)))
def test_other_blocks_lose_a_part_in_two_thousand_of_scale_and_offset(
    library: Library, kind: str
) -> None:
    print("seed", SEED)
    source = random_blocks(kind, 70, 512, low=-12, high=-2)
    groups = split_blocks(source.raw().reshape(-1, BLOCK[kind][1]), kind)
    parts = np.abs(groups.scales)[..., None] * np.abs(groups.values.astype(np.float32))
    if groups.offsets is not None:
        parts = parts + np.abs(groups.offsets)[..., None]
    bound = parts.reshape(70, 512) * (HALF_STEP * 1.001)
    found = held(library, source)
    assert (np.abs(found - source.values()) <= bound).all()
    assert np.array_equal(found == 0, source.values() == 0) or groups.offsets is not None


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1.0, 1e4])
def test_quantised_values_of_any_size_are_held_exactly(
    library: Library, kind: str, scale: float
) -> None:
    print("seed", SEED)
    source = stored(normal(45, 64, scale), kind)
    assert source.values().any() or scale == 1e-7  # whose steps float16 has no numbers for
    assert np.array_equal(held(library, source), source.values())


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "F64"])
@pytest.mark.parametrize("columns", [32, 96, 64])
def test_ordinary_numbers_become_bfloat16(library: Library, kind: str, columns: int) -> None:
    print("seed", SEED)
    values = normal(50, columns)
    if kind == "F64":
        source = SourceTensor(values.shape, kind, lambda: values.astype("<f8").view(np.uint8))
    else:
        source = stored(values, kind)
    expected = dequantize(quantize(source.values(), "BF16"), "BF16", source.shape)
    assert np.array_equal(held(library, source), expected)


@pytest.mark.parametrize("kind", ["Q4_0", "Q5_1", "Q6_K"])
def test_blocks_may_be_held_as_bfloat16(library: Library, kind: str) -> None:
    source = random_blocks(kind, 40, 256, low=-12, high=-2)
    expected = dequantize(quantize(source.values(), "BF16"), "BF16", source.shape)
    assert np.array_equal(held(library, source, "bfloat16"), expected)


def check_eight_bits(values: np.ndarray, found: np.ndarray) -> None:
    """Within half a step of its own group's scale, and nothing larger than the group's largest."""
    grouped = values.reshape(len(values), -1, 16).astype(np.float64)
    largest = np.abs(grouped).max(-1, keepdims=True)
    step = largest / 127 * (1 + 2 * HALF_STEP)
    moved = np.abs(found.reshape(grouped.shape) - grouped)
    assert (moved <= step / 2 * (1 + 1e-5)).all()
    # Steps are rounded up, so the largest of a group is not cut off.
    assert (np.abs(found.reshape(grouped.shape)).max(-1) >= largest[..., 0] * 0.99).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1.0, 1e4, 1e30])
def test_eight_bits_stay_within_half_a_step(library: Library, scale: float) -> None:
    print("seed", SEED)
    values = normal(41, 96, scale)
    check_eight_bits(values, held(library, stored(values, "F32"), "int8"))


@pytest.mark.parametrize("kind", ["Q5_1", "Q5_K", "Q2_K"])
def test_blocks_with_an_offset_may_be_held_in_eight_bits(library: Library, kind: str) -> None:
    source = random_blocks(kind, 40, 256, low=-12, high=-2)
    check_eight_bits(source.values(), held(library, source, "int8"))


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q6_K"])
@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e4])
def test_four_bits_are_nearer_than_sixteen_even_steps(
    library: Library, kind: str, scale: float
) -> None:
    print("seed", SEED)
    if kind == "Q6_K":
        source = random_blocks(kind, 41, 256, low=-12, high=-2)
    elif kind == "F32":
        source = stored(normal(41, 96, scale), kind)
    else:
        source = stored(normal(41, 96), kind)
    grouped = source.values().reshape(41, -1, 32).astype(np.float64)
    low = grouped.min(-1, keepdims=True)
    step = (grouped.max(-1, keepdims=True) - low) / 15
    even = low + np.rint((grouped - low) / np.where(step > 0, step, 1)) * step
    found = held(library, source, "int4").reshape(grouped.shape)
    errors = np.square(found - grouped).sum(-1)
    # Scale and offset are rounded to float16 after the fit.
    rounding = 32 * np.square(np.abs(grouped).max(-1) * 2 * HALF_STEP)
    assert (errors <= np.square(even - grouped).sum(-1) + rounding).all()
    assert errors.sum() <= 0.9 * np.square(even - grouped).sum()


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q4_K"])
def test_blocks_of_four_bits_stay_as_they_are(library: Library, kind: str) -> None:
    source = random_blocks(kind, 40, 256, low=-12, high=-2)
    for precision in ("int4", "int8"):
        assert np.array_equal(held(library, source, precision), held(library, source, "auto"))
        assert format_of(kind, precision, table=True) is Format.Q4


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-9])
@pytest.mark.parametrize("precision", ["int4", "int8"])
def test_equal_weights_stay_equal(
    library: Library, value: float, precision: NativePrecision
) -> None:
    source = stored(np.full((32, 64), value, np.float32), "F32")
    assert np.allclose(held(library, source, precision), value, rtol=1e-3, atol=0)


def test_embedding_and_head_are_not_held_in_four_bits() -> None:
    assert format_of("F32", "int4", table=True) is Format.Q8
    assert format_of("F32", "int4") is Format.Q4
    assert format_of("Q6_K", "int4") is Format.Q4


@pytest.mark.parametrize("kind", ["Q5_0", "Q8_0"])
def test_blocks_of_whole_numbers_stay_as_they_are_in_eight_bits(
    library: Library, kind: str
) -> None:
    source = random_blocks(kind, 40, 96)
    assert np.array_equal(held(library, source, "int8"), source.values())


def test_rows_of_one_panel_may_differ_by_eight_powers_of_ten(library: Library) -> None:
    """One power of two serves a whole panel; float16 scales reach down to 2^-29 of the largest."""
    print("seed", SEED)
    values = normal(32, 64) * np.logspace(-4, 4, 32, dtype=np.float32)[:, None]
    check_eight_bits(values, held(library, stored(values, "F32"), "int8"))


def test_what_is_not_finite_stays_in_its_row(library: Library) -> None:
    values = normal(33, 64)
    values[3, 5], values[7, 40] = np.inf, np.nan
    whole = np.delete(np.arange(33), [3, 7])
    for precision in ("auto", "int4", "int8"):
        found = held(library, stored(values, "F32"), precision)  # type: ignore[arg-type]
        assert not np.isfinite(found[3]).all()
        assert np.isnan(found[7]).any()
        assert np.isfinite(found[whole]).all()
        assert np.abs(found[whole] - values[whole]).max() < (0.2 if precision == "int4" else 0.05)


def test_an_infinite_scale_harms_its_own_group_only(library: Library) -> None:
    source = random_blocks("Q8_0", 32, 64)
    raw = source.raw().copy()
    raw[9, :2] = np.array([np.inf], "<f2").view(np.uint8)
    found = held(library, SourceTensor(source.shape, "Q8_0", lambda: raw))
    expected = source.values()
    assert not np.isfinite(found[9, :32]).all()
    found[9, :32] = expected[9, :32]
    assert np.array_equal(found, expected)


def test_packing_again_replaces_what_was_there(library: Library) -> None:
    first, second = random_blocks("Q4_1", 40, 64), random_blocks("Q4_0", 40, 64, low=-3, high=0)
    with matrix(library, Format.Q4, 40, 64) as decoder:
        out = np.empty((40, 64), np.float32)
        for source in (first, second):
            apart = take_apart(library, source, Format.Q4)
            at = Unpacked(address(apart.values), address(apart.scales), address(apart.offsets))
            library.call("pack", decoder, -1, 0, 0, 40, at)
        for row in range(40):
            library.call("row", decoder, -1, 0, row, address(out[row]))
    assert np.array_equal(out, second.values())
