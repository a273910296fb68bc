"""Blocks taken apart: the integers, scales and offsets are those that the layouts say."""

from __future__ import annotations

from collections.abc import Iterator

import gguf
import numpy as np
import pytest
from gguf import quants

from kataribe.files.ggml_blocks import BLOCK, quantize
from kataribe.files.ggml_groups import GROUPED, split_blocks

SEED = 20261122
LEAST, MOST = {  # of the integers of each kind
    "Q8_0": -128, "Q4_0": -8, "Q4_1": 0, "Q5_0": -16, "Q5_1": 0,
    "Q2_K": 0, "Q3_K": -4, "Q4_K": 0, "Q5_K": 0, "Q6_K": -32,
}, {
    "Q8_0": 127, "Q4_0": 7, "Q4_1": 15, "Q5_0": 15, "Q5_1": 31,
    "Q2_K": 3, "Q3_K": 3, "Q4_K": 15, "Q5_K": 31, "Q6_K": 31,
}  # fmt: skip
GROUP = {"Q2_K": 16, "Q3_K": 16, "Q6_K": 16}
"""Values that share a scale; 32 where a kind is not listed."""


@pytest.fixture(autouse=True)
def not_a_number() -> Iterator[None]:
    """Random bytes hold some; whoever splits blocks says what shall become of it."""
    with np.errstate(all="ignore"):
        yield


def random_blocks(kind: str, count: int = 200) -> np.ndarray:
    size = BLOCK[kind][1]
    return np.random.default_rng(SEED).integers(0, 256, (count, size), dtype=np.uint8)


def test_every_kind_of_blocks_can_be_taken_apart() -> None:
    assert {kind for kind, (values, _) in BLOCK.items() if values > 1} == set(GROUPED)
    assert set(GROUPED) == set(LEAST) == set(MOST)


@pytest.mark.parametrize("kind", GROUPED)
def test_shapes_and_types(kind: str) -> None:
    values, group = BLOCK[kind][0], GROUP.get(kind, 32)
    parts = split_blocks(random_blocks(kind), kind)
    assert parts.values.shape == (200, values // group, group)
    assert parts.scales.shape == (200, values // group)
    assert parts.scales.dtype == np.float32
    has_offset = kind in ("Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K")
    assert parts.values.dtype == (np.uint8 if has_offset else np.int8)
    assert (parts.offsets is not None) is has_offset
    if parts.offsets is not None:
        assert parts.offsets.shape == parts.scales.shape
        assert parts.offsets.dtype == np.float32


@pytest.mark.parametrize("kind", GROUPED)
def test_integers_use_all_of_their_range_and_no_more(kind: str) -> None:
    print("seed", SEED)
    values = split_blocks(random_blocks(kind, 2000), kind).values
    assert (int(values.min()), int(values.max())) == (LEAST[kind], MOST[kind])
    assert len(np.unique(values)) == MOST[kind] - LEAST[kind] + 1


@pytest.mark.parametrize("kind", GROUPED)
def test_parts_put_together_are_what_the_reference_says(kind: str) -> None:
    print("seed", SEED)
    blocks = random_blocks(kind)
    parts = split_blocks(blocks, kind)
    whole = parts.scales[..., None].astype(np.float64) * parts.values
    if parts.offsets is not None:
        whole = whole + parts.offsets[..., None]
    expected = quants.dequantize(blocks, gguf.GGMLQuantizationType[kind]).astype(np.float64)
    whole = whole.reshape(expected.shape)
    finite = np.isfinite(expected)
    assert finite.mean() > 0.8
    assert np.array_equal(np.isfinite(whole), finite)
    # The reference rounds its product and its sum to float32 each.
    sizes = np.abs(parts.scales[..., None] * parts.values.astype(np.float32))
    if parts.offsets is not None:
        sizes = sizes + np.abs(parts.offsets[..., None])
    bound = sizes.reshape(expected.shape)[finite] * 2.0**-22
    assert (np.abs(whole[finite] - expected[finite]) <= bound).all()


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_what_was_quantised_is_found_again(kind: str) -> None:
    print("seed", SEED)
    values = np.random.default_rng(SEED).standard_normal((50, 64)).astype(np.float32)
    parts = split_blocks(quantize(values, kind).reshape(-1, BLOCK[kind][1]), kind)
    near = np.rint(values.reshape(-1, 1, 32) / parts.scales[..., None])
    assert np.abs(near - parts.values).max() <= 1  # the scale was rounded after the division
    assert (near == parts.values).mean() > 0.97


@pytest.mark.parametrize("kind", GROUPED)
def test_blocks_do_not_touch_each_other(kind: str) -> None:
    blocks = random_blocks(kind, 9)
    together, alone = split_blocks(blocks, kind), split_blocks(blocks[4:5], kind)
    assert np.array_equal(together.values[4:5], alone.values)
    assert np.array_equal(together.scales[4:5], alone.scales, equal_nan=True)
