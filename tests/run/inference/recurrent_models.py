"""Tiny random decoders with recurrent layers."""

from __future__ import annotations

from typing import Any

import torch

from kataribe.make.model.configs.config import ExpertsConfig, ModelConfig, RopeConfig
from kataribe.make.model.configs.mixer_config import HyenaSpec, Mamba2Spec, MambaSpec
from kataribe.make.model.decoder import Decoder

MAMBA = MambaSpec(width=24, states=4, kernel=4, step_rank=3)
MAMBA2 = Mamba2Spec(heads=4, head_dim=6, states=5, groups=2, kernel=3)
HYENA = HyenaSpec(order=3, features=5, filter_width=8)
NO_ATTENTION: dict[str, Any] = {
    "heads": 0, "kv_heads": 0, "head_dim": 0, "intermediate_size": 0, "rope": None,
    "positionless": True,
}  # fmt: skip
ATTENTION: dict[str, Any] = {
    "heads": 4, "kv_heads": 2, "head_dim": 8, "intermediate_size": 40, "query_scalar": 8.0,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "mamba": {**NO_ATTENTION, "mixers": ("mamba",) * 3, "mamba": MAMBA, "float32_residual": True},
    "mamba2": {**NO_ATTENTION, "mixers": ("mamba2",) * 3, "mamba2": MAMBA2, "tied": True},
    "hyena": {
        **NO_ATTENTION,
        "intermediate_size": 40,
        "rope": None,
        "positionless": False,
        "mixers": ("hyena",) * 3,
        "hyena": HYENA,
    },
    "jamba": {
        **ATTENTION,
        "rope": None,
        "positionless": True,
        "mixers": ("mamba", "attention", "mamba"),
        "mamba": MambaSpec(width=24, states=4, kernel=4, step_rank=3, norms=True),
        "experts": ExpertsConfig(count=4, per_token=2, width=12, layers=(False, True, True)),
    },
    "all kinds": {
        **ATTENTION,
        "rope": RopeConfig(10000.0),
        "windows": (None, None, None, 7, None),
        "layers": 5,
        "mixers": ("hyena", "mamba", "attention", "attention", "mamba2"),
        "mamba": MAMBA,
        "mamba2": MAMBA2,
        "hyena": HYENA,
    },
}


def config_of(name: str, **changes: Any) -> ModelConfig:
    base = {
        "family": "kataribe",
        "vocab_size": 61,
        "hidden_size": 24,
        "layers": 3,
        "context_length": 256,
        "windows": (None, None, None),
    }
    return ModelConfig(**{**base, **CONFIGS[name], **changes})


def build(name: str, **changes: Any) -> Decoder:
    torch.manual_seed(0)
    model = Decoder(config_of(name, **changes)).eval()
    with torch.no_grad():
        for part in model.parameters():
            if part.ndim == 2 and part.shape[0] != 24:
                part.normal_(std=1.5 / part.shape[1] ** 0.5)
            elif part.ndim == 1:
                part.add_(0.2 * torch.randn(part.shape))
    return model
