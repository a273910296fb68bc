"""The parity tests can fail: every setting of the model, set wrong, is caught.

Each field of `ModelConfig` and `RopeConfig` has a wrong value here, tried on a model that uses
the field. Being caught means that the logits leave the tolerance by far, or that the files are
refused. A field without an entry fails, so a new one cannot come in untested.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ExpertsConfig, ModelConfig, RopeConfig
from kataribe.make.model.configs.mixer_config import Mamba2Spec, MambaSpec
from kataribe.make.model.weights import checkpoint as checkpoints
from tests.parity.tiny import (
    TOLERANCE,
    build,
    our_logits,
    padding,
    random_ids,
    reference_logits,
    relative_error,
)

FAR = 3 * TOLERANCE  # the two forms of GELU, the closest pair here, are 3.8e-4 apart
YARN = {  # its ramp begins and ends within the 5 frequencies, so that both ends matter
    "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 0.5,
    "beta_slow": 0.1,
}  # fmt: skip
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.5, 2.0],
    "long_factor": [1.0, 1.5, 2.5, 4.0, 6.0],
    "original_max_position_embeddings": 16,
    "factor": 4.0,
}
LONG_WITHIN = {**LONG, "original_max_position_embeddings": 60}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
    "llama": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", {}),
    "qwen3": ("qwen3", {}),
    "gemma2": ("gemma2", {}),
    "gemma3": ("gemma3", {"rope_local_base_freq": 30.0}),
    "mixtral": ("mixtral", {}),
    "qwen2moe": ("qwen2moe", {}),
    "bitnet": ("bitnet", {}),
    "mamba": ("mamba", {"use_bias": True}),
    "mamba2": ("mamba2", {"use_bias": True}),
    "jamba": ("jamba", {"mamba_proj_bias": True}),
    "yarn": ("llama", {"rope_scaling": YARN, "rope_theta": 100.0}),
    "longrope": ("llama", {"rope_scaling": LONG}),
    "longrope_within": ("llama", {"rope_scaling": LONG_WITHIN}),
    "llama3": ("llama", {"rope_scaling": LLAMA3, "rope_theta": 100.0}),
}

Change = Callable[[Any], Any]
CONFIG_MUTATIONS: dict[str, tuple[str, Change]] = {
    "family": ("gemma3", lambda _: "qwen3"),
    "vocab_size": ("llama", lambda size: size + 1),
    "hidden_size": ("llama", lambda size: size + 2),
    "layers": ("llama", lambda layers: layers - 1),
    "heads": ("llama", lambda heads: heads // 3),
    "kv_heads": ("llama", lambda _: 1),
    "head_dim": ("llama", lambda size: size // 2 * 2 + 2),
    "intermediate_size": ("llama", lambda size: size - 1),
    "context_length": ("gpt2", lambda length: length + 1),
    "windows": ("mistral", lambda windows: (windows[0] + 1, *windows[1:])),
    "rope": ("llama", lambda rope: dataclasses.replace(rope, theta=rope.theta * 1.1)),
    "local_rope": ("gemma3", lambda _: None),
    "norm": ("llama", lambda _: "layer"),
    "norm_eps": ("llama", lambda eps: 2 * eps),
    "qk_norm": ("qwen3", lambda _: False),
    "post_norms": ("gemma2", lambda _: False),
    "activation": ("gpt2", lambda _: "gelu"),
    "gated": ("llama", lambda _: False),
    "qkv_bias": ("llama", lambda _: False),
    "output_bias": ("llama", lambda _: False),
    "mlp_bias": ("llama", lambda _: False),
    "query_scalar": ("gemma3", lambda scalar: scalar + 1),
    "scale_by_layer": ("gpt2", lambda _: False),
    "attention_softcap": ("gemma2", lambda _: None),
    "logits_softcap": ("gemma2", lambda cap: cap + 1),
    "embedding_scale": ("gemma3", lambda scale: scale * 1.05),
    "tied": ("llama", lambda _: True),
    "experts": ("mixtral", lambda experts: dataclasses.replace(experts, per_token=3)),
    "ternary": ("bitnet", lambda _: "rounded"),
    "inner_norms": ("bitnet", lambda _: False),
    "mixers": ("jamba", lambda mixers: (*mixers[:-1], "attention")),
    "mamba": ("mamba", lambda spec: dataclasses.replace(spec, states=spec.states - 1)),
    "mamba2": ("mamba2", lambda spec: dataclasses.replace(spec, groups=1)),
    "positionless": ("jamba", lambda _: False),
}
UNSEEN = {
    "hyena": "transformers has no such model; see test_mixers.py",
    "float32_residual": "it tells in bfloat16 only; see test_recurrent_models.py",
}
"""Fields that these models cannot show, and what shows them."""
MAMBA_MUTATIONS: dict[str, tuple[str, Change]] = {
    "width": ("mamba", lambda width: width + 1),
    "states": ("mamba", lambda states: states + 1),
    "kernel": ("mamba", lambda kernel: kernel - 1),
    "step_rank": ("mamba", lambda rank: rank + 1),
    "conv_bias": ("mamba", lambda _: False),
    "bias": ("mamba", lambda _: False),
    "norms": ("jamba", lambda _: False),
    "activation": ("mamba", lambda _: "gelu"),
}
MAMBA2_MUTATIONS: dict[str, tuple[str, Change]] = {
    "heads": ("mamba2", lambda heads: heads // 2),
    "head_dim": ("mamba2", lambda size: size + 1),
    "states": ("mamba2", lambda states: states + 1),
    "groups": ("mamba2", lambda groups: groups * 2),
    "kernel": ("mamba2", lambda kernel: kernel + 1),
    "conv_bias": ("mamba2", lambda _: False),
    "bias": ("mamba2", lambda _: False),
    "step_limits": ("mamba2", lambda limits: (limits[0], limits[1] * 1.2)),
    "activation": ("mamba2", lambda _: "gelu"),
}
ROPE_MUTATIONS: dict[str, tuple[str, Change]] = {
    "theta": ("llama", lambda theta: theta * 1.1),
    "kind": ("llama3", lambda _: "linear"),
    "factor": ("llama3", lambda factor: factor + 1),
    "original_context": ("llama3", lambda length: length - 1),
    "attention_factor": ("yarn", lambda factor: factor * 1.02),
    "beta_fast": ("yarn", lambda beta: beta * 4),
    "beta_slow": ("yarn", lambda beta: beta / 4),
    "truncate": ("yarn", lambda _: False),
    "low_freq_factor": ("llama3", lambda factor: factor * 1.5),
    "high_freq_factor": ("llama3", lambda factor: factor * 1.5),
    "short_factors": ("longrope_within", lambda factors: (*factors[:-1], factors[-1] * 1.2)),
    "long_factors": ("longrope", lambda factors: (*factors[:-1], factors[-1] * 1.2)),
}

EXPERT_MUTATIONS: dict[str, tuple[str, Change]] = {
    "count": ("mixtral", lambda count: count - 1),
    "per_token": ("qwen2moe", lambda count: count - 1),
    "width": ("mixtral", lambda width: width - 1),
    "layers": ("qwen2moe", lambda layers: (not layers[0], not layers[1], *layers[2:])),
    "scoring": ("qwen2moe", lambda _: "topk_softmax"),
    "normalized": ("qwen2moe", lambda _: True),
    "shared_width": ("qwen2moe", lambda width: width + 1),
    "shared_gate": ("qwen2moe", lambda _: False),
}


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """Builds each model once, with what `transformers` says of it."""
    built: dict[str, tuple[Path, Any]] = {}

    def get(name: str) -> tuple[Path, Any]:
        if name not in built:
            family, changes = MODELS[name]
            folder = tmp_path_factory.mktemp(name)
            model = build(family, 21, **changes)
            model.save_pretrained(folder)
            ids = random_ids(22, batch=1)
            mask, positions = padding("", *ids.shape)
            built[name] = folder, reference_logits(model, ids, mask, positions)
        return built[name]

    return get


def error_of(folder: Path, reference: torch.Tensor) -> float:
    ids = random_ids(22, batch=1)
    mask, positions = padding("", *ids.shape)
    return relative_error(our_logits(folder, ids, mask, positions), reference, mask)


def mutate(monkeypatch: pytest.MonkeyPatch, change: Callable[[ModelConfig], ModelConfig]) -> None:
    right = checkpoints.config_from_hf
    monkeypatch.setattr(checkpoints, "config_from_hf", lambda raw: change(right(raw)))


@pytest.mark.parametrize("name", MODELS)
def test_without_a_mutation_the_logits_agree(name: str, references: Any) -> None:
    assert error_of(*references(name)) <= TOLERANCE


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(ModelConfig) if field.name not in UNSEEN]
)
def test_a_wrong_setting_is_caught(
    field: str, references: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, change = CONFIG_MUTATIONS[field]
    folder, reference = references(name)

    def wrong(config: ModelConfig) -> ModelConfig:
        value = change(getattr(config, field))
        assert value != getattr(config, field)
        changed = {field: value}
        if field == "layers":  # its tensors are left over
            changed["windows"] = config.windows[:value]
            changed["mixers"] = config.mixers[:value]
        return dataclasses.replace(config, **changed)

    mutate(monkeypatch, wrong)
    assert_caught(folder, reference)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(RopeConfig)])
def test_a_wrong_rope_setting_is_caught(
    field: str, references: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, change = ROPE_MUTATIONS[field]
    folder, reference = references(name)

    def wrong(config: ModelConfig) -> ModelConfig:
        assert config.rope is not None
        value = change(getattr(config.rope, field))
        assert value != getattr(config.rope, field)
        rope = dataclasses.replace(config.rope, **{field: value})
        return dataclasses.replace(config, rope=rope)

    mutate(monkeypatch, wrong)
    assert_caught(folder, reference)


@pytest.mark.parametrize(
    "field", [f.name for f in dataclasses.fields(ExpertsConfig) if f.name != "balance"]
)
def test_a_wrong_setting_of_experts_is_caught(
    field: str, references: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for `balance`, which is of training; `test_experts` holds it against the file."""
    name, change = EXPERT_MUTATIONS[field]
    folder, reference = references(name)

    def wrong(config: ModelConfig) -> ModelConfig:
        assert config.experts is not None
        value = change(getattr(config.experts, field))
        assert value != getattr(config.experts, field)
        experts = dataclasses.replace(config.experts, **{field: value})
        return dataclasses.replace(config, experts=experts)

    mutate(monkeypatch, wrong)
    assert_caught(folder, reference)


@pytest.mark.parametrize("name", ["yarn", "longrope"])
def test_original_context_of_other_kinds_is_caught(
    name: str, references: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, reference = references(name)
    wrong = 8 if name == "yarn" else 60

    def change(config: ModelConfig) -> ModelConfig:
        assert config.rope is not None
        rope = dataclasses.replace(config.rope, original_context=wrong)
        return dataclasses.replace(config, rope=rope)

    mutate(monkeypatch, change)
    assert_caught(folder, reference)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (spec, field.name)
        for spec, kind in (("mamba", MambaSpec), ("mamba2", Mamba2Spec))
        for field in dataclasses.fields(kind)
    ],
)
def test_a_wrong_setting_of_a_recurrent_layer_is_caught(
    spec: str, field: str, references: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, change = (MAMBA_MUTATIONS if spec == "mamba" else MAMBA2_MUTATIONS)[field]
    folder, reference = references(name)

    def wrong(config: ModelConfig) -> ModelConfig:
        known = getattr(config, spec)
        value = change(getattr(known, field))
        assert value != getattr(known, field)
        return dataclasses.replace(config, **{spec: dataclasses.replace(known, **{field: value})})

    mutate(monkeypatch, wrong)
    assert_caught(folder, reference)


def assert_caught(folder: Path, reference: torch.Tensor) -> None:
    try:
        error = error_of(folder, reference)
    except FormatError:
        return
    assert error > FAR, f"only {error:.2e} off: the comparison would miss it"
