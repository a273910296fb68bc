from __future__ import annotations

import dataclasses

import pytest

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ModelConfig, RopeConfig


def tiny(**changes: object) -> ModelConfig:
    values: dict[str, object] = {
        "family": "llama", "vocab_size": 32, "hidden_size": 16, "layers": 2, "heads": 4,
        "kv_heads": 2, "head_dim": 4, "intermediate_size": 24, "context_length": 64,
        "windows": (None, 8), "rope": RopeConfig(10_000.0), "query_scalar": 4.0,
    }  # fmt: skip
    return ModelConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_attention_tells_scale_and_window_of_a_layer() -> None:
    config = tiny(attention_softcap=5.0, scale_by_layer=True)
    assert config.attention(0).window is None
    assert config.attention(1).window == 8
    assert config.attention(0).scale == 0.5
    assert config.attention(1).scale == 0.25
    assert config.attention(1).softcap == 5.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "bert"), ("vocab_size", 0), ("hidden_size", -1), ("layers", 5000),
        ("layers", 3), ("heads", 3), ("kv_heads", 0), ("head_dim", 5), ("intermediate_size", 1.5),
        ("context_length", 1 << 40), ("windows", (None,)), ("windows", (None, 0)),
        ("norm", "batch"), ("norm_eps", 0.0), ("norm_eps", float("nan")), ("activation", "tanh"),
        ("query_scalar", 0.0), ("embedding_scale", float("inf")), ("attention_softcap", -1.0),
        ("logits_softcap", 0.0), ("heads", True), ("vocab_size", 1 << 31),
    ],
)  # fmt: skip
def test_impossible_values_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(FormatError, match=field):
        tiny(**{field: value})


def test_local_rope_needs_layers_with_a_window() -> None:
    with pytest.raises(FormatError, match="local_rope"):
        tiny(local_rope=RopeConfig(100.0), windows=(None, None))
    with pytest.raises(FormatError, match="local_rope"):
        tiny(local_rope=RopeConfig(100.0), rope=None)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"kind": "ntk"}, "rope kind"),
        ({"theta": 0.0}, "theta"),
        ({"factor": 0.0}, "factor"),
        ({"kind": "yarn"}, "original_context"),
        ({"kind": "yarn", "original_context": 8, "theta": 1.0}, "theta"),
        ({"kind": "yarn", "original_context": 8, "beta_fast": 0.0}, "beta_fast"),
        ({"kind": "llama3", "original_context": 8, "high_freq_factor": 1.0}, "high_freq"),
        ({"kind": "longrope", "original_context": 8, "short_factors": (0.0,)}, "short_factors"),
    ],
)
def test_impossible_ropes_are_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(FormatError, match=word):
        RopeConfig(**{"theta": 10_000.0, **changes})  # type: ignore[arg-type]


def test_rope_factors_must_fit_the_heads() -> None:
    rope = RopeConfig(100.0, "longrope", original_context=8, short_factors=(1.0,))
    with pytest.raises(FormatError, match="short_factors has 1"):
        tiny(rope=rope)
    with pytest.raises(FormatError, match="at least 4"):
        tiny(head_dim=2, rope=RopeConfig(100.0, "dynamic", 2.0, 8))


def test_configurations_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny().layers = 3  # type: ignore[misc]
