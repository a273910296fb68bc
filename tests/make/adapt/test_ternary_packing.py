"""Ternary models and experts in fewer bits: packed layers compute what is in the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from kataribe.base.errors import InputError
from kataribe.make.adapt import (
    PRECISIONS,
    Precision,
    compare_models,
    load_quantized,
    make_ternary,
    quantize_model,
    settle_ternary,
)
from kataribe.make.adapt.linears import Int4Linear, PackedLinear, PlainInt4Linear
from kataribe.make.adapt.ternary import PackedTernary
from kataribe.make.model.layers.experts import Scores
from kataribe.make.model.layers.ternary import round_input, round_weights
from kataribe.make.model.weights.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.weights.loading import load_model
from tests.parity.tiny import build, random_ids

PACKED = [precision for precision in PRECISIONS if precision != "float32"]
IDS = random_ids(91).tolist()


def ternary(folder: Path, *, hidden: int = 64) -> Checkpoint:
    sizes = {"hidden_size": hidden, "num_attention_heads": 4, "head_dim": hidden // 4}
    build("bitnet", 92, **sizes, intermediate_size=96).save_pretrained(folder)
    checkpoint = open_checkpoint(folder)
    config = dataclasses.replace(checkpoint.config, ternary="rounded")
    return dataclasses.replace(checkpoint, config=config)


@pytest.mark.parametrize("hidden", [64, 40])
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("precision", PACKED)
def test_a_packed_ternary_layer_is_exact_but_for_its_result(
    tmp_path: Path, precision: Precision, settled: bool, hidden: int
) -> None:
    checkpoint = ternary(tmp_path, hidden=hidden)
    plain = load_model(checkpoint)
    weight = round_weights(plain.blocks[1].mlp.down.weight.detach())
    if settled:
        model = quantize_model(settle_ternary(load_model(checkpoint)), precision)
    else:
        model = load_quantized(checkpoint, precision)
    layer = model.blocks[1].mlp.down
    if not isinstance(layer, PackedTernary):
        pytest.skip("This processor computes float32 under auto.")
    inner = isinstance(layer.inner, Int4Linear | PlainInt4Linear)
    assert inner == (layer.in_features % 32 == 0)
    torch.testing.assert_close(layer.dense(), weight, rtol=1e-6, atol=1e-8)
    x = torch.randn(5, 96, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    wanted = round_input(x.float()) @ weight.T
    error = (layer(x).float() - wanted).norm() / wanted.norm()
    assert error < 0.005  # bfloat16 twice


@pytest.mark.parametrize("precision", PACKED)
def test_a_ternary_model_keeps_its_answers_in_every_precision(
    tmp_path: Path, precision: Precision
) -> None:
    """No more is lost than bfloat16 loses: int4 rounds nothing that three values cannot say."""
    checkpoint = ternary(tmp_path)
    reference = load_model(checkpoint)
    difference = compare_models(reference, load_quantized(checkpoint, precision), IDS)
    assert difference.divergence < 0.02
    assert difference.agreement > 0.85


@pytest.mark.parametrize("family", ["mixtral", "qwen2moe", "qwen3moe"])
@pytest.mark.parametrize("precision", PACKED)
def test_experts_are_packed_each_by_itself(
    tmp_path: Path, family: str, precision: Precision
) -> None:
    """All experts are chosen here, so that no choice hangs on a rounding."""
    sizes = {"hidden_size": 64, "head_dim": 16, "num_attention_heads": 4}
    every = {"num_experts_per_tok": 5 if family == "mixtral" else 6}
    width = "intermediate_size" if family == "mixtral" else "moe_intermediate_size"
    build(family, 93, **sizes, **every, **{width: 96}).save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    reference = load_model(checkpoint)
    model = load_quantized(checkpoint, precision)
    experts = model.blocks[0].mlp
    assert type(experts.router) is Scores
    assert experts.router.weight.dtype == torch.float32
    limits = {"bfloat16": 0.01, "auto": 0.01, "int8": 0.02, "int4": 0.8}
    assert compare_models(reference, model, IDS).divergence < limits[precision]
    if precision in ("int8", "int4"):
        assert all(isinstance(expert.down, PackedLinear) for expert in experts.experts)
    again = quantize_model(load_model(checkpoint), precision)
    assert compare_models(reference, again, IDS).divergence < limits[precision]


def test_packed_models_are_not_made_ternary(tmp_path: Path) -> None:
    build("llama", 94).save_pretrained(tmp_path)
    model = load_quantized(open_checkpoint(tmp_path), "int8")
    with pytest.raises(InputError, match="packed"):
        make_ternary(model)
