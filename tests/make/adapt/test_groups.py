import numpy as np
import pytest
import torch

from kataribe.files.ggml_blocks import BLOCK, dequantize
from kataribe.make.adapt.groups import from_blocks, from_values, join

KINDS = ["Q4_0", "Q4_1", "Q4_K"]  # written out: the rule itself is what is tested


def random_blocks(kind: str, rows: int, columns: int, seed: int) -> np.ndarray:
    """Any bytes are a block, but the half-precision scales have to be sensible numbers."""
    generator = np.random.default_rng(seed)
    values, size = BLOCK[kind]
    raw = generator.integers(0, 256, (rows, columns // values, size), dtype=np.uint8)
    halves = 1 if kind == "Q4_0" else 2
    scales = generator.uniform(0.001, 0.1, (rows, columns // values, halves)).astype("<f2")
    if kind == "Q4_1":
        scales[..., 1] *= -8
    raw[..., : 2 * halves] = scales.view(np.uint8)
    return raw.reshape(rows, -1)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_a_file_are_taken_over_exactly(kind):
    raw = random_blocks(kind, 48, 512, seed=1)
    found = from_blocks(raw, kind)
    expected = dequantize(raw, kind, (48, 512))
    assert found.values.max() <= 15
    torch.testing.assert_close(found.dense(), torch.from_numpy(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_scales_to_bfloat16_moves_weights_by_a_fraction_of_a_step(kind):
    found = from_blocks(random_blocks(kind, 32, 512, seed=2), kind)
    scale, zero = found.table().float().transpose(0, 1).unbind(-1)
    grouped = found.values.unflatten(-1, (-1, 32)).float() - 8
    kept = (grouped * scale[..., None] + zero[..., None]).flatten(-2)
    step = found.scales.abs().repeat_interleave(32, dim=1)
    centre = (found.offsets + 8 * found.scales).abs().repeat_interleave(32, dim=1)
    assert ((kept - found.dense()).abs() <= step / 32 + centre / 256).all()


def test_rounding_beats_the_plain_range_from_smallest_to_largest():
    torch.manual_seed(3)
    weight = torch.randn(64, 256)
    weight[:, ::37] *= 4  # outliers
    found = from_values(weight).dense()
    grouped = weight.unflatten(-1, (-1, 32))
    low, high = grouped.amin(-1, keepdim=True), grouped.amax(-1, keepdim=True)
    scale = (high - low) / 15
    plain = (((grouped - low) / scale).round() * scale + low).flatten(-2)
    assert (found - weight).norm() < 0.97 * (plain - weight).norm()
    assert (found - weight).norm() / weight.norm() < 0.09


def test_weights_that_fit_four_bits_are_kept():
    torch.manual_seed(4)
    values = torch.randint(0, 16, (8, 64))
    values[:, 0::32], values[:, 1::32] = 0, 15
    weight = values * 0.125 - 0.75
    torch.testing.assert_close(from_values(weight).dense(), weight, rtol=0, atol=1e-5)


def test_groups_of_equal_weights_are_kept():
    weight = torch.full((2, 64), 0.375)
    weight[1] = 0.0
    torch.testing.assert_close(from_values(weight).dense(), weight, rtol=0, atol=1e-6)


def test_join_stacks_rows():
    first, second = from_values(torch.randn(3, 32)), from_values(torch.randn(5, 32))
    joined = join([first, second]).dense()
    assert torch.equal(joined, torch.cat((first.dense(), second.dense())))
