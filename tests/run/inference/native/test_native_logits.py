"""Logits of the native runner against the decoder, family by family and setting by setting."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_models import (
    LONG,
    Reference,
    agreement,
    held_weights,
    make,
    native_rows,
    random_ids,
    row_errors,
)
from native_small import HALVES, native, with_kind

from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.run.inference.native.library import Library

PLAIN_WORST = 0.1  # a row against float32 activations; measured: at most 0.05
PLAIN_ALIKE = 0.9997  # correlation of logits; measured: at least 0.9999

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip
GEMMA = {"layer_types": ["sliding_attention", "full_attention"]}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama_tied": ("llama", {"tie_word_embeddings": True}),
    "llama_wide_heads": ("llama", {"head_dim": 64, "hidden_size": 64, "num_attention_heads": 4}),
    "llama_one_kv_head": ("llama", {"num_key_value_heads": 1}),
    "llama_all_kv_heads": ("llama", {"num_key_value_heads": 6}),
    "llama_odd_vocabulary": ("llama", {"vocab_size": 101, "tie_word_embeddings": True}),
    "llama_gelu_tanh": ("llama", {"hidden_act": "gelu_pytorch_tanh"}),
    "mistral": ("mistral", {}),
    "mistral_window_of_a_block": ("mistral", {"sliding_window": 16}),
    "mistral_window_of_one": ("mistral", {"sliding_window": 1}),
    "mistral_no_window": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {"max_window_layers": 1}),
    "qwen2_tied": ("qwen2", {"use_sliding_window": False, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {}),
    "qwen3_window": (
        "qwen3",
        {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    ),
    "gemma3": ("gemma3", GEMMA),
    "gemma3_untied": ("gemma3", {**GEMMA, "tie_word_embeddings": False}),
    "gemma3_thetas": ("gemma3", {**GEMMA, "rope_theta": 300.0, "rope_local_base_freq": 50.0}),
    "gemma3_linear": ("gemma3", {**GEMMA, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    "theta": ("llama", {"rope_theta": 500.0}),
    "linear": ("llama", {"rope_scaling": {"rope_type": "linear", "factor": 3.0}}),
    "dynamic": (
        "llama",
        {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 16},
    ),
    "yarn": ("llama", {"rope_scaling": YARN}),
    "yarn_attention": ("llama", {"rope_scaling": {**YARN, "attention_factor": 0.8}}),
    "longrope": ("llama", {"rope_scaling": LONG}),
    "longrope_within": (
        "llama",
        {"rope_scaling": {**LONG, "original_max_position_embeddings": 70}},
    ),
    "llama3": ("llama", {"rope_scaling": LLAMA3, "rope_theta": 100.0}),
}


def check(
    library: Library, checkpoint: Checkpoint, *, like_plain: bool = True, **settings: Any
) -> None:
    """Weights are those that the runner holds: what packing may do to them is tested elsewhere.

    `like_plain`: rounded activations do not lead far away, as in a model with ordinary weights.
    """
    ids = random_ids()
    with closing(native(library, checkpoint, **settings)) as runner:
        found = native_rows(runner, ids)
        weights = held_weights(library, runner, checkpoint)
    near = agreement(found, Reference(checkpoint, weights=weights).logits(ids))
    plain = Reference(checkpoint, weights=weights, rounds=False).logits(ids)
    assert plain.std() >= 1, "a model this quiet proves nothing"
    print(near, row_errors(found, plain).max(), np.corrcoef(found.ravel(), plain.ravel())[0, 1])
    assert near.holds
    if like_plain:
        assert row_errors(found, plain).max() <= PLAIN_WORST
        assert np.corrcoef(found.ravel(), plain.ravel())[0, 1] >= PLAIN_ALIKE


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_decoder(library: Library, tmp_path: Path, name: str) -> None:
    family, changes = MODELS[name]
    check(library, make(tmp_path, family, **{"num_hidden_layers": 2, **changes}))


def test_more_layers_stray_no_further_than_they_must(library: Library, tmp_path: Path) -> None:
    ids = random_ids()
    checkpoint = make(tmp_path, "gemma3", num_hidden_layers=6)
    with closing(native(library, checkpoint)) as runner:
        errors = row_errors(native_rows(runner, ids), Reference(checkpoint).logits(ids))
    assert errors.max() <= 0.03
    assert np.median(errors[:, :8]) <= 1e-4


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("tied", [False, True])
def test_blocks_of_every_kind_are_multiplied(
    library: Library, tmp_path: Path, kind: str, tied: bool
) -> None:
    sizes = {"hidden_size": 256, "intermediate_size": 256, "num_attention_heads": 8}
    model = make(tmp_path, "llama", num_hidden_layers=1, tie_word_embeddings=tied, **sizes)
    check(library, with_kind(model, kind), like_plain=False)


@pytest.mark.parametrize("precision", ["int4", "int8", "bfloat16"])
def test_other_precisions_are_multiplied(library: Library, tmp_path: Path, precision: str) -> None:
    check(library, make(tmp_path, "qwen3", num_hidden_layers=2), precision=precision)
