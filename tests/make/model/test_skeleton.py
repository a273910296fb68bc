"""A decoder without values costs nothing to make."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from kataribe.make.model.weights.skeleton import skeleton

_CONFIG = """
from kataribe.make.model.configs.config import ModelConfig, RopeConfig
config = ModelConfig(
    family="llama", vocab_size=50, hidden_size=32, layers=2, heads=4, kv_heads=2, head_dim=8,
    intermediate_size=64, context_length=64, windows=(None, None), rope=RopeConfig(theta=1e4),
)
"""


def test_it_has_shapes_and_no_values():
    space: dict = {}
    exec(_CONFIG, space)
    decoder = skeleton(space["config"])
    assert all(parameter.is_meta for parameter in decoder.parameters())
    assert decoder.embed.weight.shape == (50, 32)
    state = torch.get_rng_state()
    skeleton(space["config"])
    assert torch.equal(state, torch.get_rng_state())
    assert nn.Linear(2, 2).weight.abs().sum() > 0, "what is made outside is drawn as ever"


def test_it_imports_no_symbolic_mathematics():
    code = _CONFIG + (
        "import sys; from kataribe.make.model.weights.skeleton import skeleton; skeleton(config)\n"
        "assert 'sympy' not in sys.modules, 'a second of imports for values that are thrown away'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
