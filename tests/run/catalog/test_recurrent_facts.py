"""Recurrent models in the catalogue: sizes as the decoder has them, and memory that was counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.counting import cache_bytes_per_token, parameter_count, state_bytes
from kataribe.make.model.configs.mixer_config import HyenaSpec, Mamba2Spec, MambaSpec
from kataribe.make.model.families import config_from_hf, config_to_hf
from kataribe.make.model.families.recurrent import UNBOUNDED
from kataribe.run.catalog import memory, recurrent_facts
from kataribe.run.catalog.facts import config_facts, is_tied, read_facts
from kataribe.run.catalog.memory import kv_bytes_per_token, predict_memory
from kataribe.run.catalog.plan import plan_model
from kataribe.run.inference import requests
from tests.parity.tiny import RECURRENT, build

OWN = ModelConfig(
    family="kataribe", vocab_size=96, hidden_size=48, layers=4, heads=4, kv_heads=2, head_dim=8,
    intermediate_size=64, context_length=128, windows=(None,) * 4, rope=None, positionless=True,
    query_scalar=8.0, mixers=("mamba", "mamba2", "hyena", "attention"),
    mamba=MambaSpec(96, 4, 4, 3), mamba2=Mamba2Spec(4, 8, 5, 2, 3), hyena=HyenaSpec(order=3),
)  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "mamba": {"model_type": "mamba"},
    "mamba small": {"model_type": "mamba", "hidden_size": 64, "expand": 3, "state_size": 8,
                    "conv_kernel": 2, "num_hidden_layers": 5, "max_position_embeddings": 640},
    "mamba untied": {"model_type": "mamba", "tie_word_embeddings": False, "expand": 1.5},
    "mamba2": {"model_type": "mamba2"},
    "mamba2 small": {"model_type": "mamba2", "hidden_size": 64, "num_heads": 16, "head_dim": 8,
                     "n_groups": 4, "tie_word_embeddings": True},
    "jamba": {"model_type": "jamba"},
    "jamba small": {"model_type": "jamba", "hidden_size": 64, "num_attention_heads": 8,
                    "attn_layer_period": 3, "attn_layer_offset": 0, "num_key_value_heads": None},
    "own": config_to_hf(OWN),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_sizes_are_those_of_the_decoder(name: str) -> None:
    raw = VARIANTS[name]
    config = config_from_hf(raw)
    facts = config_facts(raw, (), None, "x")
    same = ("family", "layers", "hidden_size", "heads", "kv_heads", "head_dim", "vocab_size",
            "context_length")  # fmt: skip
    for field in same:
        assert getattr(facts, field) == getattr(config, field), field
    assert facts.caching == config.mixers.count("attention")
    assert facts.state_bytes == state_bytes(config, config.context_length)
    assert kv_bytes_per_token(facts, "bfloat16") == cache_bytes_per_token(config, 2)
    assert is_tied(raw, config.family) == config.tied


@pytest.mark.parametrize("family", RECURRENT)
def test_weights_of_real_folders_are_counted(tmp_path: Path, family: str) -> None:
    build(family, 3).save_pretrained(tmp_path)
    facts = read_facts(tmp_path)
    config = config_from_hf(json.loads((tmp_path / "config.json").read_text()))
    assert facts.parameters == parameter_count(config)
    assert facts.vocab_size == config.vocab_size


@pytest.mark.parametrize("name", VARIANTS)
def test_plans_and_memory_are_sensible(name: str) -> None:
    facts = config_facts(VARIANTS[name], (), None, "x")
    plan = plan_model(facts, "float32", None, 8 << 30)
    assert 0 < plan.context <= facts.context_length
    assert plan.cache_tokens >= plan.context
    keys = kv_bytes_per_token(facts, "float32")
    one = predict_memory(facts, "float32", 100, cache_tokens=64, places=100)
    full = predict_memory(facts, "float32", 100)
    assert one.kv_cache >= 2 * facts.state_bytes + 64 * keys
    assert full.kv_cache == 2 * memory.MOST_WITH_STATES * facts.state_bytes + 100 * keys


def test_the_same_limits_are_known() -> None:
    assert memory.MOST_WITH_STATES == requests.MOST_WITH_STATES
    assert recurrent_facts.UNBOUNDED == UNBOUNDED


@pytest.mark.parametrize(
    "lie",
    [
        {"model_type": "mamba", "state_size": 0},
        {"model_type": "mamba", "expand": "two"},
        {"model_type": "mamba", "conv_kernel": True},
        {"model_type": "mamba2", "n_groups": 1.5},
        {"model_type": "jamba", "num_attention_heads": 7},
        {"model_type": "kataribe", "hidden_size": 8},
        {**VARIANTS["own"], "mixers": "mamba"},
        {**VARIANTS["own"], "mamba": None},
        {**VARIANTS["own"], "layers": float("nan")},
    ],
)
def test_what_no_model_can_have_is_refused(lie: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        config_facts(lie, (), None, "x")
    with pytest.raises(FormatError):
        config_from_hf(lie)
