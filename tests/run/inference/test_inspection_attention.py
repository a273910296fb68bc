"""Attention weights, held to `transformers` and to NumPy on the raw matrices."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pico_model import build
from safetensors.numpy import load_file

from kataribe.base.errors import InputError, UnavailableError
from kataribe.run.inference.attention_view import AttentionView, view_bytes

IDS = (1, 84, 90, 276, 70, 78, 200, 165, 255, 257, 258, 5, 6, 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("pico") / "pico")


@pytest.fixture(scope="module")
def view(folder):
    return AttentionView(folder, 512)


def of_transformers(folder, ids):
    """(layers, heads, seq, seq), written down by somebody else's code."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    with torch.inference_mode():
        found = model(torch.tensor([ids]), output_attentions=True).attentions
    return torch.cat(found).numpy()


def test_weights_are_those_of_transformers(view, folder):
    reference = of_transformers(folder, IDS)
    for layer in range(view.config.layers):
        for head in range(view.config.heads):
            for looking in (0, 1, 6, len(IDS) - 1):
                weights = view.weights(IDS, layer, head, looking)
                assert len(weights) == looking + 1
                assert sum(weights) == pytest.approx(1.0, abs=1e-6)
                np.testing.assert_allclose(
                    weights, reference[layer, head, looking, : looking + 1], atol=2e-5
                )


SLIDING = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 5}
CAPPED = {
    "architectures": ["Gemma2ForCausalLM"],
    "model_type": "gemma2",
    "attn_logit_softcapping": 1.5,
    "final_logit_softcapping": 30.0,
    "query_pre_attn_scalar": 16,
    "sliding_window": 6,
    "hidden_activation": "gelu_pytorch_tanh",
}


def test_a_window_hides_what_is_further_back(tmp_path):
    folder = build(tmp_path / "sliding", changes=SLIDING)
    view = AttentionView(folder, 512)
    reference = of_transformers(folder, IDS)
    weights = view.weights(IDS, 1, 3, 12)
    assert weights[:8] == (0.0,) * 8
    assert all(weight > 0 for weight in weights[8:])
    np.testing.assert_allclose(weights, reference[1, 3, 12, :13], atol=2e-5)


def test_the_first_layer_by_hand(folder, view):
    """Embedding, norm, projections, rotation, softmax: nothing of ours is used."""
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    dim, heads, group = 16, 4, 2
    x = weights["model.embed_tokens.weight"][list(IDS)].astype(np.float64)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + config["rms_norm_eps"])
    q = (x @ weights["model.layers.0.self_attn.q_proj.weight"].T).reshape(len(IDS), heads, dim)
    k = (x @ weights["model.layers.0.self_attn.k_proj.weight"].T).reshape(len(IDS), 2, dim)
    angle = np.outer(np.arange(len(IDS)), config["rope_theta"] ** (-np.arange(0, dim, 2) / dim))

    def turned(v):
        low, high = v[..., : dim // 2], v[..., dim // 2 :]
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        return np.concatenate([low * cos - high * sin, high * cos + low * sin], -1)

    q, k = turned(q), turned(k)
    for head in range(heads):
        scores = k[:12, head // group] @ q[11, head] / np.sqrt(dim)
        expected = np.exp(scores - scores.max())
        np.testing.assert_allclose(
            view.weights(IDS, 0, head, 11), expected / expected.sum(), atol=1e-5
        )


def test_another_text_is_read_anew(view):
    one = view.weights(IDS, 1, 0, 5)
    other = view.weights((1, 2, *IDS[2:]), 1, 0, 5)
    assert one != other
    assert view.weights(IDS, 1, 0, 5) == pytest.approx(one, abs=1e-6)
    longer = view.weights((*IDS, 9, 9, 9), 1, 0, 5)
    assert longer == pytest.approx(one, abs=1e-5), "what comes later changes nothing before"


@pytest.mark.parametrize(
    ("layer", "head", "looking", "named"),
    [(2, 0, 0, "layer"), (-1, 0, 0, "layer"), (0, 4, 0, "head"), (0, 0, 14, "position")],
)
def test_what_is_not_there_is_refused(view, layer, head, looking, named):
    with pytest.raises(InputError, match=named) as refused:
        view.weights(IDS, layer, head, looking)
    assert refused.value.param == named


def test_a_closed_one_says_so(folder):
    view = AttentionView(folder, 512)
    view.close()
    assert not view.is_open
    with pytest.raises(UnavailableError):
        view.weights(IDS, 0, 0, 0)


def test_the_estimate_counts_matrices_queries_and_keys(view):
    parameters = sum(each.numel() for each in view._model.parameters())
    view.weights(IDS, 0, 0, 0)
    kept = sum(each.nbytes for each in (*view._pass.queries.values(), *view._pass.keys.values()))
    assert view_bytes(view.config, parameters, len(IDS)) == 4 * parameters + kept
