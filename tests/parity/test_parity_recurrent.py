"""Mamba, Mamba-2 and Jamba against `transformers`: logits and states, setting by setting."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.attention import CachedAttend, CausalAttend
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.model.weights.saving import save_pretrained
from tests.parity.tiny import (
    CLASSES,
    LENGTH,
    TOLERANCE,
    build,
    our_logits,
    padding,
    random_ids,
    reference_logits,
    relative_error,
)

FAMILIES = ("mamba", "mamba2", "jamba")
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba_biases": ("mamba", {"use_bias": True, "use_conv_bias": False}),
    "mamba_untied": ("mamba", {"tie_word_embeddings": False}),
    "mamba_gelu": ("mamba", {"hidden_act": "gelu"}),
    "mamba_rank_auto": ("mamba", {"time_step_rank": "auto"}),
    "mamba_expand": ("mamba", {"expand": 3}),
    "mamba_kernel": ("mamba", {"conv_kernel": 2}),
    "mamba2_biases": ("mamba2", {"use_bias": True, "use_conv_bias": False}),
    "mamba2_no_limit": ("mamba2", {"time_step_limit": (0.0, float("inf"))}),
    "mamba2_one_group": ("mamba2", {"n_groups": 1}),
    "mamba2_all_groups": ("mamba2", {"n_groups": 12}),
    "mamba2_tied": ("mamba2", {"tie_word_embeddings": True}),
    "mamba2_gate_as_published": ("mamba2", {"norm_before_gate": True}),
    "mamba2_chunk": ("mamba2", {"chunk_size": 7}),
    "mamba2_kernel": ("mamba2", {"conv_kernel": 3, "hidden_act": "relu"}),
    "jamba_dense": ("jamba", {"num_experts": 1}),
    "jamba_biases": ("jamba", {"mamba_proj_bias": True, "mamba_conv_bias": False}),
    "jamba_one_attention": ("jamba", {"attn_layer_period": 9, "attn_layer_offset": 3}),
    "jamba_all_experts": ("jamba", {"expert_layer_period": 1, "expert_layer_offset": 0}),
    "jamba_tied_gelu": ("jamba", {"tie_word_embeddings": True, "hidden_act": "gelu"}),
}


def check(folder: Path, family: str, changes: dict[str, Any], seed: int, side: str = "") -> None:
    print(f"family {family} seed {seed} side {side!r} {changes}")
    model = build(family, seed, **changes)
    model.save_pretrained(folder)
    ids = random_ids(seed + 1)
    mask, positions = padding(side, *ids.shape)
    reference = reference_logits(model, ids, mask, positions)
    error = relative_error(our_logits(folder, ids, mask, positions), reference, mask)
    assert error <= TOLERANCE, f"{family} {changes}: {error:.2e}"


@pytest.mark.parametrize("side", ["", "left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_recurrent_family(tmp_path: Path, family: str, side: str) -> None:
    check(tmp_path, family, {}, 31, side)


@pytest.mark.parametrize("name", VARIANTS)
def test_recurrent_variant(tmp_path: Path, name: str) -> None:
    family, changes = VARIANTS[name]
    check(tmp_path, family, changes, 32)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_recurrent_sizes(tmp_path: Path, family: str) -> None:
    for seed in range(3):
        draw = random.Random(f"{family} {seed}")
        heads = draw.choice([2, 4, 6])
        changes: dict[str, Any] = {
            "vocab_size": draw.randint(96, 140),
            "num_hidden_layers": draw.randint(1, 4),
            "hidden_size": heads * 8,
            "tie_word_embeddings": draw.random() < 0.5,
        }
        if family == "jamba":
            period = draw.randint(1, 3)  # without attention, transformers' own cache fails
            changes["num_hidden_layers"] = 4
            changes |= {
                "num_attention_heads": heads,
                "num_key_value_heads": draw.choice([1, 2]),
                "attn_layer_period": period,
                "attn_layer_offset": draw.randrange(period),
                "mamba_d_conv": draw.randint(2, 5),
                "mamba_d_state": draw.randint(1, 9),
            }
        else:
            changes |= {"conv_kernel": draw.randint(2, 5), "state_size": draw.randint(1, 9)}
        if family == "mamba2":
            changes |= {"num_heads": 2 * heads, "n_groups": draw.choice([1, 2, heads])}
        check(tmp_path / str(seed), family, changes, seed, draw.choice(["", "left", "right"]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_of_a_model_with_biases_changes_nothing(tmp_path: Path, side: str) -> None:
    # transformers lets the projection's bias at padding into the convolution, so that a padded row
    # says something else there; here it says what it says alone.
    build("mamba2", 33, use_bias=True).save_pretrained(tmp_path)
    ids = random_ids(34)
    mask, positions = padding(side, *ids.shape)
    padded = our_logits(tmp_path, ids, mask, positions)
    for row in range(len(ids)):
        alone = ids[row : row + 1, mask[row]]
        every, places = torch.ones_like(alone, dtype=torch.bool), torch.arange(alone.shape[1])
        expected = our_logits(tmp_path, alone, every, places[None])
        torch.testing.assert_close(padded[row, mask[row]], expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["", "left"])
@pytest.mark.parametrize("length", [1, 2, 17, LENGTH])
@pytest.mark.parametrize("family", FAMILIES)
def test_states_after_a_prefix_are_those_of_transformers(
    tmp_path: Path, family: str, length: int, side: str
) -> None:
    if side == "left" and length < 17:
        pytest.skip("nothing would be left of the row")
    theirs = build(family, 35)
    theirs.save_pretrained(tmp_path)
    ids = random_ids(36)[:, :length]
    mask, positions = padding(side, *ids.shape)
    name = "past_key_values" if family == "jamba" else "cache_params"
    with torch.inference_mode():
        kept = theirs(input_ids=ids, attention_mask=mask.long(), use_cache=True)[name]
    checkpoint = open_checkpoint(tmp_path)
    model = load_model(checkpoint)
    for row in range(len(ids)):
        cache = CachedAttend(checkpoint.config, LENGTH)
        own = ids[row : row + 1, mask[row]]
        with torch.inference_mode():
            model(own, positions[row : row + 1, mask[row]], cache)
        recurrent = [n for n, mixer in enumerate(checkpoint.config.mixers) if mixer != "attention"]
        assert sorted(cache.states) == recurrent
        for layer in recurrent:
            window, state = cache.states[layer]
            # Theirs keeps one token more than the next convolution sees.
            wanted = kept.layers[layer].conv_states[0][row, :, 1:]
            torch.testing.assert_close(window[0], wanted, rtol=1e-4, atol=1e-4)
            wanted = kept.layers[layer].recurrent_states[0][row].reshape(state[0].shape)
            assert wanted.abs().max() > 1e-3
            torch.testing.assert_close(state[0], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_replies_are_those_of_transformers(tmp_path: Path, family: str) -> None:
    from kataribe.make.model.reference import generate_reference

    changes = {"time_step_limit": (0.0, float("inf"))} if family == "mamba2" else {}
    theirs = build(family, 37, **changes)
    theirs.save_pretrained(tmp_path)
    model = load_model(open_checkpoint(tmp_path))
    for length in (1, 9):
        ids = random_ids(38)[:1, :length]
        with torch.inference_mode():
            expected = theirs.generate(ids, max_new_tokens=20, do_sample=False, eos_token_id=[])
        assert generate_reference(model, ids[0].tolist(), 20) == expected[0, length:].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_recurrent_gradients_equal_those_of_transformers(tmp_path: Path, family: str) -> None:
    theirs = build(family, 39)
    theirs.save_pretrained(tmp_path)
    ids = random_ids(40)

    def loss_of(logits: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

    loss_of(theirs(input_ids=ids).logits).backward()
    checkpoint = open_checkpoint(tmp_path)
    model = load_model(checkpoint)
    positions = torch.arange(LENGTH).expand(ids.shape)
    loss_of(model.logits(model(ids, positions, CausalAttend(checkpoint.config)))).backward()
    wanted = theirs.get_input_embeddings().weight.grad
    assert model.embed.weight.grad is not None
    assert (model.embed.weight.grad - wanted).abs().max() <= 1e-4 * wanted.abs().max()


@pytest.mark.parametrize("name", ["mamba_biases", "mamba2_no_limit", "jamba_biases", "jamba_dense",
                                  "jamba_one_attention", "mamba2_kernel"])  # fmt: skip
def test_what_is_saved_opens_in_transformers(tmp_path: Path, name: str) -> None:
    family, changes = VARIANTS[name]
    build(family, 41, **changes).save_pretrained(tmp_path / "theirs")
    checkpoint = open_checkpoint(tmp_path / "theirs")
    model = load_model(checkpoint)
    save_pretrained(model, tmp_path / "ours")
    save_pretrained(checkpoint, tmp_path / "copied")
    ids = random_ids(42)
    mask, positions = padding("", *ids.shape)
    expected = our_logits(tmp_path / "theirs", ids, mask, positions)
    for folder in ("ours", "copied"):
        opened = CLASSES[family][1].from_pretrained(tmp_path / folder, dtype=torch.float32).eval()
        found = reference_logits(opened, ids, mask, positions)
        assert relative_error(found, expected, mask) <= TOLERANCE
        again = open_checkpoint(tmp_path / folder)
        assert again.config == checkpoint.config
        same = our_logits(tmp_path / folder, ids, mask, positions)
        assert torch.equal(same, expected)


def test_settings_of_published_mamba_files_are_read(tmp_path: Path) -> None:
    build("mamba", 43).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    settings = json.loads(path.read_text())
    config = open_checkpoint(tmp_path).config
    settings |= {
        "d_model": 48, "d_inner": 96, "n_layer": 3, "fused_add_norm": True, "rms_norm": True,
        "pad_vocab_size_multiple": 8, "ssm_cfg": {}, "time_step_scale": 1.0,
        "time_step_init_scheme": "random", "rescale_prenorm_residual": False,
    }  # fmt: skip
    path.write_text(json.dumps(settings))
    assert open_checkpoint(tmp_path).config == config


def test_the_embedding_by_its_older_name_is_found(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    build("mamba", 44).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    tensors["backbone.embedding.weight"] = tensors.pop("backbone.embeddings.weight").clone()
    ids = random_ids(45)
    mask, positions = padding("", *ids.shape)
    expected = our_logits(tmp_path, ids, mask, positions)
    save_file(tensors, file)
    assert torch.equal(our_logits(tmp_path, ids, mask, positions), expected)


@pytest.mark.parametrize(
    ("family", "wrong", "words"),
    [
        ("mamba", {"rms_norm": False}, "rms_norm"),
        ("mamba", {"ssm_cfg": {"layer": "Mamba1", "headdim": 3}}, "headdim"),
        ("mamba", {"time_step_rank": "half"}, "time_step_rank"),
        ("mamba", {"state_size": 0}, "states is 0"),
        ("mamba2", {"num_heads": 9}, r"num_heads \* head_dim is 72, but expand"),
        ("mamba2", {"n_groups": 5}, "groups 5"),
        ("mamba2", {"time_step_limit": [2.0, 1.0]}, "step_limits"),
        ("mamba2", {"time_step_limit": [2.0]}, "time_step_limit"),
        ("jamba", {"attn_layer_offset": 3}, "attn_layer_offset is 3"),
        ("jamba", {"mamba_inner_layernorms": False}, "mamba_inner_layernorms"),
        ("jamba", {"sliding_window": 5}, "sliding_window"),
    ],
)
def test_settings_that_are_not_built_are_refused(
    tmp_path: Path, family: str, wrong: dict[str, Any], words: str
) -> None:
    from kataribe.base.errors import FormatError

    build(family, 46).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    with pytest.raises(FormatError, match=words):
        open_checkpoint(tmp_path)


def test_decoders_of_these_families_train(tmp_path: Path) -> None:
    for family in FAMILIES:
        build(family, 47).save_pretrained(tmp_path / family)
        model: Decoder = load_model(open_checkpoint(tmp_path / family))
        ids = random_ids(48)
        positions = torch.arange(LENGTH).expand(ids.shape)
        model(ids, positions, CausalAttend(model.config)).sum().backward()
        without = [n for n, p in model.named_parameters() if p.grad is None]
        # The head was not asked, and experts that no token chose have none.
        assert not [n for n in without if n != "head.weight" and ".experts." not in n]
