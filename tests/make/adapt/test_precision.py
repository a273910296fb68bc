import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kataribe.base.errors import FormatError, SettingsError
from kataribe.files.ggml_blocks import quantize
from kataribe.make.adapt import (
    TOLERANCES,
    Difference,
    Tolerance,
    compare_logits,
    compare_models,
    load_quantized,
    quantize_model,
)
from kataribe.make.adapt.check import check_embedding, check_packed
from kataribe.make.adapt.fused import FusedGateUp, FusedQKV
from kataribe.make.adapt.groups import from_values
from kataribe.make.adapt.lean import LeanStack, make_lean
from kataribe.make.adapt.linears import Int4Embedding, Int4Linear, PlainInt4Linear, int4_linear
from kataribe.make.adapt.precision import _Packer
from kataribe.make.adapt.sources import of_linear, of_source, of_tensor
from kataribe.make.model.configs.config import ModelConfig, RopeConfig
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.make.model.weights.loading import load_tensor
from kataribe.make.model.weights.sources import SourceTensor

BASE = {
    "vocab_size": 96,
    "hidden_size": 64,
    "layers": 3,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 32,
    "intermediate_size": 128,
    "context_length": 128,
    "windows": (None, None, None),
    "rope": RopeConfig(10000.0),
    "query_scalar": 32.0,
}
FAMILIES = {
    "llama": {"family": "llama", "tied": True},
    "mistral": {"family": "mistral", "windows": (8, 8, 8)},
    "qwen2": {"family": "qwen2", "qkv_bias": True},
    "qwen3": {"family": "qwen3", "qk_norm": True, "tied": True},
    "gemma3": {
        "family": "gemma3",
        "qk_norm": True,
        "post_norms": True,
        "activation": "gelu_tanh",
        "windows": (6, None, 6),
        "local_rope": RopeConfig(1000.0),
        "embedding_scale": 8.0,
        "tied": True,
    },
    "gpt2": {
        "family": "gpt2",
        "rope": None,
        "norm": "layer",
        "kv_heads": 4,
        "gated": False,
        "activation": "gelu_tanh",
        "qkv_bias": True,
        "output_bias": True,
        "mlp_bias": True,
        "tied": True,
    },
}


def build(family: str, seed: int = 0) -> Decoder:
    """A random model whose logits vary enough for wrong arithmetic to show."""
    torch.manual_seed(seed)
    model = Decoder(ModelConfig(**{**BASE, **FAMILIES[family]})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            elif parameter.ndim == 2:
                parameter.normal_(std=1.5 / parameter.shape[1] ** 0.5)
            else:
                parameter.normal_(std=0.1)
    return model


def sequences() -> list[list[int]]:
    generator = np.random.default_rng(5)
    return [generator.integers(0, 96, length).tolist() for length in (40, 17, 3)]


def checkpoint_of(model: Decoder, kind: str) -> Checkpoint:
    """The model as a file holds it, its matrices in blocks of `kind`."""
    tensors = {}
    for name, parameter in model.named_parameters():
        chosen = kind if parameter.ndim == 2 else "F32"
        raw = quantize(parameter.detach().numpy(), chosen)
        tensors[name] = SourceTensor(tuple(parameter.shape), chosen, lambda raw=raw: raw)
    return Checkpoint(Path("model"), model.config, tensors)


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("precision", ["bfloat16", "int8", "int4"])
def test_every_family_keeps_its_answers(family, precision):
    model = build(family)
    changed = quantize_model(copy.deepcopy(model), precision)
    difference = compare_models(model, changed, sequences())
    # Wrong arithmetic gives 1.4; weights of gain 1.5 make the most of every rounding.
    limit = {"bfloat16": 0.035, "int8": 0.06, "int4": 0.5}[precision]
    assert difference.relative_error < limit, difference
    assert difference.tokens == 60


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_blocks_of_a_file_are_not_quantised_again(family):
    stored = checkpoint_of(build(family), "Q4_0")
    reference = load_quantized(stored, "float32")
    changed = load_quantized(stored, "auto")
    packed = [m for m in changed.modules() if isinstance(m, (Int4Linear, PlainInt4Linear))]
    assert packed
    assert compare_models(reference, changed, sequences()).relative_error < 0.06


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q4_K"])
@pytest.mark.parametrize("precision", ["auto", "int4", "int8"])
def test_every_kind_of_four_bit_blocks_is_repacked(kind, precision):
    matrix = replace(of_tensor(torch.zeros(4, 256)), kind=kind)
    packer = _Packer(precision, "cpu", torch.bfloat16)
    assert packer.form("blocks.0.mlp.down", matrix) == "repacked"
    assert packer.form("head", matrix) == "repacked"


@pytest.mark.parametrize("precision", ["auto", "int4", "int8"])
@pytest.mark.parametrize("vocabulary", [96, 128])  # rows are found in the head's memory by 64
@pytest.mark.parametrize("tied", [True, False])
def test_every_matrix_of_four_bit_blocks_holds_the_file_s_values(precision, vocabulary, tied):
    torch.manual_seed(1)
    model = Decoder(ModelConfig(**{**BASE, "family": "llama", "tied": tied,
                                   "vocab_size": vocabulary})).eval()  # fmt: skip
    stored = checkpoint_of(model, "Q4_0")
    changed = load_quantized(stored, precision)
    step = 1 / 64 + 8 / 512  # of the scale and of the zero; see `GroupWeights.table`

    def near(found, name):
        wanted = load_tensor(stored.tensors[name], torch.float32)
        apart = wanted.abs().reshape(*wanted.shape[:-1], -1, 32).amax(-1)
        assert ((found - wanted).abs() <= step * apart.repeat_interleave(32, -1) / 4).all()

    ids = torch.arange(vocabulary).view(2, -1)
    found = changed.embed(ids)
    assert found.shape == (*ids.shape, 64)
    near(changed.embed.matrix.rows(ids.flatten()), "embed.weight")
    near(changed.head.dense(), "embed.weight" if tied else "head.weight")
    shared = changed.embed.matrix is changed.head
    assert shared == (tied and (vocabulary == 128 or isinstance(changed.head, PlainInt4Linear)))
    near(changed.blocks[0].blocks[0].mlp.down.dense(), "blocks.0.mlp.down.weight")


def test_an_embedding_whose_rows_are_another_s_is_refused():
    stored = checkpoint_of(build("llama"), "Q4_0")
    wrong = Int4Embedding(PlainInt4Linear(from_values(torch.randn(96, 64))), torch.bfloat16)
    with pytest.raises(FormatError, match="embed as repacked"):
        check_embedding(wrong, of_source(stored.tensors["embed.weight"], None), "repacked", "embed")


def test_auto_keeps_ordinary_weights_in_sixteen_bits():
    stored = checkpoint_of(build("llama"), "F32")
    difference = compare_models(
        load_quantized(stored, "float32"), load_quantized(stored, "auto"), sequences()
    )
    assert difference.relative_error < 0.035


def test_blocks_of_eight_bits_become_rows_of_eight_bits():
    stored = checkpoint_of(build("qwen2"), "Q8_0")
    changed = load_quantized(stored, "auto")
    assert (
        compare_models(load_quantized(stored, "float32"), changed, sequences()).relative_error
        < 0.04
    )
    assert not [m for m in changed.modules() if isinstance(m, torch.nn.Linear)]


def test_projections_with_one_input_are_joined():
    changed = load_quantized(checkpoint_of(build("llama"), "Q4_0"), "auto")
    kinds = [type(module) for module in changed.modules()]
    assert kinds.count(FusedQKV) == kinds.count(FusedGateUp) == 3


def test_projections_of_different_kinds_stay_apart():
    model = build("qwen2")
    tensors = dict(checkpoint_of(model, "Q4_0").tensors)
    tensors.update(
        {
            name: source
            for name, source in checkpoint_of(model, "Q8_0").tensors.items()
            if ".v." in name
        }
    )
    stored = Checkpoint(Path("model"), model.config, tensors)
    changed = load_quantized(stored, "auto")
    assert not [module for module in changed.modules() if isinstance(module, FusedQKV)]
    reference = load_quantized(stored, "float32")
    assert compare_models(reference, changed, sequences()).relative_error < 0.06


def test_tied_head_and_embedding_share_memory():
    changed = load_quantized(checkpoint_of(build("llama"), "Q8_0"), "auto")
    assert changed.head.weight.data_ptr() == changed.embed.weight.data_ptr()


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "gemma3"])
def test_lean_blocks_equal_the_ordinary_ones(family):
    model = build(family)
    lean = copy.deepcopy(model)
    make_lean(lean)
    assert isinstance(lean.blocks[0], LeanStack)
    ids = torch.tensor([sequences()[0]])
    positions = torch.arange(ids.shape[1])[None]
    with torch.inference_mode():
        expected = model(ids, positions, CausalAttend(model.config))
        found = lean(ids, positions, CausalAttend(model.config))
        flat = lean(ids[0, :1], positions[0, :1], lambda layer, q, k, v: v.repeat_interleave(2, 1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(flat, expected[0, :1], rtol=1e-4, atol=1e-4)


def test_a_layer_that_computes_something_else_is_refused():
    model = build("llama")
    linear = model.blocks[0].mlp.down
    wrong = int4_linear(from_values(linear.weight.detach().roll(1, 0)), None, "cpu")
    with pytest.raises(FormatError, match=r"blocks\.0.*int4"):
        check_packed(wrong, [of_linear(linear)], "int4", "blocks.0.mlp.down")


def test_sampled_rows_are_the_file_s_rows():
    stored = checkpoint_of(build("llama"), "Q8_0")
    source = stored.tensors["blocks.0.mlp.down.weight"]
    matrix = of_source(source, None)
    rows = np.array([0, 7, 63])
    assert torch.equal(
        matrix.some(rows), load_tensor(source, torch.float32)[torch.from_numpy(rows)]
    )


def test_unknown_precision_is_refused():
    with pytest.raises(SettingsError, match="int3"):
        quantize_model(build("llama"), "int3")


def test_difference_of_equal_logits_is_nothing():
    logits = torch.randn(5, 11)
    same = compare_logits(logits, logits)
    assert (same.agreement, same.divergence, same.relative_error) == (1.0, 0.0, 0.0)
    assert compare_logits(logits, logits + 3).relative_error < 1e-6  # a constant says nothing
    assert compare_logits(logits, logits.flip(1)).divergence > 0.1


def test_tolerance_says_both_figures():
    wide = Difference(100, 0.5, 0.4, 1.0, 0.3)
    with pytest.raises(FormatError, match=r"0\.4 nats.*50\.0%"):
        TOLERANCES["int8"].check(wide, "int8")
    with pytest.raises(FormatError):
        Tolerance(1.0, 0.0).check(Difference(1, 1.0, float("nan"), 0.0, 0.0), "nan")
    TOLERANCES["float32"].check(Difference(9, 1.0, 0.0, 0.0, 0.0), "float32")
