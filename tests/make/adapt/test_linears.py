import pytest
import torch

from kataribe.make.adapt import kernels, unpack
from kataribe.make.adapt.groups import from_values
from kataribe.make.adapt.linears import (
    Bfloat16Linear,
    Int4Linear,
    Int8Embedding,
    Int8Linear,
    PlainInt4Linear,
    PlainInt8Linear,
    int4_linear,
    int8_linear,
    quantize_int8,
)

needs_int4 = pytest.mark.skipif(
    not kernels.supports_int4_kernel("cpu"), reason="torch has no packed 4-bit product here"
)
needs_int8 = pytest.mark.skipif(
    not kernels.supports_int8_kernel("cpu"), reason="torch has no 8-bit product here"
)
needs_bfloat16 = pytest.mark.skipif(
    not kernels.supports_prepacked_bfloat16("cpu"), reason="no bfloat16 instructions here"
)

SHAPES = [(64, 64), (192, 576), (48, 96), (17, 32), (1, 64), (100, 320)]
TOKENS = [1, 2, 7, 60]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Within what bfloat16 results and bfloat16 products may differ by."""
    error = (found.float() - expected.float()).norm() / expected.float().norm()
    assert error < 0.01, error


@needs_int4
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tokens", TOKENS)
def test_packed_int4_equals_its_plain_twin(shape, tokens):
    torch.manual_seed(0)
    weights = from_values(torch.randn(shape))
    bias = torch.randn(shape[0])
    fast, plain = Int4Linear(weights, bias), PlainInt4Linear(weights, bias)
    x = torch.randn(2, tokens, shape[1], dtype=torch.bfloat16)
    assert fast(x).shape == (2, tokens, shape[0])
    close(fast(x), plain(x))
    close(plain(x), x.float() @ weights.dense().T + bias)


@pytest.mark.skipif(not unpack.knows_layout("cpu"), reason="another packed layout here")
@pytest.mark.parametrize("shape", [(64, 64), (192, 576), (320, 32)])
@pytest.mark.parametrize("scratch", [1 << 22, 1 << 12])
def test_unpacked_products_equal_packed_ones(shape, scratch, monkeypatch):
    monkeypatch.setattr(unpack, "_SCRATCH_VALUES", scratch)
    torch.manual_seed(6)
    weights = from_values(torch.randn(shape))
    fast, plain = Int4Linear(weights), PlainInt4Linear(weights)
    assert fast.unpacks
    x = torch.randn(unpack.MANY_TOKENS, shape[1], dtype=torch.bfloat16)
    expected = plain.dense().to(torch.bfloat16)
    assert torch.equal(unpack.unpack(fast.packed, fast.table, shape[1], 0, 64).T, expected[:64])
    close(fast(x), plain(x))
    close(fast(x), kernels.int4_product(x, fast.packed, fast.table))


@needs_int4
def test_packed_int4_tells_the_matrix_it_holds():
    torch.manual_seed(1)
    weights = from_values(torch.randn(40, 64))
    fast, plain = Int4Linear(weights), PlainInt4Linear(weights)
    # One product out of the packed layout is rounded to bfloat16, the twin's is not.
    torch.testing.assert_close(fast.dense(), plain.dense(), rtol=2**-7, atol=0.02)


@needs_int8
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tokens", TOKENS)
def test_packed_int8_equals_its_plain_twin(shape, tokens):
    torch.manual_seed(2)
    weight = torch.randn(shape)
    packed = quantize_int8(weight)
    fast, plain = Int8Linear(*packed), PlainInt8Linear(*packed)
    x = torch.randn(tokens, shape[1], dtype=torch.bfloat16)
    close(fast(x), plain(x))
    close(fast(x), x.float() @ plain.dense().T)


@needs_bfloat16
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tokens", TOKENS)
def test_prepacked_bfloat16_equals_an_ordinary_product(shape, tokens):
    torch.manual_seed(3)
    weight = torch.randn(shape)
    fast = Bfloat16Linear(weight)
    assert torch.equal(fast.dense(), weight.to(torch.bfloat16).float())
    x = torch.randn(tokens, shape[1], dtype=torch.bfloat16)
    close(fast(x), x.float() @ weight.T)


def test_int8_rounding_stays_within_half_a_step():
    torch.manual_seed(4)
    weight = torch.randn(50, 70) * torch.logspace(-3, 3, 50)[:, None]
    weight[7] = 0
    values, scale = quantize_int8(weight)
    dense = values.float() * scale.float()[:, None]
    assert ((dense - weight).abs() <= scale.float()[:, None] * 0.5001).all()
    assert values.abs().max() <= 127


def test_every_layer_keeps_the_type_of_its_input():
    weights = from_values(torch.randn(32, 64))
    for layer in (
        int4_linear(weights, None, "cpu"),
        int8_linear(*quantize_int8(weights.dense()), None, "cpu"),
    ):
        assert layer(torch.randn(3, 64)).dtype == torch.float32
        assert layer(torch.randn(64, dtype=torch.bfloat16)).shape == (32,)


def test_int8_embedding_looks_up_rows():
    torch.manual_seed(5)
    weight = torch.randn(30, 16)
    values, scale = quantize_int8(weight)
    embedding = Int8Embedding(values, scale, torch.float32)
    ids = torch.tensor([[0, 29], [7, 7]])
    expected = (values.float() * scale.float()[:, None])[ids]
    assert torch.equal(embedding(ids), expected)


def test_without_a_kernel_the_plain_twin_is_built(monkeypatch):
    monkeypatch.setattr(kernels, "supports_int4_kernel", lambda device: False)
    monkeypatch.setattr(kernels, "supports_int8_kernel", lambda device: False)
    weights = from_values(torch.randn(16, 64))
    assert type(int4_linear(weights, None, "cpu")) is PlainInt4Linear
    assert type(int8_linear(*quantize_int8(weights.dense()), None, "cpu")) is PlainInt8Linear


def test_probes_say_no_to_devices_without_the_kernel():
    assert not kernels.supports_int4_kernel("meta")
    assert not kernels.supports_int8_kernel("meta")
    assert not kernels.supports_prepacked_bfloat16("meta")
