"""Packed weights against the `gguf` package's own arithmetic, bit by bit."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import quants

from kataribe.base.errors import FormatError, UnsupportedError
from kataribe.files.ggml_blocks import (
    BLOCK,
    STEP_VALUES,
    bfloat16_from_float32,
    dequantize,
    float32_from_bfloat16,
    packed_size,
    quantize,
)
from kataribe.files.gguf import open_gguf

SEED = 20261121


def bits(values: np.ndarray) -> np.ndarray:
    """As whole numbers; what is no number counts as one, whatever its sign."""
    return np.where(np.isnan(values), np.float32(np.nan), values).astype(np.float32).view(np.uint32)


def reference(raw: np.ndarray, kind: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return quants.dequantize(raw, gguf.GGMLQuantizationType[kind])


@pytest.mark.parametrize("kind", BLOCK)
def test_random_blocks_unpack_as_the_reference_does(kind: str) -> None:
    print("seed", SEED)
    values, size = BLOCK[kind]
    raw = np.random.default_rng(SEED).integers(0, 256, (37, 16 * size), dtype=np.uint8)
    got = dequantize(raw, kind, (37, 16 * values))
    assert got.dtype == np.float32
    assert np.array_equal(bits(got), bits(reference(raw, kind)))


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K", "Q8_0", "BF16"])
def test_steps_join_without_a_seam(kind: str) -> None:
    print("seed", SEED)
    values, size = BLOCK[kind]
    blocks = 3 * STEP_VALUES // values + 7
    raw = np.random.default_rng(SEED).integers(0, 256, (1, blocks * size), dtype=np.uint8)
    got = dequantize(raw, kind, (1, blocks * values))
    assert np.array_equal(bits(got), bits(reference(raw, kind)))


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
def test_packing_equals_the_reference(kind: str) -> None:
    print("seed", SEED)
    values = np.random.default_rng(SEED).standard_normal((33, 8192)).astype(np.float32)
    values[0] = 0
    values[1] = 1e-42  # its scale has no inverse in float32
    values[2, :32] = np.arange(32) - 15.5  # halves round outwards
    with np.errstate(all="ignore"):
        expected = quants.quantize(np.delete(values, 1, 0), gguf.GGMLQuantizationType[kind])
    got = quantize(values, kind)
    assert got.shape == (33, 8192 // BLOCK[kind][0] * BLOCK[kind][1])
    assert np.array_equal(np.delete(got, 1, 0), expected.view(np.uint8).reshape(32, -1))
    back = dequantize(got, kind, values.shape)
    assert np.isfinite(back).all()
    assert np.abs(back[1]).max() <= 1e-42


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_cannot_be_scaled_are_refused(kind: str, bad: float) -> None:
    values = np.ones((2, 64), dtype=np.float32)
    values[1, 40] = bad
    with pytest.raises(FormatError, match="NaN or infinite"):
        quantize(values, kind)


def test_bfloat16_rounds_to_even_and_keeps_nan() -> None:
    patterns = [0x3F808000, 0x3F818000, 0x3F808001, 0x7F800001, 0xFFFFFFFF, 0x7F7FFFFF, 0x80000000]
    values = np.array(patterns, dtype=np.uint32).view(np.float32)
    upper = bfloat16_from_float32(values).view("<u2")
    assert upper[:3].tolist() == [0x3F80, 0x3F82, 0x3F81]
    back = float32_from_bfloat16(upper.view(np.uint8))
    assert np.isnan(back[3:5]).all()
    assert np.isposinf(back[5])
    assert upper[6] == 0x8000


def test_sizes_that_disagree_are_refused() -> None:
    with pytest.raises(FormatError, match="multiple of 256"):
        packed_size("Q4_K", (4, 384))
    with pytest.raises(FormatError, match="takes 36 bytes, but 35"):
        dequantize(np.zeros(35, dtype=np.uint8), "Q4_0", (2, 32))
    with pytest.raises(UnsupportedError, match="IQ4_XS"):
        packed_size("IQ4_XS", (1, 256))
    with pytest.raises(UnsupportedError, match="does not write Q4_K"):
        quantize(np.zeros((1, 256), dtype=np.float32), "Q4_K")


def test_unpacking_needs_little_beside_its_result() -> None:
    raw = np.zeros((1024, 144 * 16), dtype=np.uint8)
    tracemalloc.start()
    try:
        result = dequantize(raw, "Q4_K", (1024, 4096))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - result.nbytes < 4 << 20


def compare_whole_file(path: Path, each: int) -> set[str]:
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    ours = open_gguf(path).tensors
    assert list(ours) == list(theirs)
    for position, tensor in enumerate(ours.values()):
        other = theirs[tensor.name]
        assert tensor.shape == tuple(int(size) for size in reversed(other.shape))
        assert tensor.kind == other.tensor_type.name
        rows = np.asarray(other.data).view(np.uint8).reshape(tensor.raw().shape)
        assert np.array_equal(tensor.raw(), rows)
        if position % each == 0:
            expected = quants.dequantize(other.data, other.tensor_type).reshape(tensor.shape)
            assert np.array_equal(bits(tensor.float32()), bits(expected))
    return {tensor.kind for tensor in ours.values()}


def test_smollm2_unpacks_as_the_reference_does(smollm2_path: Path) -> None:
    assert compare_whole_file(smollm2_path, 13) == {"Q4_1", "Q8_0", "F32"}


@pytest.mark.slow
def test_qwen_unpacks_as_the_reference_does(qwen_path: Path) -> None:
    assert compare_whole_file(qwen_path, 5) == {"Q4_K", "Q6_K", "F32"}


@pytest.mark.slow
def test_gemma_unpacks_as_the_reference_does(gemma_path: Path) -> None:
    assert compare_whole_file(gemma_path, 2) == {"Q4_K", "Q5_0", "Q6_K", "Q8_0", "F32"}
