"""The comparison of logits can fail: whatever the runner is told wrongly is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from native_models import LONG, Agreement, Reference, agreement, make, native_rows, random_ids
from native_small import native, with_tensors

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.run.inference.native.library import Library

LAYERS = {"num_hidden_layers": 2}
YARN = {  # its ramp begins and ends within the 16 frequencies
    "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 0.5,
    "beta_slow": 0.1,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "mistral": ("mistral", {"sliding_window": 20}),
    "qwen2": ("qwen2", {"use_sliding_window": False}),
    "qwen3": ("qwen3", {}),
    "gemma3": (
        "gemma3",
        {"layer_types": ["sliding_attention", "full_attention"], "rope_local_base_freq": 30.0},
    ),
    "yarn": ("llama", {"rope_scaling": YARN, "rope_theta": 100.0}),
    "longrope": ("llama", {"rope_scaling": LONG}),
}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {  # a function of the value, or another field
    "windows off": ("mistral", {"windows": lambda _: (None, None)}),
    "window larger by one": ("mistral", {"windows": lambda windows: (21, windows[1])}),
    "window smaller by one": ("mistral", {"windows": lambda windows: (windows[0], 19)}),
    "windows of the wrong layers": ("gemma3", {"windows": lambda windows: windows[::-1]}),
    "rope a little faster": ("llama", {"rope": lambda rope: replace(rope, theta=rope.theta * 1.1)}),
    "local rope forgotten": ("gemma3", {"local_rope": lambda _: None}),
    "ropes exchanged": ("gemma3", {"rope": "local_rope", "local_rope": "rope"}),
    "norm_eps": ("llama", {"norm_eps": lambda eps: 2 * eps}),
    "gelu for silu": ("llama", {"activation": lambda _: "gelu_tanh"}),
    "silu for gelu": ("gemma3", {"activation": lambda _: "silu"}),
    "query_scalar": ("gemma3", {"query_scalar": lambda scalar: scalar + 1}),
    "embedding_scale": ("gemma3", {"embedding_scale": lambda scale: scale * 1.02}),
    "tied": ("llama", {"tied": lambda _: True}),
    "rope not stretched": ("yarn", {"rope": lambda rope: replace(rope, kind="default")}),
    "attention_factor": ("yarn", {"rope": lambda rope: replace(rope, attention_factor=1.16)}),
    "a layer too few": (
        "llama",
        {
            "layers": lambda _: 1,
            "windows": lambda windows: windows[:1],
            "mixers": lambda mixers: mixers[:1],
        },
    ),
}
DROPPED = {
    "qwen2": ("attention.project.q.bias", "attention.project.k.bias", "attention.project.v.bias"),
    "qwen3": ("attention.q_norm.weight", "attention.k_norm.weight"),
    "gemma3": ("attention_post_norm.weight", "mlp_post_norm.weight"),
}
MATRICES = (
    "embed.weight", "head.weight", "blocks.1.attention.project.q.weight",
    "blocks.0.attention.project.k.weight", "blocks.0.attention.project.v.weight",
    "blocks.0.attention.output.weight", "blocks.0.mlp.gate_up.gate.weight",
    "blocks.1.mlp.gate_up.up.weight", "blocks.1.mlp.down.weight",
)  # fmt: skip
NORMS = ("norm.weight", "blocks.1.attention_norm.weight", "blocks.0.mlp_norm.weight")

Compare = Callable[..., Agreement]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Checkpoint, Any]]:
    """Builds each model once, with what is right."""
    built: dict[str, tuple[Checkpoint, Any]] = {}

    def get(name: str) -> tuple[Checkpoint, Any]:
        if name not in built:
            family, changes = MODELS[name]
            made = make(tmp_path_factory.mktemp(name), family, **LAYERS, **changes)
            built[name] = made, Reference(made).logits(random_ids())
        return built[name]

    return get


@pytest.fixture
def compare(library: Library) -> Iterator[Compare]:
    """How near a wrong model comes to the right logits."""

    def near(checkpoint: Checkpoint, expected: np.ndarray, **settings: Any) -> Agreement:
        with closing(native(library, checkpoint, **settings)) as runner:
            found = agreement(native_rows(runner, random_ids()), expected)
        print(found)
        return found

    return near


@pytest.mark.parametrize("name", MODELS)
def test_what_is_right_agrees(name: str, models: Any, compare: Compare) -> None:
    assert compare(*models(name)).holds


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_setting_is_noticed(name: str, models: Any, compare: Compare) -> None:
    model, changes = SETTINGS[name]
    checkpoint, expected = models(model)
    config: ModelConfig = checkpoint.config
    changed = {
        field: getattr(config, change)
        if isinstance(change, str)
        else change(getattr(config, field))
        for field, change in changes.items()
    }
    assert all(getattr(config, field) != value for field, value in changed.items())
    wrong = replace(checkpoint, config=replace(config, **changed))
    assert not compare(wrong, expected).holds


def test_a_wrong_length_is_noticed(models: Any, compare: Compare) -> None:
    assert not compare(*models("longrope"), context=16).holds


@pytest.mark.parametrize(
    ("model", "name"), [(model, name) for model, names in DROPPED.items() for name in names]
)
def test_a_dropped_vector_is_noticed(model: str, name: str, models: Any, compare: Compare) -> None:
    checkpoint, expected = models(model)
    tensors = dict(checkpoint.tensors)
    del tensors[f"blocks.1.{name}"]
    assert not compare(replace(checkpoint, tensors=tensors), expected).holds


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_without_its_weight_is_noticed(name: str, models: Any, compare: Compare) -> None:
    checkpoint, expected = models("llama")
    ones = np.ones(checkpoint.config.hidden_size)
    assert not compare(with_tensors(checkpoint, {name: ones}), expected).holds


@pytest.mark.parametrize("name", MATRICES)
def test_one_wrong_weight_is_noticed(name: str, models: Any, compare: Compare) -> None:
    """The one that stands last among the largest tenth: of 10,000 and more in each matrix."""
    checkpoint, expected = models("llama")
    values = checkpoint.tensors[name].values()
    row, column = np.argwhere(np.abs(values) > np.quantile(np.abs(values), 0.9))[-1]
    if name == "embed.weight":
        row = random_ids()[2, 5]  # a token that is asked for
        column = np.abs(values[row]).argmax()
    values[row, column] *= -1
    assert not compare(with_tensors(checkpoint, {name: values}), expected).holds


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mlp.gate_up.gate", "mlp.gate_up.up"),
        ("attention.project.k", "attention.project.v"),
    ],
)
def test_exchanged_matrices_are_noticed(
    one: str, other: str, models: Any, compare: Compare
) -> None:
    checkpoint, expected = models("llama")
    names = f"blocks.0.{one}.weight", f"blocks.0.{other}.weight"
    values = [checkpoint.tensors[name].values() for name in reversed(names)]
    wrong = with_tensors(checkpoint, dict(zip(names, values, strict=True)))
    assert not compare(wrong, expected).holds


def test_wrong_heads_are_noticed(models: Any, compare: Compare) -> None:
    """Query heads that ask another key head than their own."""
    checkpoint, expected = models("llama")
    name = "blocks.1.attention.project.q.weight"
    values = checkpoint.tensors[name].values()
    turned = np.roll(values.reshape(6, 32, -1), 1, axis=0).reshape(values.shape)
    assert not compare(with_tensors(checkpoint, {name: turned}), expected).holds
