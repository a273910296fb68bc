"""The list of parameters is the decoder's own, whatever the configuration."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from kataribe.make.model.configs.config import ModelConfig, RopeConfig
from kataribe.make.model.configs.shapes import shapes
from kataribe.make.model.weights.skeleton import skeleton

BASE = ModelConfig(
    family="llama",
    vocab_size=97,
    hidden_size=24,
    layers=3,
    heads=6,
    kv_heads=2,
    head_dim=10,
    intermediate_size=40,
    context_length=50,
    windows=(None,) * 3,
    rope=RopeConfig(10000.0),
)
FLAGS = ("gated", "qkv_bias", "output_bias", "mlp_bias", "qk_norm", "post_norms", "tied")


@pytest.mark.parametrize("norm", ["rms", "layer"])
@pytest.mark.parametrize("rope", [BASE.rope, None])
def test_names_shapes_and_order_are_the_decoders(norm: str, rope: RopeConfig | None) -> None:
    for chosen in itertools.product((False, True), repeat=len(FLAGS)):
        config = replace(BASE, norm=norm, rope=rope, **dict(zip(FLAGS, chosen, strict=True)))
        built = [(name, tuple(p.shape)) for name, p in skeleton(config).named_parameters()]
        assert list(shapes(config).items()) == built, chosen
